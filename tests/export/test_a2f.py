import json

import numpy as np
import pytest

from exomni.core import arkit
from exomni.core.errors import FormatError, InputError
from exomni.export.a2f import read_a2f, write_a2f


def document(**changes):
    good = {
        "exportFps": 30.0,
        "trackPath": "a.wav",
        "numPoses": 2,
        "numFrames": 2,
        "facsNames": ["jawOpen", "mouthClose"],
        "weightMat": [[0.0, 0.5], [1.0, 0.25]],
    }
    return {key: value for key, value in (good | changes).items() if value is not None}


def test_what_is_written_reads_back_to_the_bit(track, tmp_path):
    write_a2f(track, tmp_path / "face.json", "speech.wav")
    reading = read_a2f(tmp_path / "face.json")
    assert reading.track.names == track.names
    assert reading.track.fps == track.fps
    assert (reading.track.frames == track.frames).all()
    assert reading.notes == ()


def test_the_keys_and_their_order_are_audio2faces(track, tmp_path):
    write_a2f(track, tmp_path / "face.json", "speech.wav")
    written = json.loads((tmp_path / "face.json").read_text())
    assert list(written) == ["exportFps", "trackPath", "numPoses", "numFrames", "facsNames", "weightMat"]
    assert (written["exportFps"], written["trackPath"]) == (30.0, "speech.wav")
    assert (written["numPoses"], written["numFrames"]) == (52, 90)
    assert written["facsNames"] == list(arkit.NAMES)
    assert np.shape(written["weightMat"]) == (90, 52)


def test_ntsc_stays_exact(track, tmp_path):
    write_a2f(track.replace(fps=29.97), tmp_path / "face.json")
    assert read_a2f(tmp_path / "face.json").track.fps == track.replace(fps=29.97).fps


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weightMat": [[0.0, 0.5], [1.0]]}, "frame 1 has 1 weights where 'facsNames' has 2"),
        ({"weightMat": [[0.0, 0.5], 3]}, "frame 1 has no weights"),
        ({"weightMat": []}, "'numFrames' is 2 but there are 0"),
        ({"weightMat": [], "numFrames": 0}, "single frame"),
        ({"weightMat": [[0.0, 0.5], [1.0, "x"]]}, "something else than numbers"),
        ({"weightMat": [[0.0, 0.5], [1.0, float("nan")]]}, "nan at frame 1, mouthClose"),
        ({"numFrames": 3}, "truncated"),
        ({"numPoses": 3}, "'numPoses' is 3"),
        ({"facsNames": ["foo", "bar"]}, "not one of the 2 names"),
        ({"facsNames": ["jawOpen", "JawOpen"]}, "are both jawOpen"),
        ({"facsNames": None}, "no list 'facsNames'"),
        ({"exportFps": None}, "no 'exportFps'"),
        ({"exportFps": 0}, "frame rate"),
    ],
)
def test_what_does_not_hold_together_is_refused(changes, message, tmp_path):
    path = tmp_path / "face.json"
    path.write_text(json.dumps(document(**changes)))
    with pytest.raises(FormatError, match=message):
        read_a2f(path)


def test_a_file_cut_off_tells_the_line(track, tmp_path):
    path = tmp_path / "face.json"
    write_a2f(track, path)
    path.write_text(path.read_text()[:-3000])
    with pytest.raises(FormatError, match=r"face.json, line \d+"):
        read_a2f(path)


def test_no_file_and_an_empty_file(tmp_path):
    with pytest.raises(InputError):
        read_a2f(tmp_path / "none.json")
    (tmp_path / "empty.json").write_text("  \n")
    with pytest.raises(FormatError, match="empty"):
        read_a2f(tmp_path / "empty.json")


def test_a_rate_may_be_given(tmp_path):
    path = tmp_path / "face.json"
    path.write_text(json.dumps(document(exportFps=None)))
    assert read_a2f(path, fps=25).track.fps == 25


def test_other_names_are_kept_and_told(tmp_path):
    path = tmp_path / "face.json"
    path.write_text(json.dumps(document(facsNames=["jawOpen", "tongueRollUp"])))
    reading = read_a2f(path)
    assert reading.track.names == ("jawOpen", "tongueRollUp")
    assert any("tongueRollUp" in note for note in reading.notes)
    assert any("51 of the 52 shapes are missing" in note for note in reading.notes)
