"""Blinks and glances: random by seed, and in channels of their own (eyeBlink*, eyeLook*)."""

import itertools

import numpy as np

from ...core.arkit import INDEX, K
from ...core.timebase import FRAME_HZ
from .timing import Phone

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


def eye_weights(phones: list[Phone], n_frames: int, seed: int) -> np.ndarray:
    """Blinks and glances of a clip, [T, K]."""
    out = np.zeros((n_frames, K))
    middle_s = (np.arange(n_frames) + 0.5) / FRAME_HZ
    lids = _blinks(middle_s, _phrase_ends_s(phones), np.random.default_rng([seed, 1]))
    out[:, INDEX["eyeBlinkLeft"]] = lids
    out[:, INDEX["eyeBlinkRight"]] = lids
    side, up = _glances(middle_s, np.random.default_rng([seed, 2]))
    for name, direction in GLANCE_DIRECTIONS.items():
        value = side if direction[0] else up
        out[:, INDEX[name]] = np.maximum(value * sum(direction), 0.0)
    return out


def _phrase_ends_s(phones: list[Phone]) -> list[float]:
    return [p.start_s for before, p in itertools.pairwise(phones) if not p.symbol and before.symbol]


def _blinks(t: np.ndarray, ends_s: list[float], rng: np.random.Generator) -> np.ndarray:
    """Lids over time, 0 open to 1 shut, [T]; a blink that is nearly due is drawn to a phrase's end."""
    lids = np.zeros(len(t))
    clock, last = rng.uniform(0.6, LONGEST_GAP_S - 1.0), t[-1] if len(t) else 0.0
    while clock < last:
        near = [e for e in ends_s if abs(e - clock) < 0.9]
        if near and rng.uniform() < 0.75:
            clock = min(near, key=lambda e: abs(e - clock)) + rng.uniform(-0.08, 0.06)
        since = t - clock
        shut = np.where(since < 0, 1.0 + since / CLOSING_S, 1.0 - (since - SHUT_S) / OPENING_S)
        shut = np.clip(shut, 0.0, 1.0)
        lids = np.maximum(lids, shut * shut * (3 - 2 * shut))
        clock += rng.uniform(SHORTEST_GAP_S, LONGEST_GAP_S)
    return lids


def _glances(t: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Small jumps of the gaze around straight ahead: sideways and up, each [T]."""
    times, places = [0.0], [np.zeros(2)]
    while times[-1] < (t[-1] if len(t) else 0.0):
        times.append(times[-1] + rng.uniform(*GLANCE_GAP_S))
        places.append(np.zeros(2) if rng.uniform() < 0.5 else rng.normal(0.0, GLANCE_SIZE, 2) * (1.0, 0.5))
    knots = [k for start in times[1:] for k in (start, start + GLANCE_S)]
    values = [p for before, after in itertools.pairwise(places) for p in (before, after)]
    if not knots:
        return np.zeros(len(t)), np.zeros(len(t))
    both = np.array(values)
    return np.interp(t, knots, both[:, 0]), np.interp(t, knots, both[:, 1])
