from fractions import Fraction

import numpy as np
import pytest

from exomni.core import arkit
from exomni.core.errors import FormatError
from exomni.export.track import FaceTrack, as_rate


@pytest.mark.parametrize(
    ("given", "exact"),
    [
        (30, Fraction(30)),
        (30.0, Fraction(30)),
        ("30", Fraction(30)),
        ("29.97", Fraction(30000, 1001)),
        ("30000/1001", Fraction(30000, 1001)),
        (29.97, Fraction(30000, 1001)),
        (30000 / 1001, Fraction(30000, 1001)),
        (59.94, Fraction(60000, 1001)),
        (23.976, Fraction(24000, 1001)),
        (12.5, Fraction(25, 2)),
    ],
)
def test_rates_are_exact(given, exact):
    assert as_rate(given) == exact


@pytest.mark.parametrize("given", [0, -30, 2000, float("nan"), float("inf"), None, "fast"])
def test_what_is_no_rate_is_refused(given):
    with pytest.raises(FormatError):
        as_rate(given)


def test_ten_minutes_of_ntsc_have_an_exact_duration():
    track = FaceTrack(("jawOpen",), 29.97, np.zeros((17982, 1)))
    assert track.duration_s == Fraction(17982 * 1001, 30000)


def test_columns_are_found_by_name_and_missing_ones_rest():
    track = FaceTrack(("mouthFunnel", "jawOpen"), 30, [[0.25, 1.0], [0.5, 0.0]])
    assert track.column("jawOpen").tolist() == [1.0, 0.0]
    assert track.select(["jawOpen", "tongueOut", "mouthFunnel"]).tolist() == [[1, 0, 0.25], [0, 0, 0.5]]
    assert track.arkit()[:, arkit.INDEX["mouthFunnel"]].tolist() == [0.25, 0.5]


def test_arrays_cannot_be_changed_behind_the_track():
    source = np.zeros((2, 1), np.float32)
    track = FaceTrack(("jawOpen",), 30, source)
    source[0, 0] = 1
    assert track.frames[0, 0] == 0
    with pytest.raises(ValueError, match="read-only"):
        track.frames[0, 0] = 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"names": ()}, "single blendshape name"),
        ({"names": ("jawOpen", "jawOpen")}, "twice: jawOpen"),
        ({"names": ("jawOpen", "")}, "not a blendshape name"),
        ({"frames": np.zeros((0, 2))}, "single frame"),
        ({"frames": np.zeros((4, 3))}, r"\[4, 3\] where \[4, 2\]"),
        ({"frames": [[0, 0], [0, np.nan]]}, "nan at frame 1, mouthClose"),
        ({"frames": [[0, 0], [0]]}, "different length"),
        ({"head": np.zeros((3, 3))}, "head rotation"),
        ({"eyes": np.zeros((4, 6))}, "eye rotation"),
        ({"audio": np.zeros(5)}, "come together"),
        ({"audio": [0, np.inf], "sample_hz": 24000}, "audio: inf at index 1"),
        ({"audio": np.zeros(2), "sample_hz": 0}, "sample rate"),
    ],
)
def test_a_wrong_field_is_named(changes, message):
    good = {"names": ("jawOpen", "mouthClose"), "fps": 30, "frames": np.zeros((4, 2))}
    with pytest.raises(FormatError, match=message):
        FaceTrack(**(good | changes))
