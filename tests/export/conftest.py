"""Faces to export."""

import json
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from exomni.core import arkit
from exomni.core.timebase import FRAME_HZ, SAMPLE_HZ, SAMPLES_PER_FRAME
from exomni.export.track import FaceTrack

NODE = Path(__file__).parent / "node"


@pytest.fixture(scope="session")
def node_packages() -> Path:
    """The folder of our Node.js programs, with the packages that they need."""
    if shutil.which("npm") is None:
        pytest.skip("needs Node.js")
    wanted = json.loads((NODE / "package.json").read_text())["dependencies"]
    if not all((NODE / "node_modules" / name).is_dir() for name in wanted):
        command = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=NODE, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"npm cannot install: {done.stderr[-300:]}")
    return NODE


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
