"""Faces to export."""

import json
import shutil
import struct
import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from exomni.core import arkit
from exomni.core.timebase import FRAME_HZ, SAMPLE_HZ, SAMPLES_PER_FRAME
from exomni.export.track import FaceTrack

NODE = Path(__file__).parent / "node"


@pytest.fixture(scope="session")
def node_packages() -> Path:
    """The folder of our Node.js programs, with the packages that they need."""
    if shutil.which("npm") is None:
        pytest.skip("needs Node.js")
    wanted = json.loads((NODE / "package.json").read_text())["dependencies"]
    if not all((NODE / "node_modules" / name).is_dir() for name in wanted):
        command = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=NODE, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"npm cannot install: {done.stderr[-300:]}")
    return NODE


def _user_head(path, names, *, where="mesh", vrm=None):
    """A small glTF file as an avatar tool would make it: two meshes, the second with the eyelids alone, a head bone."""
    points = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], "<f4")
    lids = [i for i, name in enumerate(names) if "link" in name.lower()]
    blob = points.tobytes() + np.array([0.0, 1.0], "<f4").tobytes()
    for i in range(len(names)):
        blob += (points * 0 + i / 100).astype("<f4").tobytes()
    views = [
        {"buffer": 0, "byteOffset": 0, "byteLength": 36},
        {"buffer": 0, "byteOffset": 36, "byteLength": 8},
    ]
    views += [{"buffer": 0, "byteOffset": 44 + 36 * i, "byteLength": 36} for i in range(len(names))]
    vec3 = {"componentType": 5126, "count": 3, "type": "VEC3"}
    accessors = [{**vec3, "bufferView": 0, "min": [0, 0, 0], "max": [1, 1, 0]}]
    accessors.append({"bufferView": 1, "componentType": 5126, "count": 2, "type": "SCALAR", "min": [0], "max": [1]})
    for i in range(len(names)):
        edge = [float(np.float32(i / 100))] * 3
        accessors.append({**vec3, "bufferView": 2 + i, "min": edge, "max": edge})

    def mesh(name, chosen):
        primitive = {"attributes": {"POSITION": 0}, "targets": [{"POSITION": 2 + i} for i in chosen]}
        holder = primitive if where == "primitive" else {}
        if where != "nowhere":
            holder["extras"] = {"targetNames": [names[i] for i in chosen]}
        return {"name": name, "primitives": [primitive], **(holder if where == "mesh" else {})}

    document = {
        "asset": {"version": "2.0", "generator": "somebody's tool"},
        "scene": 0,
        "scenes": [{"nodes": [0, 1, 2]}],
        "nodes": [
            {"name": "Hips", "children": [3], "rotation": [0.5, 0.5, 0.5, 0.5]},
            {"name": "Face", "mesh": 0},
            {"name": "Lids", "mesh": 1, "extras": {"kept": True}},
            {"name": "J_Bip_C_Head", "rotation": [0.6, 0, 0.8, 0]},
        ],
        "meshes": [mesh("Face", range(len(names))), mesh("Lids", lids)],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": len(blob)}],
    }
    document |= vrm or {}
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    blob += b"\0" * (-len(blob) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(blob), b"BIN\0") + blob
    path.write_bytes(struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks)
    return path


def _moving(n_frames: int, n_shapes: int = arkit.K, fps: float = FRAME_HZ, seed: int = 0) -> np.ndarray:
    """Smooth curves in 0..1 that differ from shape to shape, float32 [n_frames, n_shapes]."""
    rng = np.random.default_rng(seed)
    times = np.arange(n_frames)[:, None] / fps
    rate, phase = rng.uniform(0.5, 2.0, n_shapes), rng.uniform(0, 6.28, n_shapes)
    return (0.5 + 0.45 * np.sin(6.28 * rate * times + phase)).astype(np.float32)


@pytest.fixture(scope="session")
def user_head():
    """The function above that makes somebody's head, for tests to call."""
    return _user_head


@pytest.fixture
def moving():
    """The function above that makes curves, for tests to call."""
    return _moving


@pytest.fixture
def track() -> FaceTrack:
    """Three seconds at 30 frames a second with rotations, a tone and text."""
    n_frames = 3 * FRAME_HZ
    turns = _moving(n_frames, 9, seed=1) - 0.5
    samples = 0.3 * np.sin(np.arange(n_frames * SAMPLES_PER_FRAME) / SAMPLE_HZ * 6.28 * 220)
    return FaceTrack(
        names=arkit.NAMES,
        fps=Fraction(FRAME_HZ),
        frames=_moving(n_frames),
        head=turns[:, :3] * 0.3,
        eyes=turns[:, 3:].reshape(-1, 2, 3) * 0.2,
        audio=samples,
        sample_hz=SAMPLE_HZ,
        text="Good morning to you all.",
    )
