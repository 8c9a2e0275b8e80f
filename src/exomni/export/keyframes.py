"""Curves with few keys, for formats that store keys, not every frame."""

from dataclasses import dataclass

import numpy as np

from .track import FaceTrack

TOLERANCE = 0.003
"""How far straight lines between keys may pass by a frame, in parts of a whole shape."""


@dataclass(frozen=True)
class Curve:
    """One shape's keys.

    Attributes:
        name: of the shape.
        times_s: rising, float64 [N], N >= 1.
        values: float64 [N].
    """

    name: str
    times_s: np.ndarray
    values: np.ndarray

    @property
    def slopes(self) -> np.ndarray:
        """Slope of the line behind each key but the first, a second, float64 [N-1]."""
        return np.diff(self.values) / np.diff(self.times_s)


def curves(track: FaceTrack, tolerance: float = TOLERANCE) -> list[Curve]:
    """Every shape of a track with only the keys that linear interpolation needs.

    Keys lie on frames and have the frame's value. Shapes that never move have one key.

    Args:
        tolerance: the most that an interpolated frame may be off.
    """
    keep = _needed(track.frames.astype(np.float64), tolerance)
    times_s = track.times_s
    return [
        Curve(name, times_s[keep[:, i]], track.frames[keep[:, i], i].astype(np.float64))
        for i, name in enumerate(track.names)
    ]


def _needed(frames: np.ndarray, tolerance: float) -> np.ndarray:
    """Which frames of [T, K] become keys, bool [T, K].

    A line is drawn from the last key as long as it passes all frames on its way within the tolerance: each
    frame narrows the slopes that the line may have, and one that lies outside makes its forerunner a key.
    """
    n_frames, n_curves = frames.shape
    keep = np.zeros((n_frames, n_curves), bool)
    keep[0] = True
    start, origin = np.zeros(n_curves), frames[0].copy()
    low, high = np.full(n_curves, -np.inf), np.full(n_curves, np.inf)
    for i in range(1, n_frames):
        span = i - start
        slope = (frames[i] - origin) / span
        turned = (slope < low) | (slope > high)
        if turned.any():
            keep[i - 1] |= turned
            start[turned], origin[turned] = i - 1, frames[i - 1, turned]
            low[turned], high[turned] = -np.inf, np.inf
            span = i - start
            slope = (frames[i] - origin) / span
        low = np.maximum(low, slope - tolerance / span)
        high = np.minimum(high, slope + tolerance / span)
    keep[-1] |= np.abs(frames - frames[0]).max(axis=0) > 0
    return keep
