"""The 5-way emotion vector that colours a face (paper, data set section)."""

from collections.abc import Mapping

import numpy as np

from .errors import InputError

EMOTIONS: tuple[str, ...] = ("anger", "disgust", "sadness", "joy", "fear")
"""Order of the vector; all zero is neutral."""


def checked_emotion(emotion: np.ndarray) -> np.ndarray:
    """An emotion vector as float32 [5].

    Raises:
        InputError: other than five numbers in 0..1.
    """
    vector = np.asarray(emotion, np.float32)
    if vector.shape != (len(EMOTIONS),) or not ((vector >= 0) & (vector <= 1)).all():
        raise InputError(f"an emotion is {len(EMOTIONS)} numbers in 0..1 ({', '.join(EMOTIONS)}), not {emotion!r}")
    return vector


def parse_emotion(text: str) -> np.ndarray:
    """Read `joy=0.7,fear=0.1` as a vector, float32 [5], each in 0..1.

    Raises:
        InputError: unknown name, not a number, or out of range; the message lists what is allowed.
    """
    values: dict[str, float] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        name, _, value = part.partition("=")
        try:
            values[name.strip()] = float(value)
        except ValueError:
            raise InputError(f"'{part}' is not NAME=NUMBER, such as joy=0.7") from None
    return emotion_vector(values)


def emotion_vector(values: Mapping[str, float]) -> np.ndarray:
    """Named emotions as a vector, float32 [5], each in 0..1.

    Raises:
        InputError: unknown name or a value outside 0..1.
    """
    out = np.zeros(len(EMOTIONS), np.float32)
    for name, value in values.items():
        if name not in EMOTIONS:
            raise InputError(f"'{name}' is not an emotion; there are {', '.join(EMOTIONS)}")
        if not 0.0 <= value <= 1.0:
            raise InputError(f"{name}={value} is outside 0..1")
        out[EMOTIONS.index(name)] = value
    return out
