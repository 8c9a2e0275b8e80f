import math
from fractions import Fraction

import numpy as np
import pytest

from exomni.export.resample import resample
from exomni.export.track import FaceTrack


def ramp(n_frames, fps, **more):
    """A face whose jaw's value is its time in seconds over 1000."""
    track = FaceTrack(("jawOpen",), fps, np.zeros((n_frames, 1)))
    return track.replace(frames=(track.times_s / 1000)[:, None], **more)


@pytest.mark.parametrize("to", [24, 25, 30, 50, 60, 29.97, 59.94])
@pytest.mark.parametrize("start", [30, 60, 29.97])
def test_an_hour_does_not_drift(start, to):
    track = ramp(int(3600 * start), start)
    moved = resample(track, to)
    assert abs(moved.duration_s - track.duration_s) <= Fraction(1, 2) / moved.fps
    inside = moved.times_s <= track.times_s[-1]
    np.testing.assert_allclose(moved.frames[inside, 0] * 1000, moved.times_s[inside], rtol=2e-7, atol=1e-6)


def test_the_same_rate_changes_nothing():
    track = ramp(30, 30)
    assert resample(track, 30.0) is track


def test_values_keep_their_range_and_doubling_keeps_the_frames():
    frames = np.random.default_rng(0).random((200, 1), np.float32)
    track = FaceTrack(("jawOpen",), 30, frames)
    assert (resample(track, 60).frames[::2] == frames).all()
    for rate in (24, 25, 50):
        moved = resample(track, rate).frames
        assert moved.min() >= frames.min()
        assert moved.max() <= frames.max()


def test_angles_turn_the_short_way():
    head = np.array([[math.pi - 0.1, 0, 0], [0.1 - math.pi, 0, 0]])
    track = FaceTrack(("jawOpen",), 30, np.zeros((2, 1)), head=head, eyes=np.ones((2, 2, 3)))
    moved = resample(track, 60)
    assert moved.head[1, 0] == pytest.approx(math.pi)
    assert moved.eyes.shape == (4, 2, 3)


def test_one_frame_stays_one():
    assert resample(ramp(1, 60), 24).n_frames == 1
