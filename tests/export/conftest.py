"""Faces to export."""

from fractions import Fraction

import numpy as np
import pytest

from exomni.core import arkit
from exomni.core.timebase import FRAME_HZ, SAMPLE_HZ, SAMPLES_PER_FRAME
from exomni.export.track import FaceTrack


def _moving(n_frames: int, n_shapes: int = arkit.K, fps: float = FRAME_HZ, seed: int = 0) -> np.ndarray:
    """Smooth curves in 0..1 that differ from shape to shape, float32 [n_frames, n_shapes]."""
    rng = np.random.default_rng(seed)
    times = np.arange(n_frames)[:, None] / fps
    rate, phase = rng.uniform(0.5, 2.0, n_shapes), rng.uniform(0, 6.28, n_shapes)
    return (0.5 + 0.45 * np.sin(6.28 * rate * times + phase)).astype(np.float32)


@pytest.fixture
def moving():
    """The function above, for tests to call."""
    return _moving


@pytest.fixture
def track() -> FaceTrack:
    """Three seconds at 30 frames a second with rotations, a tone and text."""
    n_frames = 3 * FRAME_HZ
    turns = _moving(n_frames, 9, seed=1) - 0.5
    samples = 0.3 * np.sin(np.arange(n_frames * SAMPLES_PER_FRAME) / SAMPLE_HZ * 6.28 * 220)
    return FaceTrack(
        names=arkit.NAMES,
        fps=Fraction(FRAME_HZ),
        frames=_moving(n_frames),
        head=turns[:, :3] * 0.3,
        eyes=turns[:, 3:].reshape(-1, 2, 3) * 0.2,
        audio=samples,
        sample_hz=SAMPLE_HZ,
        text="Good morning to you all.",
    )
