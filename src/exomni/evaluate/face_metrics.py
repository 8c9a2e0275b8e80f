"""Measures of a face, in numpy: against a reference face, against true phone times, against the sound."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ..core.arkit import EXPRESSION, EYES, INDEX, NAMES, K
from ..core.errors import InputError
from ..core.timebase import FRAME_HZ
from ..data.teachers import Phone
from ..data.teachers.poses import CLOSED
from ..face.head import Head
from ..face.measures import lip_vertex_error_mm
from .metric import mean

CLOSED_MM = 1.5
"""Lips that are less apart than this are closed (acceptance)."""
CLOSURE_REACH_S = 0.050
"""How far from a closure the lips may meet (acceptance)."""
REACH_FRAMES = 10
"""Lags are looked for up to so many frames either way."""
STILL = 0.01
"""A shape whose standard deviation in the reference is below this has no correlation."""
SPEECH_BAND_HZ = (250.0, 4000.0)


@dataclass(frozen=True)
class Lag:
    """How much later the mouth moves than the sound.

    Attributes:
        frames: the whole number of frames that fits best; above 0 the face is late.
        exact_frames: the same between frames, from a parabola through the best fit.
        correlation: how well opening and expectation agree at `frames`.
    """

    frames: int
    exact_frames: float
    correlation: float


def check_pair(face: np.ndarray, reference: np.ndarray) -> None:
    """Refuse faces that are not both [T, K] with the same T > 0, as an InputError."""
    if face.shape != reference.shape or face.ndim != 2 or face.shape[1] != K or not len(face):
        raise InputError(f"faces have shapes {face.shape} and {reference.shape}; both must be the same [T, {K}]")


def lip_vertex_error(pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> float:
    """Lip vertex error in mm: largest distance over the lip vertices, mean over all frames of all clips (paper).

    `pairs` are the face and the reference of each clip, both [T, K]; an InputError where they differ in shape.
    """
    errors = []
    for face, reference in pairs:
        check_pair(face, reference)
        errors.append(lip_vertex_error_mm(face, reference))
    return float(np.concatenate(errors).mean())


def shape_correlation(face: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    """Pearson correlation of each shape over all frames of a face and its reference, both [T, K].

    Shapes that stand still in the reference are left out, and the eyes, which move at random moments there as well. A
    shape that moves in the reference and not in the face has 0.
    """
    check_pair(face, reference)
    a, b = face - face.mean(0), reference - reference.mean(0)
    spread_a, spread_b = a.std(0), b.std(0)
    out = {}
    for k, name in enumerate(NAMES):
        if spread_b[k] >= STILL and name not in EYES:
            moves = spread_a[k] > 1e-6
            out[name] = float((a[:, k] * b[:, k]).mean() / (spread_a[k] * spread_b[k])) if moves else 0.0
    return out


def expression_error(face: np.ndarray, reference: np.ndarray) -> float:
    """Mean squared error over the shapes that carry expression (`core.arkit.EXPRESSION`) and all frames."""
    check_pair(face, reference)
    columns = [INDEX[name] for name in EXPRESSION]
    return float(np.square(face[:, columns].astype(np.float64) - reference[:, columns]).mean())


def jitter_mm(face: np.ndarray) -> float:
    """Mean length of the lip vertices' second differences, in mm a frame squared; 0 for steady motion.

    Speech itself has some, so it means something only beside a reference's. Faces under three frames have 0.
    """
    if len(face) < 3:
        return 0.0
    head = Head.load()
    lips = head.deltas_mm[:, head.lip_vertices].reshape(K, -1)
    bend = np.diff(np.asarray(face, np.float32), 2, axis=0) @ lips
    return float(np.linalg.norm(bend.reshape(len(face) - 2, -1, 3), axis=-1).mean())


def closure_gaps_mm(gap_mm: np.ndarray, phones: Iterable[Phone]) -> np.ndarray:
    """Smallest inner-lip gap at each p b m, in mm, float [n_closures]; closures beyond the last frame are left out.

    `gap_mm` is the gap of each frame, [T_frame]; frame k shows the moment (k + 0.5) / 30 s.
    """
    t = (np.arange(len(gap_mm)) + 0.5) / FRAME_HZ
    out = []
    for phone in (p for p in phones if p.symbol in CLOSED):
        near = (t >= phone.start_s - CLOSURE_REACH_S) & (t <= phone.end_s + CLOSURE_REACH_S)
        if near.any():
            out.append(gap_mm[near].min())
    return np.array(out, float)


def closed_share(gaps_mm: np.ndarray) -> float:
    """Share of closures that close; not a number where there is none."""
    return mean(gaps_mm < CLOSED_MM)


def phone_openings_mm(gap_mm: np.ndarray, phones: Iterable[Phone]) -> np.ndarray:
    """Largest inner-lip gap during each phone, in mm; a phone between two
    frames takes the one it lies in, and a phone beyond the last frame is left out."""
    out = []
    for phone in phones:
        first, last = np.ceil(phone.start_s * FRAME_HZ - 0.5), np.floor(phone.end_s * FRAME_HZ - 0.5)
        if last < first:
            first = last = np.floor((phone.start_s + phone.end_s) / 2 * FRAME_HZ)
        inside = gap_mm[int(first) : int(last) + 1]
        if len(inside):
            out.append(inside.max())
    return np.array(out, float)


def lag(openings: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> Lag:
    """Lag at which mouths that were measured agree best with mouths that were expected at the same moments.

    For every whole lag within `REACH_FRAMES`, the two, [T_frame] of each clip, are correlated over all frames of all
    clips that overlap; each clip's own mean does not matter. The best lag wins.

    Raises:
        InputError: clips differ in number or length, or none moves and is longer than the lags looked for.
    """
    if [len(o) for o in openings] != [len(e) for e in expected]:
        raise InputError("measured and expected mouths differ in length")
    pairs = [(o, e) for o, e in zip(openings, expected, strict=True) if len(o) > 3 * REACH_FRAMES]
    lags = np.arange(-REACH_FRAMES, REACH_FRAMES + 1)
    fits = np.array([_agreement(pairs, int(shift)) for shift in lags]) if pairs else np.zeros(0)
    if not len(fits) or np.isnan(fits).any():
        raise InputError(f"a lag needs a face that moves for more than {3 * REACH_FRAMES} frames")
    best = int(fits.argmax())
    bend = 0.0
    if 0 < best < len(lags) - 1:
        before, top, after = fits[best - 1 : best + 2]
        bend = 0.5 * (before - after) / min(before - 2 * top + after, -1e-12)
    return Lag(int(lags[best]), float(lags[best] + bend), float(fits[best]))


def _agreement(pairs: Sequence[tuple[np.ndarray, np.ndarray]], shift: int) -> float:
    """Pooled correlation of openings with expectations that come `shift` frames earlier.

    Every lag is judged on the same frames of the openings, those that exist at all lags.
    """
    covariance = variance_a = variance_b = 0.0
    for opening, expected in pairs:
        inner = slice(REACH_FRAMES, len(opening) - REACH_FRAMES)
        a = opening[inner].astype(np.float64)
        b = expected[inner.start - shift : inner.stop - shift].astype(np.float64)
        a, b = a - a.mean(), b - b.mean()
        covariance, variance_a, variance_b = covariance + a @ b, variance_a + a @ a, variance_b + b @ b
    scale = np.sqrt(variance_a * variance_b)
    return float(covariance / scale) if scale > 1e-12 else float("nan")


def loudness(samples: np.ndarray, sample_rate: int, n_frames: int) -> np.ndarray:
    """Loudness of each face frame's time in the band of vowels, compressed, float [T_frame]; silence beyond the end.

    Stands in for the expected opening where the phones are unknown.
    """
    size = round(sample_rate * 2 / FRAME_HZ)
    window = np.hanning(size)
    frequencies = np.fft.rfftfreq(size, 1 / sample_rate)
    band = (frequencies >= SPEECH_BAND_HZ[0]) & (frequencies <= SPEECH_BAND_HZ[1])
    middles = ((np.arange(n_frames) + 0.5) * sample_rate / FRAME_HZ).round().astype(int)
    padded = np.pad(np.asarray(samples, np.float64), (size, size + max(0, middles[-1] - len(samples) + 1)))
    power = np.array([
        np.square(np.abs(np.fft.rfft(padded[m + size - size // 2 :][:size] * window)[band])).sum() for m in middles
    ])  # fmt: skip
    return np.cbrt(np.sqrt(power))
