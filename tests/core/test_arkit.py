import pytest

from exomni.core import arkit
from exomni.core.errors import FormatError


def test_there_are_52_names_in_alphabetical_order():
    assert arkit.K == len(set(arkit.NAMES)) == 52
    assert list(arkit.NAMES) == sorted(arkit.NAMES)
    assert [arkit.INDEX[name] for name in arkit.NAMES] == list(range(52))


def test_left_and_right_come_in_pairs():
    lefts = {name.removesuffix("Left") for name in arkit.NAMES if name.endswith("Left")}
    rights = {name.removesuffix("Right") for name in arkit.NAMES if name.endswith("Right")}
    assert lefts == rights
    assert len(lefts) == 20


def test_expression_and_mouth_share_no_shape():
    assert not set(arkit.EXPRESSION) & set(arkit.MOUTH)
    assert {"mouthSmileLeft", "browInnerUp", "eyeSquintRight"} <= set(arkit.EXPRESSION)
    assert {"jawOpen", "mouthClose", "tongueOut"} <= set(arkit.MOUTH)
    assert not any(name.startswith("eyeBlink") for name in arkit.EXPRESSION + arkit.MOUTH)


def test_indices_follow_the_asked_order():
    assert arkit.indices(["tongueOut", "browDownLeft", "tongueOut"]) == [51, 0, 51]
    assert arkit.indices([]) == []


def test_unknown_names_are_all_named():
    with pytest.raises(FormatError, match="JawOpen, smile"):
        arkit.indices(["JawOpen", "jawOpen", "smile"])
