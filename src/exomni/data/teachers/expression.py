"""Expression: what an emotion, stress and a question do to the face, as a fixed function of them.

Nothing here is random, so that a model can learn all of it.
"""

from importlib import resources

import numpy as np
import yaml

from ...core.arkit import INDEX, K, indices
from ...core.emotion import EMOTIONS
from ...core.timebase import FRAME_HZ
from .timing import Phone

RAMP_S = 0.35
"""Time in which an emotion comes before a sentence's first sound and goes after its last."""
_SHAPES = yaml.safe_load((resources.files("exomni.data.teachers") / "expression.yaml").read_text("utf-8"))
FULL: dict[str, dict[str, float]] = _SHAPES["full"]
"""Shapes (both sides) of each emotion at 1."""
LEAN: dict[str, float] = _SHAPES["lean"]
"""Gain of some shapes: nobody is symmetric."""
ACCENT, NUCLEAR, QUESTION = 0.10, 0.26, 0.32
"""Height of the brows at a stressed vowel, at the last one of a phrase, and from there on in a question."""


def _row(shapes: dict[str, float]) -> np.ndarray:
    """Shapes by stem as a row of weights [K]."""
    row = np.zeros(K)
    for stem, value in shapes.items():
        for name in [stem] if stem in INDEX else [stem + "Left", stem + "Right"]:
            row[INDEX[name]] = value * LEAN.get(name, 1.0)
    return row


_EMOTION_ROWS = np.stack([_row(FULL[name]) for name in EMOTIONS])
_BROW_ROW = _row({"browInnerUp": 1.0, "browOuterUp": 0.8})


def emotion_weights(phones: list[Phone], emotion: np.ndarray, n_frames: int) -> np.ndarray:
    """The emotions of the sentences ([5] for all or [S, 5]), ramped in and out, as weights [T, K]."""
    out = np.zeros((n_frames, K))
    rows = np.atleast_2d(emotion)
    middle_s = (np.arange(n_frames) + 0.5) / FRAME_HZ
    for sentence in sorted({p.sentence for p in phones}):
        sounds = [p for p in phones if p.sentence == sentence and p.symbol]
        row = rows[min(sentence, len(rows) - 1)]
        if not sounds or not row.any():
            continue
        rise = (middle_s - sounds[0].start_s + RAMP_S) / RAMP_S
        fall = (sounds[-1].end_s + RAMP_S - middle_s) / RAMP_S
        level = np.clip(np.minimum(rise, fall), 0.0, 1.0)
        level = level * level * (3 - 2 * level)
        out = np.maximum(out, level[:, None] * (row @ _EMOTION_ROWS))
    return out


def brow_weights(phones: list[Phone], n_frames: int) -> np.ndarray:
    """Brows that rise on stress and in questions, [T, K]."""
    middle_s = (np.arange(n_frames) + 0.5) / FRAME_HZ
    height = np.zeros(n_frames)
    for phrase, ends in _phrases(phones):
        stressed = [p for p in phrase if p.stress == 2]
        for phone in stressed:
            size = NUCLEAR if phone is stressed[-1] else ACCENT
            height = np.maximum(height, size * _bump(middle_s, phone.start_s - 0.12, phone.end_s + 0.18))
        if ends == "?" and stressed:
            held = _bump(middle_s, stressed[-1].start_s - 0.25, phrase[-1].end_s + 0.45)
            height = np.maximum(height, QUESTION * np.minimum(1.0, 1.6 * held))
    return height[:, None] * _BROW_ROW


def _bump(t: np.ndarray, start_s: float, end_s: float) -> np.ndarray:
    """Raised cosine over a span, 0..1."""
    place = np.clip((t - start_s) / (end_s - start_s), 0.0, 1.0)
    return 0.5 - 0.5 * np.cos(2 * np.pi * place)


def _phrases(phones: list[Phone]) -> list[tuple[list[Phone], str]]:
    """Sounds between silences, each with the punctuation that closes it."""
    out: list[tuple[list[Phone], str]] = []
    phrase: list[Phone] = []
    for phone in phones:
        if phone.symbol:
            phrase.append(phone)
        elif phrase:
            out.append((phrase, phone.ends))
            phrase = []
    return [*out, (phrase, "")] if phrase else out


_SMILE = indices(["mouthSmileLeft", "mouthSmileRight", "mouthDimpleLeft", "mouthDimpleRight"])
_MOUTH = [i for n, i in INDEX.items() if n.startswith("mouth")]


def onto_speech(speech: np.ndarray, expression: np.ndarray) -> np.ndarray:
    """Expression laid over articulation, all [T, K]: rounded lips give way less to a smile than open ones."""
    rounding = np.clip(speech[:, INDEX["mouthPucker"]] + 0.7 * speech[:, INDEX["mouthFunnel"]], 0.0, 1.0)
    felt = expression.copy()
    felt[:, _SMILE] *= (1.0 - 0.6 * rounding)[:, None]
    out = speech + felt
    said, shown = speech[:, _MOUTH], felt[:, _MOUTH]
    out[:, _MOUTH] = np.maximum(said, shown) + 0.4 * np.minimum(said, shown)
    return out
