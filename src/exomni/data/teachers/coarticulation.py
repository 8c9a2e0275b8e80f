"""How neighbouring phonemes share the mouth: openfacefx's dominance blend, held to each articulator's needs.

The library gives each phoneme class an activation over time (dominance functions after Cohen and Massaro;
they sum to one). Its own viseme table would give every class the same say over the whole mouth; here each
class has its own say over the jaw, the rounding, the lips and the tongue, so that a t between two rounded
vowels stays rounded and an s still closes the jaw.
"""

import itertools
from functools import cache

import numpy as np
from openfacefx.alignment import PhonemeSegment
from openfacefx.coarticulation import CoartParams, build_viseme_curves
from openfacefx.mapping import Mapping, Target
from scipy.ndimage import gaussian_filter1d

from ...core.timebase import FRAME_HZ
from .poses import CHANNELS, DIPHTHONGS, GLIDE_AT, POSES, STRESS_GAIN
from .timing import VOWELS, Phone

SOLVE_HZ = 120
PIECE_S = 0.060
"""Long phones are handed over in pieces of about this length, so that they hold instead of swelling."""
LEAD_S = 0.11
"""Reach of a phone's influence in the library's terms (its own default, 0.4, mumbles at this pace)."""
WINDOW_S, BEYOND_S = 4.0, 0.7
"""Length of a window, and how much it sees beyond each end."""
SMOOTH_S = 0.020
"""Standard deviation of the last smoothing: motion stays below some 8 Hz, as lips do."""


@cache
def _classes() -> tuple[Mapping, np.ndarray, np.ndarray]:
    """openfacefx's mapping, one class for each phoneme and stress; their targets and weights [N, C]."""
    names, rows, targets, weights = [], {}, [], []
    for symbol, pose in POSES.items():
        for stress in STRESS_GAIN if symbol in VOWELS else (0,):
            name = f"{symbol}{stress}"
            names.append(name)
            rows[name] = {name: 1.0}
            gain = STRESS_GAIN[stress] if symbol in VOWELS else 1.0
            targets.append(np.array(pose.targets) * gain)
            weights.append(pose.weights)
    mapping = Mapping([Target(n, "basic") for n in names], rows, allow_custom_symbols=True)
    return mapping, np.array(targets), np.array(weights)


def _pieces(phones: list[Phone]) -> list[PhonemeSegment]:
    """Phones as the library's segments: diphthongs in two, long ones in pieces."""
    out: list[PhonemeSegment] = []
    for phone in phones:
        first, last = DIPHTHONGS.get(phone.symbol, (phone.symbol, phone.symbol))
        split_s = phone.start_s + GLIDE_AT * (phone.end_s - phone.start_s)
        spans = [(first, phone.start_s, split_s), (last, split_s, phone.end_s)]
        if first == last:
            spans = [(first, phone.start_s, phone.end_s)]
        for symbol, start, end in spans:
            symbol = symbol if symbol in POSES else "h"
            stress = phone.stress if symbol in VOWELS else 0
            n = max(1, round((end - start) / PIECE_S))
            cuts = np.linspace(start, end, n + 1)
            out += [PhonemeSegment(f"{symbol}{stress}", a, b) for a, b in itertools.pairwise(cuts)]
    return out


def blend(phones: list[Phone], n_frames: int) -> np.ndarray:
    """Where the articulators are before lips are made to meet: CHANNELS over time, float [T_frame, C], each in 0..1.

    The phones are a whole clip's, without holes, from 0; frame k is read at its middle. It is solved in windows, so
    that cost grows with the length and not with its square; a window sees enough beyond its ends to have no edges.
    """
    out = np.zeros((n_frames, len(CHANNELS)))
    pieces = _pieces(phones)
    middles_s = (np.arange(n_frames) + 0.5) / FRAME_HZ
    for start_s in np.arange(0.0, phones[-1].end_s if phones else 0.0, WINDOW_S):
        low, high = start_s - BEYOND_S, start_s + WINDOW_S + BEYOND_S
        times_s, curves = _solve([p for p in pieces if p.end > low and p.start < high])
        frames = (middles_s >= start_s) & (middles_s < start_s + WINDOW_S)
        for c in range(len(CHANNELS)):
            out[frames, c] = np.interp(middles_s[frames], times_s, curves[:, c])
    return out


def _solve(pieces: list[PhonemeSegment]) -> tuple[np.ndarray, np.ndarray]:
    """Times in seconds [N] and CHANNELS at them [N, C] of a run of pieces."""
    mapping, targets, weights = _classes()
    lead: dict[str, tuple[float, float]] = dict.fromkeys(("basic", "jaw", "lips", "tongue"), (LEAD_S, LEAD_S))
    params = CoartParams(lead=lead, short_silence=0.0, closure_floor=0.0, split_diphthongs=False)
    times_s, activation = build_viseme_curves(pieces, SOLVE_HZ, mapping, params)
    curves = (activation @ (weights * targets)) / np.maximum(activation @ weights, 1e-9)
    sigma = SMOOTH_S * SOLVE_HZ
    return times_s, gaussian_filter1d(curves, sigma, axis=0, mode="nearest", radius=int(np.ceil(3 * sigma)))
