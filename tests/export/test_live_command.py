"""`exomni live` as a person types it: from a saved face, from a microphone, from those who connect."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import types

import numpy as np
import pytest
from pylivelinkface import PyLiveLinkFace

from exomni import cli
from exomni.export.a2f import write_a2f
from exomni.pipeline.results import wav_bytes


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Function that runs a command line in an empty folder: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def go(*args):
        monkeypatch.setattr(sys, "argv", ["exomni", *map(str, args)])
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code or 0
        return code, *capsys.readouterr()

    return go


@pytest.fixture
def ear():
    """A UDP port that remembers what comes; a function gives it."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    listener.bind(("127.0.0.1", 0))
    listener.settimeout(0.5)

    def heard():
        faces = []
        try:
            while True:
                faces.append(PyLiveLinkFace.decode(listener.recv(4096))[1])
        except TimeoutError:
            return faces

    yield types.SimpleNamespace(port=listener.getsockname()[1], heard=heard)
    listener.close()


def test_a_saved_face_is_sent_and_served(run, track, tmp_path, ear):
    short = track.replace(frames=track.frames[:15], head=None, eyes=None, audio=None, sample_hz=None)
    write_a2f(short, tmp_path / "face.json")
    code, out, err = run("live", "face.json", "--to", f"livelink://127.0.0.1:{ear.port}", "--serve", "127.0.0.1:0")
    assert (code, err) == (0, "")
    assert "frames sent" in out
    assert len(ear.heard()) >= 4


def test_a_microphone_gets_a_face_until_ctrl_c(run, omni, monkeypatch, speechlike, ear):
    """The tiny model hears five seconds; then somebody presses Ctrl-C."""
    sound = speechlike(5.0, 24_000)

    class Mic:
        def __init__(self, samplerate, channels, blocksize, device, callback):
            self.callback, self.size = callback, blocksize

        def start(self):
            threading.Thread(target=self.speak).start()

        def speak(self):
            for i in range(0, len(sound), self.size):
                time.sleep(self.size / 24_000)
                self.callback(sound[i : i + self.size, None], len(sound[i : i + self.size]), None, None)
            os.kill(os.getpid(), signal.SIGINT)

        def close(self):
            pass

    info = {"default_samplerate": 24_000.0, "index": 0}
    card = types.SimpleNamespace(InputStream=Mic, PortAudioError=OSError, query_devices=lambda *_: info)
    monkeypatch.setitem(sys.modules, "sounddevice", card)
    monkeypatch.setattr("exomni.pipeline.exomni.ExOmni.load", lambda preset="nano", **_: omni)
    heeded = signal.signal(signal.SIGINT, signal.default_int_handler)  # a run in the background has it ignored
    code, _, err = run("live", "--mic", "--to", f"livelink://127.0.0.1:{ear.port}")
    signal.signal(signal.SIGINT, heeded)
    assert code == 0, err
    assert "ms behind the voice" in err
    faces = ear.heard()
    assert len(faces) > 10
    assert any(faces[0]._blend_shapes)
    assert not any(faces[-1]._blend_shapes)


def _heed_ctrl_c() -> None:
    """A test run in the background has Ctrl+C ignored, and hands that down."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_a_relay_sends_faces_on_and_ends_with_ctrl_c(ear):
    from websockets.sync.client import connect

    command = [sys.executable, "-c", "from exomni.cli import main; main()", "live", "--serve", "127.0.0.1:0"]
    command += ["--to", f"livelink://127.0.0.1:{ear.port}"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=_heed_ctrl_c) as server:
        address = server.stderr.readline().split()[2].rstrip(";")
        with connect(address) as puppeteer:
            puppeteer.send(json.dumps({"type": "face", "weights": {"jawOpen": 0.5}}))
            faces = ear.heard()
            server.send_signal(signal.SIGINT)
            try:
                assert server.wait(60) == 0
            finally:
                server.kill()
        assert server.stderr.read() == ""
    assert [max(face._blend_shapes) for face in faces] == [0.5]
    assert not any(ear.heard()[-1]._blend_shapes)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--to", "osc://127.0.0.1"], "give a source, --mic or --serve"),
        (["face.json"], "say where the face goes"),
        (["face.json", "--mic", "--to", "osc://127.0.0.1"], "either a source or --mic"),
        (["--mic", "--play", "--to", "osc://127.0.0.1"], "for a source that is there as a whole"),
        (["--serve", "nowhere:x"], "nowhere:x"),
        (["face.json", "--to", "http://127.0.0.1"], "is no destination"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, message, run, track, tmp_path):
    write_a2f(track, tmp_path / "face.json")
    code, _, err = run("live", *arguments)
    assert code == 2
    assert message in err
    assert "Traceback" not in err


def test_no_microphone_is_told(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    code, _, err = run("live", "--mic", "--to", "osc://127.0.0.1")
    assert code == 1
    assert "pip install 'exomni[sound]'" in err


def test_options_of_a_nameless_table(run, moving, tmp_path):
    np.savetxt(tmp_path / "a.csv", moving(40), delimiter=",")
    (tmp_path / "a.wav").write_bytes(wav_bytes(np.zeros(32_000, np.float32), 24_000))
    code, _, err = run(
        "export", "a.csv", "--to", "npz=a.npz", "--fps", "30", "--order", "livelink-csv", "--audio", "a.wav"
    )
    assert code == 0
    assert "in the order 'livelink-csv'" in err
    arrays = np.load(tmp_path / "a.npz")
    assert arrays["names"][0] == "eyeBlinkLeft"
    assert len(arrays["audio"]) == 32_000
    code, _, err = run("inspect", "a.csv", "--fps", "30", "--order", "upside-down")
    assert code == 2
    assert "no order 'upside-down'" in err
    code, _, err = run("export", "a.npz", "--to", "vrma-perfect-sync", "--casing", "upper")
    assert code == 2
    assert "no casing 'upper'" in err
    run("export", "a.npz", "--to", "godot=a.tres", "--mesh", "Body/Face")
    assert 'NodePath("Body/Face:blend_shapes/jawOpen")' in (tmp_path / "a.tres").read_text()
