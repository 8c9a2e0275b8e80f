"""What a result is saved as, and that a folder holds one whole result or none."""

import builtins
import errno
import io
import json
import os
import wave
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from exomni.core.arkit import NAMES
from exomni.core.errors import OutputError
from exomni.core.events import DoneEvent, FaceEvent, SpeechEvent, TextEvent
from exomni.core.timebase import SAMPLES_PER_FRAME
from exomni.export.a2f import read_a2f
from exomni.export.livelink_csv import read_livelink_csv
from exomni.pipeline.results import Reply, Timings, check_folder, collect, wav_bytes

FILES = {"speech.wav", "face.json", "face.csv", "reply.json"}


def made_reply(n_frames: int = 24, text: str = "Grüße, 日本 😀") -> Reply:
    rng = np.random.default_rng(n_frames)
    return Reply(
        text=text,
        samples=rng.uniform(-1, 1, n_frames * SAMPLES_PER_FRAME).astype(np.float32),
        units=rng.integers(0, 4000, n_frames * 5 // 12),
        frames=rng.uniform(0, 1, (n_frames, 52)).astype(np.float32),
        seed=7,
        model="m" * 64,
        data="d" * 64,
        timings=Timings(load_s=1.25, total_s=0.123456, real_time_factor=0.2),
    )


@pytest.fixture
def saved(tmp_path) -> Path:
    return made_reply().save(tmp_path / "new" / "out")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def test_there_are_four_files_and_nothing_else(saved):
    assert set(os.listdir(saved)) == FILES


def test_speech_is_pcm16_mono_24k(saved):
    with wave.open(str(saved / "speech.wav")) as file:
        assert file.getparams()[:4] == (1, 2, 24_000, 24 * 800)
        read = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32767
    np.testing.assert_allclose(read, made_reply().samples, atol=1 / 32767)


def test_loud_speech_is_clipped_and_not_wrapped():
    with wave.open(io.BytesIO(wav_bytes(np.array([1.5, -1.5, 1.0, -1.0, 0.0], np.float32)))) as file:
        values = np.frombuffer(file.readframes(5), "<i2")
    assert values.tolist() == [32767, -32767, 32767, -32767, 0]


def test_the_face_reads_back(saved):
    face = read_a2f(saved / "face.json").track
    assert face.names == NAMES
    assert face.fps == 30
    np.testing.assert_array_equal(face.frames, made_reply().frames)
    assert json.loads((saved / "face.json").read_text())["trackPath"] == "speech.wav"
    csv = read_livelink_csv(saved / "face.csv").track
    assert csv.fps == 30
    np.testing.assert_allclose(csv.select(NAMES), made_reply().frames, atol=1e-9)


def test_all_files_agree_in_length_within_a_frame(saved):
    n_frames = read_a2f(saved / "face.json").track.n_frames
    facts = json.loads((saved / "reply.json").read_text())
    with wave.open(str(saved / "speech.wav")) as file:
        assert abs(file.getnframes() - n_frames * 800) <= 800
        assert facts["duration"] == pytest.approx(file.getnframes() / 24_000)
    assert len((saved / "face.csv").read_text().splitlines()) == n_frames + 1
    assert facts["frame_count"] == n_frames


def test_reply_json_has_every_field(saved):
    facts = json.loads((saved / "reply.json").read_text(encoding="utf-8"))
    assert facts.keys() == {
        "text", "heard", "units", "sample_rate", "fps", "duration", "frame_count", "model", "data", "seed", "timings",
    }  # fmt: skip
    reply = made_reply()
    assert facts["text"] == reply.text
    assert facts["units"] == reply.units.tolist()
    assert (facts["sample_rate"], facts["fps"], facts["seed"]) == (24_000, 30, 7)
    assert (facts["model"], facts["data"]) == ("m" * 64, "d" * 64)
    assert list(facts["timings"]) == [
        "load_s", "listen_s", "llm_s", "units_s", "speech_s", "face_s", "first_audio_s", "first_face_s", "total_s",
        "real_time_factor",
    ]  # fmt: skip
    assert facts["timings"]["total_s"] == pytest.approx(0.123456, abs=1e-3)


def test_the_same_reply_gives_the_same_files(tmp_path):
    assert contents(made_reply().save(tmp_path / "a")) == contents(made_reply().save(tmp_path / "b"))


def test_a_newer_result_replaces_an_older_one(saved):
    made_reply(48, "Later.").save(saved)
    assert set(os.listdir(saved)) == FILES
    assert json.loads((saved / "reply.json").read_text())["text"] == "Later."
    assert read_a2f(saved / "face.json").track.n_frames == 48


def test_other_files_of_the_folder_stay(saved):
    (saved / "notes.txt").write_text("mine")
    made_reply().save(saved)
    assert (saved / "notes.txt").read_text() == "mine"


def no_space(*args, **kwargs):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class FullDisk:
    """Lets so many bytes be written, over all files together, and then there is no space left."""

    def __init__(self, room: int, monkeypatch):
        self.room = room
        real_open = io.open

        def limited_open(file, mode="r", *args, **kwargs):
            opened = real_open(file, mode, *args, **kwargs)
            if "w" in mode:
                opened = Limited(opened, self)
            return opened

        monkeypatch.setattr(builtins, "open", limited_open)
        monkeypatch.setattr(io, "open", limited_open)


class Limited:
    """A file on a `FullDisk`."""

    def __init__(self, file, disk: FullDisk):
        self.file, self.disk = file, disk

    def write(self, data):
        self.disk.room -= len(data)
        if self.disk.room < 0:
            self.file.write(data[: len(data) // 2])
            no_space()
        return self.file.write(data)

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.file.close()

    def __getattr__(self, name):
        return getattr(self.file, name)


@pytest.mark.parametrize("share", [0, 0.2, 0.6, 0.9, 0.999])
def test_a_full_disk_leaves_the_older_result_whole(saved, tmp_path, monkeypatch, share):
    before, size = contents(saved), size_of(made_reply(72, "Later.").save(tmp_path / "measured"))
    with monkeypatch.context() as patch:
        FullDisk(int(share * size), patch)
        with pytest.raises(OutputError, match="No space left"):
            made_reply(72, "Later.").save(saved)
    assert contents(saved) == before


@pytest.mark.parametrize("share", [0, 0.2, 0.6, 0.9, 0.999])
def test_a_full_disk_leaves_nothing_half_written(tmp_path, monkeypatch, share):
    size = size_of(made_reply(72).save(tmp_path / "measured"))
    with monkeypatch.context() as patch:
        FullDisk(int(share * size), patch)
        with pytest.raises(OutputError):
            made_reply(72).save(tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_result_needs_room_for_itself_once(tmp_path, monkeypatch):
    size = size_of(made_reply(72).save(tmp_path / "measured"))
    with monkeypatch.context() as patch:
        FullDisk(size, patch)
        made_reply(72).save(tmp_path / "out")
    assert contents(tmp_path / "out") == contents(tmp_path / "measured")


@pytest.mark.parametrize("call", ["replace", "fsync", "mkdir"])
def test_a_failing_call_of_the_system_is_an_output_error(tmp_path, monkeypatch, call):
    with monkeypatch.context() as patch:
        patch.setattr(os, call, no_space)
        with pytest.raises(OutputError):
            made_reply().save(tmp_path / "out")
    assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "out").write_text("precious")
    with pytest.raises(OutputError, match="is a file; give a folder"):
        made_reply().save(tmp_path / "out")
    with pytest.raises(OutputError, match="cannot write"):
        made_reply().save(tmp_path / "out" / "deeper")
    assert (tmp_path / "out").read_text() == "precious"


def test_a_folder_in_the_way_of_a_file(saved):
    (saved / "face.csv").unlink()
    (saved / "face.csv").mkdir()
    with pytest.raises(OutputError):
        made_reply().save(saved)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="cannot write"):
        made_reply().save(tmp_path / "out")


def test_a_place_that_not_even_root_can_write():
    with pytest.raises(OutputError, match="cannot write"):
        made_reply().save("/proc/out")


def test_events_make_up_a_reply():
    face, speech, units = np.zeros((2, 52), np.float32), np.ones(1600, np.float32), np.array([1, 2])
    timings = {"total_s": 1.5, "llm_s": 0.5, "something_else_s": 3.0}
    events = [
        TextEvent(" Hello"), FaceEvent(0, 0, face), SpeechEvent(0, speech, units, "Hello"), TextEvent(" you. "),
        FaceEvent(1600, 2, face + 1), SpeechEvent(1600, speech * 0, units + 2, "you."), DoneEvent(3200, 4, timings),
    ]  # fmt: skip
    reply = collect(events, 5, "model", "data")
    assert reply.text == "Hello you."
    assert reply.units.tolist() == [1, 2, 3, 4]
    assert (reply.frames[:, 0].tolist(), reply.samples.sum()) == ([0, 0, 1, 1], 1600)
    assert (reply.seed, reply.model, reply.data) == (5, "model", "data")
    assert reply.timings == Timings(total_s=1.5, llm_s=0.5)
    assert reply.duration_s == pytest.approx(3200 / 24_000)


def test_every_timing_is_named_in_seconds_but_the_factor():
    assert all(f.name.endswith("_s") or f.name == "real_time_factor" for f in fields(Timings))


def test_a_folder_is_tried_without_a_trace(tmp_path):
    check_folder(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    check_folder(tmp_path / "full")
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["mine.txt"]
    with pytest.raises(OutputError, match="is a file"):
        check_folder(tmp_path / "full" / "mine.txt")
    with pytest.raises(OutputError, match=r"cannot write to .*mine\.txt/deeper"):
        check_folder(tmp_path / "full" / "mine.txt" / "deeper")
