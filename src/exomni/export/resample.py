"""Converts a face to another frame rate without drift: every frame's time is an exact fraction."""

from fractions import Fraction
from typing import Any

import numpy as np

from .track import FaceTrack, as_rate


def resample(track: FaceTrack, fps: Any) -> FaceTrack:
    """The same motion at another frame rate, linear between frames.

    Frame j shows the face at exactly j / fps, so ten minutes or ten hours end where the audio ends; the
    number of frames is the nearest to the duration. Values never leave the range that they had.

    Args:
        fps: frames a second to have.
    """
    rate = as_rate(fps)
    if rate == track.fps:
        return track
    step = track.fps / rate
    n_frames = max(1, int(track.n_frames / step + Fraction(1, 2)))
    ticks = np.arange(n_frames, dtype=object) * step.numerator
    before = np.array(ticks // step.denominator, np.int64)
    part = np.array(ticks % step.denominator, np.float64) / step.denominator
    changes = {"frames": _between(track.frames, before, part)}
    for name in ("head", "eyes"):
        if getattr(track, name) is not None:
            changes[name] = _between(np.unwrap(getattr(track, name), axis=0), before, part)
    return track.replace(fps=rate, **changes)


def _between(values: np.ndarray, before: np.ndarray, part: np.ndarray) -> np.ndarray:
    """`values` at index `before` + `part`; the last is held."""
    last = len(values) - 1
    part = part.reshape(-1, *[1] * (values.ndim - 1))
    low, high = values[np.minimum(before, last)], values[np.minimum(before + 1, last)]
    return low + (high - low) * part
