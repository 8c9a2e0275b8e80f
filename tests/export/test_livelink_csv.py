from fractions import Fraction

import numpy as np
import pytest

from exomni.core import arkit
from exomni.core.errors import FormatError
from exomni.export.livelink_csv import HEADER, is_livelink_header, read_livelink_csv, write_livelink_csv

CAPTURE_HEADER = (
    "Timecode,BlendShapeCount,EyeBlinkLeft,EyeLookDownLeft,EyeLookInLeft,EyeLookOutLeft,EyeLookUpLeft,"
    "EyeSquintLeft,EyeWideLeft,EyeBlinkRight,EyeLookDownRight,EyeLookInRight,EyeLookOutRight,EyeLookUpRight,"
    "EyeSquintRight,EyeWideRight,JawForward,JawRight,JawLeft,JawOpen,MouthClose,MouthFunnel,MouthPucker,"
    "MouthRight,MouthLeft,MouthSmileLeft,MouthSmileRight,MouthFrownLeft,MouthFrownRight,MouthDimpleLeft,"
    "MouthDimpleRight,MouthStretchLeft,MouthStretchRight,MouthRollLower,MouthRollUpper,MouthShrugLower,"
    "MouthShrugUpper,MouthPressLeft,MouthPressRight,MouthLowerDownLeft,MouthLowerDownRight,MouthUpperUpLeft,"
    "MouthUpperUpRight,BrowDownLeft,BrowDownRight,BrowInnerUp,BrowOuterUpLeft,BrowOuterUpRight,CheekPuff,"
    "CheekSquintLeft,CheekSquintRight,NoseSneerLeft,NoseSneerRight,TongueOut,HeadYaw,HeadPitch,HeadRoll,"
    "LeftEyeYaw,LeftEyePitch,LeftEyeRoll,RightEyeYaw,RightEyePitch,RightEyeRoll"
)


def capture(stamps, values=None, header=CAPTURE_HEADER, count=61):
    n_values = len(header.split(",")) - 2
    values = np.full((len(stamps), n_values), 0.25) if values is None else values
    rows = [
        ",".join([stamp, str(count), *(f"{v:.10f}" for v in row)]) for stamp, row in zip(stamps, values, strict=True)
    ]
    return "\n".join([header, *rows]) + "\n"


def put(tmp_path, text):
    path = tmp_path / "take.csv"
    path.write_text(text)
    return path


def test_the_header_is_a_captures_to_the_byte(track, tmp_path):
    write_livelink_csv(track, tmp_path / "face.csv")
    first, *rest = (tmp_path / "face.csv").read_bytes().split(b"\n")
    assert first.decode() == CAPTURE_HEADER
    assert rest[-1] == b""
    assert len(rest) == track.n_frames + 1


def test_rows_are_written_to_the_byte(tmp_path, track):
    one = np.zeros((31, 52), np.float32)
    one[30, arkit.INDEX["jawLeft"]] = 0.125
    write_livelink_csv(
        track.replace(frames=one, head=np.full((31, 3), -0.5), eyes=None, start_s=3661), tmp_path / "face.csv"
    )
    row = (tmp_path / "face.csv").read_text().splitlines()[31].split(",")
    assert row[:2] == ["01:01:02:00.000", "61"]
    assert row[HEADER.index("JawLeft")] == "0.1250000000"
    assert row[HEADER.index("JawRight")] == "0.0000000000"
    assert row[-9:] == ["-0.5000000000"] * 3 + ["0.0000000000"] * 6
    assert len(row) == 63


def test_what_is_written_reads_back_equal(track, tmp_path):
    write_livelink_csv(track, tmp_path / "face.csv")
    reading = read_livelink_csv(tmp_path / "face.csv")
    assert reading.notes == ()
    assert reading.track.fps == 30
    assert reading.track.start_s == 0
    np.testing.assert_allclose(reading.track.arkit(), track.frames, atol=6e-11, rtol=1e-7)
    np.testing.assert_allclose(reading.track.head, track.head, atol=6e-11, rtol=1e-7)
    np.testing.assert_allclose(reading.track.eyes, track.eyes, atol=6e-11, rtol=1e-7)


def test_a_capture_comes_out_as_it_went_in(tmp_path):
    stamps = [f"14:03:{52 + i // 60}:{i % 60:02d}.207" for i in range(28, 200)]
    text = capture(stamps, np.random.default_rng(0).random((len(stamps), 61)).astype(np.float32))
    reading = read_livelink_csv(put(tmp_path, text))
    assert reading.track.fps == 60
    assert reading.notes == ()
    write_livelink_csv(reading.track, tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_text() == text


@pytest.mark.parametrize("spelling", ["BlendShapeCount", "BlendshapeCount"])
def test_both_spellings_of_the_count_are_read(spelling, tmp_path):
    header = CAPTURE_HEADER.replace("BlendShapeCount", spelling)
    assert is_livelink_header(header)
    text = capture(["00:00:00:00.000", "00:00:00:01.000"], header=header)
    assert read_livelink_csv(put(tmp_path, text)).track.n_frames == 2


def test_columns_are_matched_by_name(tmp_path):
    header = CAPTURE_HEADER.replace("JawRight,JawLeft", "JawLeft,JawRight")
    values = np.zeros((2, 61))
    values[:, header.split(",").index("JawLeft") - 2] = 0.75
    reading = read_livelink_csv(put(tmp_path, capture(["00:00:00:00", "00:00:00:01"], values, header)))
    assert reading.track.column("jawLeft").tolist() == [0.75, 0.75]
    assert any("matched by name" in note for note in reading.notes)


def test_51_shapes_without_tongue_and_rotations(tmp_path):
    header = CAPTURE_HEADER.split(",TongueOut")[0]
    text = capture(["00:00:00:00.000"], header=header, count=51)
    reading = read_livelink_csv(put(tmp_path, text))
    assert len(reading.track.names) == 51
    assert reading.track.head is None
    assert any("1 of the 52 shapes are missing: tongueOut" in note for note in reading.notes)


def test_missing_frames_and_lost_faces_are_interpolated(tmp_path):
    text = capture(
        [f"10:00:0{1 + i // 60}:{i % 60:02d}.500" for i in range(55, 70)],
        np.arange(15)[:, None] / 20 * np.ones((1, 61)),
    )
    lines = text.splitlines()
    lines[4] = lines[4].split(",")[0] + ",0" + "," * 61
    del lines[8]
    reading = read_livelink_csv(put(tmp_path, "\n".join(lines)))
    np.testing.assert_allclose(reading.track.column("jawOpen"), np.arange(15) / 20, atol=1e-6)
    assert any("2 of 15 frames" in note and "line" in note for note in reading.notes)


def test_jitter_of_subframes_moves_nothing(tmp_path):
    rng = np.random.default_rng(0)
    ticks = np.arange(300) + 0.5 + rng.uniform(-0.3, 0.3, 300)
    stamps = [f"10:00:{int(t) // 60:02d}:{int(t) % 60:02d}.{int(t % 1 * 1000):03d}" for t in ticks]
    values = rng.random((300, 61))
    reading = read_livelink_csv(put(tmp_path, capture(stamps, values)))
    np.testing.assert_allclose(reading.track.column("eyeBlinkLeft"), values[:, 0], atol=1e-7)


def test_a_30_fps_capture_in_60_fps_timecode(tmp_path):
    stamps = [f"10:00:{i // 60:02d}:{i % 60:02d}.000" for i in range(0, 240, 2)]
    reading = read_livelink_csv(put(tmp_path, capture(stamps)))
    assert (reading.track.fps, reading.track.n_frames) == (30, 120)


def test_midnight_is_passed(tmp_path):
    stamps = ["23:59:59:58.000", "23:59:59:59.000", "00:00:00:00.000", "00:00:00:01.000"]
    reading = read_livelink_csv(put(tmp_path, capture(stamps)))
    assert (reading.track.n_frames, reading.track.fps) == (4, 60)


def test_a_short_file_tells_which_rate_was_taken(tmp_path):
    reading = read_livelink_csv(put(tmp_path, capture(["10:00:00:10.000", "10:00:00:11.000"])))
    assert reading.track.fps == 60
    assert "60 a second" in " ".join(reading.notes)
    assert read_livelink_csv(tmp_path / "take.csv", fps=25).track.fps == 25


def test_a_spreadsheets_semicolons_and_bom_are_read(tmp_path):
    text = "\ufeff" + capture(["00:00:00:00.000"]).replace(",", ";").replace("\n", "\r\n")
    assert read_livelink_csv(put(tmp_path, text)).track.n_frames == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t[:-40], "line 4: 60 fields where the header has 63 .the last line"),
        (lambda t: t.replace("0.2500000000", "nan", 1), "line 2, EyeBlinkLeft: nan"),
        (lambda t: t.replace("0.2500000000", "", 1), "line 2, EyeBlinkLeft: '' is not a number"),
        (lambda t: t.replace("00:00:00:01.000", "00:00:00:00.000"), "line 3: its timecode does not come"),
        (lambda t: t.replace("00:00:00:01.000", "soon"), "line 3: 'soon' is not a timecode"),
        (lambda t: t.split("\n")[0] + "\n", "not a single frame"),
        (lambda t: t.replace("JawLeft", "JawRight"), "are both jawRight"),
        (lambda t: t.replace("Timecode", "Time"), "no column 'timecode'"),
        (lambda t: t.replace(":01.000", ":00.000").replace("00:00:00", "00:00:01", 1), "come after"),
    ],
)
def test_what_cannot_be_understood_is_refused_with_its_line(change, message, tmp_path):
    text = capture(["00:00:00:00.000", "00:00:00:01.000", "00:00:00:02.000"])
    with pytest.raises(FormatError, match=message):
        read_livelink_csv(put(tmp_path, change(text)))


def test_a_row_a_second_is_no_animation(tmp_path):
    with pytest.raises(FormatError, match="go on by 1 s a row"):
        read_livelink_csv(put(tmp_path, capture(["00:00:00:00.000", "00:00:01:00.000", "00:00:02:00.000"])))


def test_ntsc_timecode_counts_thirty(track, tmp_path):
    write_livelink_csv(track.replace(fps=Fraction(30000, 1001)), tmp_path / "face.csv")
    lines = (tmp_path / "face.csv").read_text().splitlines()
    assert lines[30].startswith("00:00:00:29.000")
    assert lines[31].startswith("00:00:01:00.000")
