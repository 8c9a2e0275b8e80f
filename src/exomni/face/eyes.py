"""Makes blinks and glances at random, by seed, since nothing in speech says when they happen.

The teacher puts them into its labels; a decoder could only learn their mean, so at inference they are drawn anew
(`EyeMovements`) in channels of their own (eyeBlink*, eyeLook*).
"""

import itertools

import numpy as np

from ..core.arkit import INDEX, K
from ..core.timebase import FRAME_HZ

CLOSING_S, SHUT_S, OPENING_S = 0.075, 0.035, 0.150
"""A lid falls faster than it rises."""
SHORTEST_GAP_S, LONGEST_GAP_S = 2.0, 6.0
GLANCE_GAP_S = (0.9, 2.8)
GLANCE_S = 0.045
GLANCE_SIZE = 0.10
GLANCE_DIRECTIONS: dict[str, tuple[int, int]] = {
    "eyeLookOutLeft": (1, 0),
    "eyeLookInRight": (1, 0),
    "eyeLookInLeft": (-1, 0),
    "eyeLookOutRight": (-1, 0),
    "eyeLookUpLeft": (0, 1),
    "eyeLookUpRight": (0, 1),
    "eyeLookDownLeft": (0, -1),
    "eyeLookDownRight": (0, -1),
}
"""To the head's left, and up, of each shape."""


def lids_at(t: np.ndarray, blinks_s: list[float]) -> np.ndarray:
    """Lids at times t [T] in seconds, 0 open to 1 shut, for blinks that are shut from `blinks_s` on."""
    lids = np.zeros(len(t))
    for blink_s in blinks_s:
        since = t - blink_s
        shut = np.where(since < 0, 1.0 + since / CLOSING_S, 1.0 - (since - SHUT_S) / OPENING_S)
        shut = np.clip(shut, 0.0, 1.0)
        lids = np.maximum(lids, shut * shut * (3 - 2 * shut))
    return lids


def gaze_at(t: np.ndarray, times_s: list[float], places: list[np.ndarray]) -> np.ndarray:
    """Gaze at times t [T], sideways and up, [T, 2]; it jumps to `places[i]` at `times_s[i]`."""
    knots = [k for start in times_s[1:] for k in (start, start + GLANCE_S)]
    if not knots:
        return np.repeat(places[:1], len(t), 0)
    values = np.array([p for before, after in itertools.pairwise(places) for p in (before, after)])
    return np.stack([np.interp(t, knots, values[:, axis]) for axis in (0, 1)], axis=1)


def next_glance(rng: np.random.Generator) -> tuple[float, np.ndarray]:
    """How long until the gaze jumps, in seconds, and where to."""
    gap_s = rng.uniform(*GLANCE_GAP_S)
    return gap_s, np.zeros(2) if rng.uniform() < 0.5 else rng.normal(0.0, GLANCE_SIZE, 2) * (1.0, 0.5)


def eye_shapes(lids: np.ndarray, gaze: np.ndarray) -> np.ndarray:
    """Lids [T] and gaze [T, 2] as blendshapes [T, K]."""
    out = np.zeros((len(lids), K))
    out[:, INDEX["eyeBlinkLeft"]] = out[:, INDEX["eyeBlinkRight"]] = lids
    for name, direction in GLANCE_DIRECTIONS.items():
        value = gaze[:, 0] if direction[0] else gaze[:, 1]
        out[:, INDEX[name]] = np.maximum(value * sum(direction), 0.0)
    return out


class EyeMovements:
    """Eyes of one reply, a few frames at a time; taken piece by piece or at once they are the same.

    Args:
        seed: of every draw.
    """

    def __init__(self, seed: int):
        self._blink_rng, self._glance_rng = np.random.default_rng([seed, 1]), np.random.default_rng([seed, 2])
        self._n_frames = 0
        self._blinks_s = [self._blink_rng.uniform(0.6, LONGEST_GAP_S - 1.0)]
        self._times_s, self._places = [0.0], [np.zeros(2)]

    def take(self, n_frames: int) -> np.ndarray:
        """The next frames, float32 [n_frames, K]; channels other than the eyes' are 0."""
        t = (self._n_frames + np.arange(n_frames) + 0.5) / FRAME_HZ
        self._n_frames += n_frames
        horizon_s = self._n_frames / FRAME_HZ + CLOSING_S + GLANCE_S
        while self._blinks_s[-1] < horizon_s:
            self._blinks_s.append(self._blinks_s[-1] + self._blink_rng.uniform(SHORTEST_GAP_S, LONGEST_GAP_S))
        while self._times_s[-1] < horizon_s:
            gap_s, place = next_glance(self._glance_rng)
            self._times_s.append(self._times_s[-1] + gap_s)
            self._places.append(place)
        frames = eye_shapes(lids_at(t, self._blinks_s), gaze_at(t, self._times_s, self._places))
        self._forget(self._n_frames / FRAME_HZ)
        return frames.astype(np.float32)

    def _forget(self, now_s: float) -> None:
        """Drop what cannot matter any more, so that memory stays flat."""
        while len(self._blinks_s) > 1 and self._blinks_s[0] + SHUT_S + OPENING_S < now_s:
            self._blinks_s.pop(0)
        while len(self._times_s) > 2 and self._times_s[1] + GLANCE_S < now_s:
            self._times_s.pop(0)
            self._places.pop(0)
