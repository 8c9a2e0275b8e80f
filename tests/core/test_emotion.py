import numpy as np
import pytest

from exomni.core.emotion import EMOTIONS, emotion_vector, parse_emotion
from exomni.core.errors import InputError


def test_the_order_is_the_papers():
    assert EMOTIONS == ("anger", "disgust", "sadness", "joy", "fear")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("joy=0.7,fear=0.1", [0, 0, 0, 0.7, 0.1]),
        (" fear = 1 , anger=0 ", [0, 0, 0, 0, 1]),
        ("disgust=1e-1,", [0, 0.1, 0, 0, 0]),
        ("", [0, 0, 0, 0, 0]),
    ],
)
def test_what_is_understood(text, values):
    vector = parse_emotion(text)
    assert vector.dtype == np.float32
    np.testing.assert_array_equal(vector, np.array(values, np.float32))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("happy=0.5", "'happy' is not an emotion; there are anger, disgust, sadness, joy, fear"),
        ("joy", "'joy' is not NAME=NUMBER"),
        ("joy=", "'joy=' is not NAME=NUMBER"),
        ("joy=much", "'joy=much' is not NAME=NUMBER"),
        ("joy=0.5=0.5", "is not NAME=NUMBER"),
        ("joy=0,5", "'5' is not NAME=NUMBER"),
        ("=0.5", "'' is not an emotion"),
        ("Joy=0.5", "'Joy' is not an emotion"),
        ("joy=1.01", "outside 0..1"),
        ("joy=-0.1", "outside 0..1"),
        ("joy=nan", "outside 0..1"),
        ("joy=inf", "outside 0..1"),
    ],
)
def test_what_is_refused_and_why(text, message):
    with pytest.raises(InputError, match=message):
        parse_emotion(text)


def test_a_mapping_of_names():
    np.testing.assert_array_equal(emotion_vector({"sadness": 1.0}), np.float32([0, 0, 1, 0, 0]))
    with pytest.raises(InputError, match="outside"):
        emotion_vector({"sadness": 2.0})
