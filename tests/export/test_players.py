"""Other people's programs open what we write: three.js in Chromium, three-vrm, Blender."""

import functools
import html
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from exomni.core import arkit
from exomni.export.gltf import write_glb
from exomni.export.track import FaceTrack
from exomni.export.visemes import vowels
from exomni.export.vrma import write_vrma, write_vrma_perfect_sync
from exomni.face.rotations import angles, matrix, quaternions

BLENDER = Path(__file__).parent / "blender" / "import_glb.py"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def short(moving):
    """Two seconds of a face that is at rest at first and then speaks."""
    frames = moving(60) * np.linspace(0, 1, 60)[:, None]
    turns = moving(60, 9, seed=1) - 0.5
    return FaceTrack(arkit.NAMES, 30, frames, head=0.5 * turns[:, :3], eyes=0.3 * turns[:, 3:].reshape(-1, 2, 3))


@pytest.fixture
def chromium():
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("needs Chromium")
    return found


@pytest.fixture
def blender():
    """A Python that has Blender's `bpy`: `EXOMNI_BLENDER_PYTHON`, `.venv-blender`, or this one."""
    usual = ROOT / ".venv-blender" / "bin" / "python"
    for python in filter(None, (os.environ.get("EXOMNI_BLENDER_PYTHON"), str(usual), sys.executable)):
        if (
            Path(python).exists()
            and not subprocess.run([python, "-c", "import bpy"], capture_output=True, check=False).returncode
        ):
            return python
    pytest.skip("needs Blender: python3.11 -m venv .venv-blender && .venv-blender/bin/pip install bpy==5.0.1")


def serve(folder):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def test_three_js_plays_the_head_in_chromium(short, tmp_path, node_packages, chromium):
    write_glb(short, tmp_path / "clip.glb")
    shutil.copy(node_packages / "player.html", tmp_path)
    (tmp_path / "node_modules").symlink_to(node_packages / "node_modules")
    server = serve(tmp_path)
    times = [0, 0.5, 1.0, 1.55, 59 / 30]
    url = f"http://127.0.0.1:{server.server_port}/player.html?times={','.join(map(str, times))}"
    command = [chromium, "--headless", "--no-sandbox", "--disable-dev-shm-usage", "--use-angle=swiftshader"]
    command += ["--enable-unsafe-swiftshader", f"--user-data-dir={tmp_path / 'profile'}"]
    command += ["--virtual-time-budget=300000", "--dump-dom", url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    server.shutdown()
    found = re.search(r'<pre id="result">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stderr[-2000:]
    result = json.loads(html.unescape(found[1]))
    assert "error" not in result, result
    assert result["duration"] == pytest.approx(59 / 30, abs=1e-4)
    for shot in result["shots"]:
        place = shot["time"] * 30
        for weights in shot["weights"]:
            expected = [np.interp(place, np.arange(60), column) for column in short.frames.T]
            np.testing.assert_allclose([weights[name] for name in arkit.NAMES], expected, atol=2e-3)
        turn = [np.interp(place, np.arange(60), column) for column in short.head.T]
        np.testing.assert_allclose(angles(np.array([shot["head"]]))[0], turn, atol=5e-3)
    changed = [shot["changed"] for shot in result["shots"]]
    assert changed[0] == 0
    assert min(changed[1:]) > 500


def test_three_vrm_reads_the_animations(short, tmp_path, node_packages):
    write_vrma(short, tmp_path / "a.vrma")
    write_vrma_perfect_sync(short, tmp_path / "b.vrma")
    read = []
    for name in ("a.vrma", "b.vrma"):
        command = ["node", str(node_packages / "expressions.mjs"), str(tmp_path / name)]
        read.append(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    for each in read:
        np.testing.assert_allclose(angles(np.reshape(each["turns"]["head"], (-1, 4))), short.head, atol=1e-5)
    gaze = angles(np.reshape(read[0]["turns"]["gaze"], (-1, 4)))
    np.testing.assert_allclose(gaze, short.eyes.mean(axis=1) * [1, 1, 0], atol=1e-5)
    assert read[1]["turns"]["gaze"] is None  # the shapes of gaze are there
    read = [each["curves"] for each in read]
    for name, expected in vowels(short).items():
        curve = read[0][name]
        np.testing.assert_allclose(np.interp(short.times_s, curve["times"], curve["values"]), expected, atol=5e-3)
    assert set(read[1]) == set(arkit.NAMES)
    np.testing.assert_allclose(read[1]["jawOpen"]["values"], short.column("jawOpen"), atol=1e-6)


def test_blender_imports_the_head_with_its_shape_keys_animated(short, tmp_path, blender):
    write_glb(short, tmp_path / "clip.glb")
    command = [blender, str(BLENDER), str(tmp_path / "clip.glb"), "30", "60"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    found = re.search(r"^RESULT (.*)$", done.stdout, re.MULTILINE)
    assert found, done.stdout[-1000:] + done.stderr[-2000:]
    result = json.loads(found[1])
    assert result["names"] == ["Basis", *arkit.NAMES]
    shown = [[frame[name] for name in arkit.NAMES] for frame in result["values"]]
    np.testing.assert_allclose(shown, short.frames, atol=1e-4)
    expected = [matrix(each) for each in quaternions(short.head)]
    np.testing.assert_allclose(result["turns"], expected, atol=1e-4)
