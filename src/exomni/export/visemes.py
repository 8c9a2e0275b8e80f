"""Turns the 52 shapes into visemes: five vowel mouths, blinks, and the nine mouth cues of Rhubarb.

The thresholds are our choice, set on this project's faces, where everyday speech opens the jaw to about 0.3,
and checked on the poses of the default teacher.
"""

from collections.abc import Mapping

import numpy as np

from .track import FaceTrack

OPEN_JAW, FULL_ROUND, FULL_PUCKER, FULL_SPREAD, FULL_BARED = 0.30, 0.60, 0.60, 0.35, 0.40
FULL_PRESS, FULL_BITE, FULL_TONGUE = 0.30, 0.15, 0.40
IDLE_S = 0.25
"""A closed mouth for longer than this is idle; for shorter it is a p, b or m."""
QUIET = 0.30
"""Under this opening, rounding and spreading a mouth counts as closed."""


def vowels(track: FaceTrack) -> Mapping[str, np.ndarray]:
    """Weights of the five vowel mouths, by VRM's names: aa, ih, ou, ee, oh; each float64 [T] in 0..1.

    They sum to at most 1; what is left is the closed mouth.
    """
    jaw, rounding, spread, press = _opening(track), _rounding(track), _spread(track), _press(track)
    flat, free = 1 - rounding, 1 - press
    return {
        "aa": free * flat * jaw * (1 - spread),
        "ih": free * flat * (1 - jaw) * _bared(track),
        "ou": free * rounding * (1 - jaw),
        "ee": free * flat * jaw * spread,
        "oh": free * rounding * jaw,
    }


def blinks(track: FaceTrack) -> Mapping[str, np.ndarray]:
    """`blinkLeft` and `blinkRight`, float64 [T] in 0..1."""
    return {f"blink{side}": _unit(track.column(f"eyeBlink{side}")) for side in ("Left", "Right")}


def rhubarb_shapes(track: FaceTrack) -> Mapping[str, np.ndarray]:
    """How much each of Rhubarb's nine mouths fits, float64 [T] each; the largest is the cue.

    A closed (p b m), B teeth together, C open, D wide, E a little round, F puckered, G lip on teeth, H tongue
    up, X idle.
    """
    mouths = vowels(track)
    jaw, press, bite = _opening(track), _press(track), _bite(track)
    pucker = _unit(track.column("mouthPucker") / FULL_PUCKER)
    tongue = _unit(track.column("tongueOut") / FULL_TONGUE)
    apart = np.maximum.reduce([jaw, _rounding(track), _bared(track), tongue, bite])
    closed = 1 - _unit(apart / QUIET)
    idle = _long_runs((closed > 0.5) & (press < 0.5), int(IDLE_S * track.fps))
    narrow = 1 - np.abs(jaw - 0.3) / 0.3
    return {
        "A": np.maximum(press, closed) * ~idle,
        "B": np.maximum(mouths["ih"], 0.6 * np.clip(narrow, 0, 1) * (1 - _rounding(track))),
        "C": np.where(jaw < 0.8, 1.2 * (mouths["ee"] + mouths["aa"]), 0.6 * mouths["ee"]),
        "D": np.where(jaw >= 0.8, mouths["aa"], 0.0),
        "E": mouths["oh"] + 0.5 * mouths["ou"] * (1 - pucker),
        "F": mouths["ou"] * (0.5 + 0.5 * pucker),
        "G": 1.2 * bite * (1 - press),
        "H": tongue,
        "X": 2.0 * idle,
    }


def mean_of(track: FaceTrack, stem: str) -> np.ndarray:
    """Mean of a shape's left and right, [T]."""
    return (track.column(stem + "Left") + track.column(stem + "Right")) / 2


def _unit(values: np.ndarray) -> np.ndarray:
    return np.clip(np.asarray(values, np.float64), 0, 1)


def _opening(track: FaceTrack) -> np.ndarray:
    """Jaw as the lips see it: what `jawOpen` opens less what `mouthClose` closes. 1 is a wide vowel, [T]."""
    return _unit((track.column("jawOpen") - track.column("mouthClose")) / OPEN_JAW)


def _rounding(track: FaceTrack) -> np.ndarray:
    pucker, funnel = track.column("mouthPucker"), track.column("mouthFunnel")
    return _unit((np.maximum(pucker, funnel) + 0.5 * np.minimum(pucker, funnel)) / FULL_ROUND)


def _spread(track: FaceTrack) -> np.ndarray:
    """Corners drawn back, [T]."""
    return _unit((mean_of(track, "mouthStretch") + 0.5 * mean_of(track, "mouthDimple")) / FULL_SPREAD)


def _bared(track: FaceTrack) -> np.ndarray:
    """Teeth to be seen, with the corners drawn back or not, [T]."""
    lips = mean_of(track, "mouthUpperUp") + mean_of(track, "mouthLowerDown")
    return np.maximum(_spread(track), _unit(lips / FULL_BARED))


def _press(track: FaceTrack) -> np.ndarray:
    """Lips held together, [T]: pressed or rolled in, with the jaw not opening them."""
    rolled = np.minimum(track.column("mouthRollUpper"), track.column("mouthRollLower"))
    held = np.maximum.reduce([mean_of(track, "mouthPress"), rolled, track.column("mouthClose")])
    return _unit(held / FULL_PRESS) * (1 - _unit(2 * _opening(track)))


def _bite(track: FaceTrack) -> np.ndarray:
    """Lower lip on the upper teeth, [T]: it alone rolls in or is pushed up, the upper lip is raised."""
    lower = np.maximum(track.column("mouthRollLower"), 0.5 * track.column("mouthShrugLower"))
    upper = track.column("mouthRollUpper") + mean_of(track, "mouthPress")
    return _unit((lower - upper) / FULL_BITE) * (mean_of(track, "mouthUpperUp") > 0.02)


def _long_runs(flags: np.ndarray, least: int) -> np.ndarray:
    """The flags that stand in runs of at least `least`, bool [T]."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    out = np.zeros(len(flags), bool)
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        out[start:end] = end - start >= least
    return out
