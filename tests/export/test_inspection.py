import numpy as np
import pytest

from exomni.core import arkit
from exomni.core.errors import FormatError
from exomni.export import inspect
from exomni.export.a2f import write_a2f
from exomni.export.inspection import suspicions
from exomni.export.livelink_csv import SHAPES, write_livelink_csv
from exomni.export.track import FaceTrack


@pytest.fixture
def calm(track, moving):
    """The face of a person: left and right together, nothing odd, no rotations."""
    table = 0.6 * moving(90)
    for i, name in enumerate(arkit.NAMES):
        if name.endswith("Right"):
            table[:, i] = 0.95 * table[:, arkit.INDEX[name.removesuffix("Right") + "Left"]]
    return track.replace(frames=table, head=None, eyes=None)


def told(track):
    return " | ".join(suspicions(track))


def test_a_good_file_has_no_warning(calm, tmp_path):
    write_livelink_csv(calm, tmp_path / "take.csv")
    report = inspect(tmp_path / "take.csv", plot=tmp_path / "take.png")
    assert (report.format, report.fps, report.n_frames, report.duration_s) == ("livelink-csv", 30, 90, 3)
    assert set(report.found) == set(arkit.NAMES)
    assert report.missing == report.foreign == report.warnings == report.notes == ()
    assert report.has_head
    assert report.audio_s is None
    assert (tmp_path / "take.png").stat().st_size > 10_000
    text = "\n".join(report.lines())
    assert "90 frames at 30 a second = 3.000 s" in text
    assert "52 of the 52" in text
    assert "WARNING" not in text


def test_what_is_there_and_what_is_not(calm):
    names = (*arkit.NAMES[:50], "tongueRoll")
    report = inspect(calm.replace(names=names, frames=calm.frames[:, :51]))
    assert report.missing == ("noseSneerRight", "tongueOut")
    assert report.foreign == ("tongueRoll",)
    assert report.audio_s == 3
    assert report.text == "Good morning to you all."
    jaw = report.shapes[arkit.INDEX["jawOpen"]]
    curve = calm.column("jawOpen")
    assert (jaw.low, jaw.high, jaw.moves) == (curve.min(), curve.max(), True)


def test_values_under_wrong_names(calm):
    wrong = FaceTrack(arkit.NAMES, 30, calm.select(SHAPES))
    assert "the columns look to be in the order 'livelink-csv' under wrong names" in told(wrong)
    other = FaceTrack(SHAPES, 30, calm.arkit())
    assert "in the order 'exomni'" in told(other)
    assert "order" not in told(FaceTrack(SHAPES, 30, calm.select(SHAPES)))


def test_values_out_of_range(calm):
    frames = calm.frames.copy()
    frames[40, arkit.INDEX["jawOpen"]] = 1.4
    assert "jawOpen leaves 0..1 in 1 frames from frame 40" in told(calm.replace(frames=frames))
    assert "percent rather than parts" in told(calm.replace(frames=100 * calm.frames))
    assert "are these degrees?" in told(calm.replace(head=np.full((90, 3), 20.0)))


def test_a_frozen_face(calm):
    frames = np.concatenate([calm.frames, np.repeat(calm.frames[-1:], 90, axis=0), calm.frames])
    assert "frozen for 3.0 s from 2.97 s (frame 89)" in told(FaceTrack(arkit.NAMES, 30, frames))
    still = FaceTrack(arkit.NAMES, 30, np.full((90, 52), 0.3))
    assert told(still) == "nothing moves in the whole animation"


def test_jitter_and_jumps(calm):
    noise = np.random.default_rng(0).normal(0, 0.15, 90)
    frames = calm.frames.copy()
    frames[:, arkit.INDEX["jawOpen"]] += noise
    assert "1 shapes jitter, turning back from one frame to the next: jawOpen (" in told(calm.replace(frames=frames))
    frames = calm.frames.copy()
    frames[45:, :20] = 1 - frames[45:, :20]
    frames[:45, :20] *= 0.2
    frames[45:, :20] = 0.95
    assert "the face jumps 1 times, first at frame 45 (1.50 s)" in told(calm.replace(frames=frames))


def test_sound_and_face_that_do_not_belong_together(calm):
    mute = calm.frames.copy()
    mute[:, arkit.INDEX["jawOpen"]] = 0
    assert "the jaw does not move" in told(calm.replace(frames=mute))
    assert "the audio is 1.000 s shorter" in told(calm.replace(audio=calm.audio[:48_000]))


def test_a_file_that_is_none(tmp_path, track):
    write_a2f(track, tmp_path / "a.json")
    (tmp_path / "a.json").write_text((tmp_path / "a.json").read_text()[:2000])
    with pytest.raises(FormatError, match="line"):
        inspect(tmp_path / "a.json")
