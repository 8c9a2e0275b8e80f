"""True phone times: of speech whose phoneme durations are known, and of recordings that have been aligned."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
import yaml
from scipy.ndimage import gaussian_filter1d

from ..core.clauses import ends_sentence
from ..core.errors import FormatError
from ..core.timebase import FRAME_HZ
from ..data.teachers import PAD, Clip, Phone
from ..data.teachers.timing import TICK_S, VOICE_LEAD_S
from ..data.text_emotion import estimate_emotion

_LISTS = yaml.safe_load((resources.files("exomni.evaluate") / "phones.yaml").read_text("utf-8"))
OPENNESS: dict[str, float] = {"": 0.0} | {s: width for width, symbols in _LISTS["openness"].items() for s in symbols}
"""How far each phone opens the lips, roughly; consonants that are not named take `CONSONANT_OPENNESS`."""
CONSONANT_OPENNESS = 0.35
BLEND_S = 0.030
"""Width to which neighbouring phones blend (standard deviation of a Gaussian)."""
_ARPABET: dict[str, str] = _LISTS["arpabet"]
"""ARPABET in the voice's alphabet."""
_NAMES: dict[str, str] = {symbol: name for name, symbol in _ARPABET.items() if symbol} | _LISTS["names"]
"""ASCII names of the voice's symbols."""


@dataclass(frozen=True, eq=False)
class Utterance:
    """A clause as it was spoken.

    Attributes:
        text: its words.
        phonemes: in the voice's alphabet, one symbol a character.
        ticks: durations, int64 [1 + len(phonemes) + 1], in ticks of 25 ms, silence at both ends included.
    """

    text: str
    phonemes: str
    ticks: np.ndarray


def sentence_emotions(utterances: Sequence[Utterance]) -> np.ndarray:
    """Emotion of the sentence that each clause belongs to, float32 [S, 5]."""
    sentences: list[list[int]] = [[]]
    for i, utterance in enumerate(utterances):
        sentences[-1].append(i)
        if ends_sentence(utterance.text):
            sentences.append([])
    out = np.zeros((len(utterances), 5), np.float32)
    for clauses in filter(None, sentences):
        out[clauses] = estimate_emotion(" ".join(utterances[i].text for i in clauses))
    return out


def clip_of(
    utterances: Sequence[Utterance], n_frames: int, seed: int = 0, emotion: np.ndarray | None = None,
    audio: np.ndarray | None = None,
) -> Clip:  # fmt: skip
    """Clauses, at least one, that follow each other as one clip for a face teacher; `seed` is of blinks and glances.

    Without an emotion, float32 [5], each clause has that of its sentence; teachers that listen need the audio, float32
    [N] at 24 kHz.
    """
    symbols = [s for u in utterances for s in (PAD, *u.phonemes, PAD)]
    ticks = np.concatenate([u.ticks for u in utterances])
    emotions = sentence_emotions(utterances) if emotion is None else emotion
    return Clip(symbols, ticks, n_frames, emotions, seed, audio)


def clip_of_phones(phones: Sequence[Phone], n_frames: int, audio: np.ndarray | None = None) -> Clip:
    """A clip whose phones, as a face teacher reads them, are these; neutral."""
    symbols, ticks = [PAD], [(phones[0].start_s + VOICE_LEAD_S) / TICK_S]
    for phone in phones:
        symbols.append(phone.symbol or ",")
        ticks.append((phone.end_s - phone.start_s) / TICK_S)
    return Clip([*symbols, PAD], np.array([*ticks, 0.0]), n_frames, audio=audio)


def read_phones(path: Path) -> list[Phone]:
    """Phones of an alignment file: nested words `w` and in them ARPABET phones with begin `b` and duration `d`.

    Raises:
        FormatError: not such a file, or a phone that is not ARPABET.
    """
    try:
        words = json.loads(path.read_text("utf-8"))["w"]
        timed = [(str(p["t"]), float(p["b"]), float(p["d"])) for word in words for p in word["w"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FormatError(f"{path} is not an alignment with words and phones ({error!r})") from error
    unknown = sorted({name for name, _, _ in timed if name.rstrip("012") not in _ARPABET})
    if unknown or not timed:
        raise FormatError(f"{path} has {'no phones' if not timed else 'unknown phones: ' + ', '.join(unknown)}")
    return [Phone(_ARPABET[name.rstrip("012")], begin, begin + length) for name, begin, length in timed]


def phone_name(symbol: str) -> str:
    """A phone in ASCII letters, where ARPABET has a name for it."""
    return _NAMES.get(symbol, symbol)


def is_open_vowel(phone: Phone) -> bool:
    """Whether the mouth must clearly open for a phone."""
    return OPENNESS.get(phone.symbol, 0.0) >= 1.0


def expected_opening(phones: Sequence[Phone], n_frames: int) -> np.ndarray:
    """How open a mouth that says these phones should be, roughly: 0 closed, 1 wide, float [T_frame].

    Neighbours blend. It is symmetric in time, so that a face is compared with it without a bias to either side.
    """
    steps_per_frame = 8
    t = (np.arange(n_frames * steps_per_frame) + 0.5) / (FRAME_HZ * steps_per_frame)
    target = np.zeros(len(t))
    for phone in phones:
        inside = (t >= phone.start_s) & (t < phone.end_s)
        target[inside] = OPENNESS.get(phone.symbol, CONSONANT_OPENNESS)
    width = BLEND_S * FRAME_HZ * steps_per_frame
    smooth = gaussian_filter1d(target, width, mode="constant", radius=int(4 * width)) if len(t) else target
    return smooth.reshape(n_frames, steps_per_frame).mean(1)
