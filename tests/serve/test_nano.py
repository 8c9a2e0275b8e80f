"""The shipped model behind the server: somebody really asks, and is answered."""

import base64
import os
import sys
import tempfile
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from .dummies import fetch, of_type, post, quiet

WEIGHTS = Path(str(resources.files("exomni"))) / "weights" / "nano"

pytestmark = pytest.mark.skipif(not WEIGHTS.is_dir(), reason="the weights of nano are not here")


@pytest.fixture(scope="module")
def nano():
    from exomni.serve.backend import Backend
    from exomni.serve.config import ServerConfig

    from .dummies import Running

    server = Running(ServerConfig(port=0), Backend.load())
    yield server
    server.stop()


def test_a_spoken_question_is_heard_and_answered_in_step(nano, question):
    with nano.client() as client:
        client.append(np.concatenate([quiet(0.5), question, quiet(1.0)]))
        said = client.until("conversation.item.input_audio_transcription.completed", 60)
        assert "capital of france" in said["transcript"].lower()
        done = client.until("response.done", 60)["response"]
        assert done["status"] == "completed"
        assert "paris" in done["output"][0]["content"][0]["transcript"].lower()
        sound = b"".join(base64.b64decode(e["delta"]) for e in of_type(client.seen, "response.output_audio.delta"))
        assert np.abs(np.frombuffer(sound, "<i2")).max() > 1_000
        packed = b"".join(base64.b64decode(e["frames"]) for e in of_type(client.seen, "exomni.face.delta"))
        frames = np.frombuffer(packed, "<f4").reshape(-1, 52)
        assert len(frames) * 800 == len(sound) // 2
        assert frames.std(0).max() > 0.05
        words = [w for e in of_type(client.seen, "exomni.caption.delta") for w in e["words"]]
        paris = next(w for w in words if "paris" in w["text"].lower())
        assert 0 <= paris["start_sample"] < paris["end_sample"] <= len(sound) // 2


def test_a_typed_conversation_goes_on(nano):
    with nano.client() as client:
        first = client.ask("What is the capital of Italy?")
        assert "rome" in of_type(first, "response.output_audio_transcript.done")[0]["transcript"].lower()
        kinds = [event["type"] for event in first]
        assert kinds.index("response.output_audio.delta") < len(kinds) - 8
        assert client.ask("Thank you!")[-1]["response"]["status"] == "completed"


def test_speech_and_faces_over_http(nano, question):
    request = {"model": "tts-1", "input": "Good morning!", "response_format": "pcm"}
    status, _, data = post(nano, "/v1/audio/speech", request)
    assert status == 200
    assert 0.5 < len(data) / 48_000 < 3
    from exomni.pipeline.results import wav_bytes

    recording = base64.b64encode(wav_bytes(question)).decode()
    status, _, answer = post(nano, "/v1/animate", {"audio": recording})
    assert status == 200
    assert abs(answer["face"]["n_frames"] - len(question) / 800) <= 1


class Writes:
    """What is opened to be written, made or moved while one looks; a hook that audits cannot be taken away."""

    _MOVES = ("os.mkdir", "os.rename", "os.link", "os.symlink", "os.truncate", "os.chmod")

    def __init__(self):
        self.paths: list[Path] = []
        self._looking = False
        sys.addaudithook(self._note)

    def __enter__(self) -> "Writes":
        self._looking = True
        return self

    def __exit__(self, *_) -> None:
        self._looking = False

    def _note(self, event: str, about: tuple) -> None:
        if not self._looking:
            return
        if event == "open" and about[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            self._keep(about[0])
        elif event in self._MOVES:
            for path in about[:2]:
                self._keep(path)

    def _keep(self, path) -> None:
        if isinstance(path, str | bytes | os.PathLike) and os.fsdecode(path) != os.devnull:
            self.paths.append(Path(os.path.abspath(os.fsdecode(path))))


def test_a_server_writes_nothing_outside_its_folders(nano, question, tmp_path, monkeypatch):
    from exomni.assets.table import cache_folder
    from exomni.pipeline.results import wav_bytes

    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    head = b'--XX\r\nContent-Disposition: form-data; name="audio"; filename="../../evil.wav"\r\n\r\n'
    body = head + wav_bytes(question) + b"\r\n--XX--\r\n"
    with Writes() as writes, nano.client() as client:
        (tmp_path / "seen").write_text("so this is noticed")
        assert writes.paths == [tmp_path / "seen"]
        writes.paths.clear()
        client.append(np.concatenate([quiet(0.5), question, quiet(1.0)]))
        client.until("response.done", 60)
        status, _, answer = post(nano, "/v1/animate", body, content_type="multipart/form-data; boundary=XX")
        assert status == 200
        for name in ("a2f", "livelink-csv", "npz", "wav"):
            assert fetch(nano, f"/v1/exports/{answer['id']}/{name}")[0] == 200
        assert post(nano, "/v1/audio/speech", {"model": "tts-1", "input": "Hello!", "response_format": "mp3"})[0] == 200
    ours = (cache_folder(), scratch)
    assert [path for path in writes.paths if not any(path.is_relative_to(folder) for folder in ours)] == []
