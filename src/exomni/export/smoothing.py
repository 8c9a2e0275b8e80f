"""The One Euro filter: steady when a face is still, quick when it moves.

Source: Casiez, Roussel, Vogel, "1€ Filter", CHI 2012.
"""

import itertools

import numpy as np


def smooth(
    frames: np.ndarray,
    fps: float,
    min_cutoff_hz: np.ndarray,
    beta: np.ndarray,
    derivative_cutoff_hz: np.ndarray,
) -> np.ndarray:
    """Smooth whole curves without delaying them: the mean of the filter run forwards and backwards.

    Args:
        frames: [T, K].
        fps: frames a second.
        min_cutoff_hz: cut-off when nothing moves, [K]; infinite lets a curve through untouched.
        beta: how much the cut-off rises with speed, [K].
        derivative_cutoff_hz: cut-off of the measured speed, [K].
    Returns:
        [T, K]
    """
    settings = (fps, min_cutoff_hz, beta, derivative_cutoff_hz)
    return (_filtered(frames, *settings) + _filtered(frames[::-1], *settings)[::-1]) / 2


def _filtered(
    frames: np.ndarray, fps: float, min_cutoff_hz: np.ndarray, beta: np.ndarray, derivative_cutoff_hz: np.ndarray
) -> np.ndarray:
    """The filter run once over [T, K], frame by frame; the first passes through."""

    def share(cutoff_hz: np.ndarray) -> np.ndarray:
        """How much of the way to a new value is gone in one frame, 0..1."""
        return 1 / (1 + fps / (2 * np.pi * cutoff_hz))

    out = np.array(frames, np.float64)
    speed = np.zeros(out.shape[1])
    for before, value in itertools.pairwise(out):
        speed = speed + share(derivative_cutoff_hz) * ((value - before) * fps - speed)
        value[:] = before + share(min_cutoff_hz + beta * np.abs(speed)) * (value - before)
    return out
