"""The One Euro filter: steady when a face is still, quick when it moves.

Source: Casiez, Roussel, Vogel, "1€ Filter", CHI 2012.
"""

from dataclasses import dataclass

import numpy as np


@dataclass
class OneEuro:
    """A filter for K curves at once, one frame at a time.

    Attributes:
        fps: frames a second.
        min_cutoff_hz: cut-off when nothing moves, [K]; infinite lets a curve through untouched.
        beta: how much the cut-off rises with speed, [K].
        derivative_cutoff_hz: cut-off of the measured speed, [K].
        value: the last output, [K], or None before the first frame.
        speed: the last smoothed speed in units a second, [K].
    """

    fps: float
    min_cutoff_hz: np.ndarray
    beta: np.ndarray
    derivative_cutoff_hz: np.ndarray
    value: np.ndarray | None = None
    speed: np.ndarray | None = None

    def step(self, frame: np.ndarray) -> np.ndarray:
        """Filter the next frame, [K]."""
        if self.value is None or self.speed is None:
            self.value, self.speed = np.asarray(frame, np.float64), np.zeros(len(frame))
            return self.value
        speed = (frame - self.value) * self.fps
        self.speed = self.speed + self._share(self.derivative_cutoff_hz) * (speed - self.speed)
        cutoff_hz = self.min_cutoff_hz + self.beta * np.abs(self.speed)
        self.value = self.value + self._share(cutoff_hz) * (frame - self.value)
        return self.value

    def _share(self, cutoff_hz: np.ndarray) -> np.ndarray:
        """How much of the way to a new value is gone in one frame, 0..1."""
        return 1 / (1 + self.fps / (2 * np.pi * cutoff_hz))


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
        min_cutoff_hz: [K].
        beta: [K].
        derivative_cutoff_hz: [K].
    Returns:
        [T, K]
    """
    settings = (fps, min_cutoff_hz, beta, derivative_cutoff_hz)
    there, back = OneEuro(*settings), OneEuro(*settings)
    forwards = [there.step(frame) for frame in frames]
    backwards = [back.step(frame) for frame in frames[::-1]]
    return (np.array(forwards) + np.array(backwards[::-1])) / 2
