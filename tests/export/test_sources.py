import json
from dataclasses import dataclass

import numpy as np
import pytest
import soundfile

from exomni.core import arkit
from exomni.core.errors import FormatError, InputError
from exomni.core.timebase import SAMPLE_HZ
from exomni.export.a2f import write_a2f
from exomni.export.face_sources import load
from exomni.export.livelink_csv import write_livelink_csv
from exomni.export.tables import write_csv, write_npz, write_parquet
from exomni.export.track import FaceTrack


@pytest.fixture
def saved(track, tmp_path):
    """A folder as `talk -o DIR` leaves it."""
    write_a2f(track, tmp_path / "face.json", "speech.wav")
    write_livelink_csv(track, tmp_path / "face.csv")
    soundfile.write(tmp_path / "speech.wav", track.audio, SAMPLE_HZ, subtype="PCM_16")
    (tmp_path / "reply.json").write_text(
        json.dumps({"text": track.text, "words": [{"text": "Good", "start_s": 0.1, "end_s": 0.3}]})
    )
    return tmp_path


def test_a_saved_result_comes_in_whole(saved, track):
    reading = load(saved)
    assert reading.format == "result"
    assert reading.notes == ()
    assert (reading.track.frames == track.frames).all()
    assert reading.track.fps == 30
    np.testing.assert_allclose(reading.track.head, track.head, atol=1e-7)
    np.testing.assert_allclose(reading.track.audio, track.audio, atol=1e-4)
    assert reading.track.text == track.text
    assert reading.track.words[0].text == "Good"


def test_a_result_with_pieces_missing(saved):
    (saved / "speech.wav").unlink()
    (saved / "reply.json").unlink()
    (saved / "face.json").unlink()
    reading = load(saved)
    assert reading.track.n_frames == 90
    assert "there is no speech.wav" in reading.notes
    (saved / "face.csv").unlink()
    with pytest.raises(InputError, match="neither face"):
        load(saved)


def test_audio_of_another_length_is_told(saved, track):
    soundfile.write(saved / "speech.wav", track.audio[: SAMPLE_HZ * 2], SAMPLE_HZ)
    assert any("1.000 s shorter than the animation" in note for note in load(saved).notes)


def test_damaged_pieces_are_refused(saved):
    (saved / "reply.json").write_text('{"text": "a",\n "words": [1]}')
    with pytest.raises(FormatError, match=r"reply\.json: 'words'"):
        load(saved)
    (saved / "reply.json").write_text('{"text": \n')
    with pytest.raises(FormatError, match=r"reply\.json, line 2"):
        load(saved)
    (saved / "reply.json").unlink()
    (saved / "speech.wav").write_bytes(b"RIFF of nothing")
    with pytest.raises(FormatError, match=r"speech\.wav"):
        load(saved)


@pytest.mark.parametrize(
    ("name", "write", "kind"),
    [
        ("a.json", write_a2f, "a2f"),
        ("a.CSV", write_livelink_csv, "livelink-csv"),
        ("b.csv", write_csv, "csv"),
        ("a.parquet", write_parquet, "parquet"),
        ("a.npz", write_npz, "npz"),
    ],
)
def test_files_are_known_by_what_they_hold(name, write, kind, track, tmp_path):
    write(track, tmp_path / name)
    reading = load(str(tmp_path / name))
    assert reading.format == kind
    np.testing.assert_allclose(reading.track.arkit(), track.arkit(), atol=1e-7)


def test_objects(track):
    @dataclass
    class Result:
        track: FaceTrack

    assert load(track).track is track
    assert load(Result(track)).track is track
    assert load(load(track)).track is track
    assert load(track.frames, fps=30, order="exomni").track.names == arkit.NAMES
    by_name = load({"jawOpen": [0, 1], "MouthClose": [0.5, 0.5]}, fps=25).track
    assert by_name.column("mouthClose").tolist() == [0.5, 0.5]
    assert by_name.fps == 25
    for wrong in (3, None, object()):
        with pytest.raises(InputError, match="has no face"):
            load(wrong)
    with pytest.raises(FormatError):
        load({"jawOpen": [0, 1], "mouthClose": [0]}, fps=25)


def test_audio_may_be_given(saved, track):
    reading = load(saved / "face.json", audio=saved / "speech.wav")
    assert reading.track.sample_hz == SAMPLE_HZ
    assert len(reading.track.audio) == len(track.audio)


def test_other_files_are_refused(tmp_path):
    (tmp_path / "a.fbx").write_bytes(b"Kaydara")
    with pytest.raises(InputError, match=r"no face is read from '.fbx'"):
        load(tmp_path / "a.fbx")
    with pytest.raises(InputError, match="cannot read"):
        load(tmp_path / "nothing.json")
    (tmp_path / "a.csv").write_bytes(b"\xff\xd8\xff\xe0 a picture")
    with pytest.raises(FormatError, match="is not text"):
        load(tmp_path / "a.csv")
