import re

import pytest

from exomni.core import arkit
from exomni.core.errors import FormatError
from exomni.export.names import canonical, pascal, understand

SPELLINGS = {
    "camelCase": lambda n: n,
    "PascalCase": pascal,
    "the _L/_R convention": lambda n: re.sub("(Left|Right)$", lambda m: "_" + m[0][0], n),
    "camelCase behind a mesh name": lambda n: "blendShape1." + n,
    "snake_case": lambda n: re.sub("([A-Z])", r"_\1", n).lower(),
    "another spelling": str.upper,
}


@pytest.mark.parametrize("convention", SPELLINGS)
def test_every_spelling_of_the_52(convention):
    naming = understand([SPELLINGS[convention](n) for n in reversed(arkit.NAMES)])
    assert naming.convention == convention
    assert [naming.columns[n] for n in reversed(arkit.NAMES)] == list(range(52))
    assert not naming.missing
    assert not naming.foreign
    assert bool(naming.notes()) == (convention != "camelCase")


def test_mediapipe_has_neutral_and_no_tongue():
    naming = understand(["_neutral", *(n for n in arkit.NAMES if n != "tongueOut")])
    assert naming.convention == "MediaPipe's order"
    assert naming.missing == ("tongueOut",)
    assert "_neutral" not in naming.columns
    assert naming.columns["browDownLeft"] == 1


def test_endings_with_a_dot_or_dash():
    assert canonical("eyeBlink.L") == canonical("Eye-Blink-L") == "eyeBlinkLeft"
    assert canonical("Face:jaw_open") == "jawOpen"
    assert canonical("aa") is None


def test_no_two_shapes_share_a_spelling():
    plain = [re.sub("(left|right)$", lambda m: m[0][0], n.lower()) for n in arkit.NAMES]
    assert len(set(plain) | {n.lower() for n in arkit.NAMES}) == len(plain) + sum(
        n.endswith(("Left", "Right")) for n in arkit.NAMES
    )


def test_two_columns_of_one_shape_are_refused():
    with pytest.raises(FormatError, match=r"'eyeBlinkLeft' and 'EyeBlink_L' \(column 2\)"):
        understand(["eyeBlinkLeft", "EyeBlink_L"])
