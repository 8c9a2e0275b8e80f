"""True phone times: of speech whose phoneme durations are known, and of recordings that have been aligned."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..core.clauses import ends_sentence
from ..core.errors import FormatError
from ..core.timebase import FRAME_HZ
from ..data.teachers import PAD, Clip, Phone
from ..data.teachers.poses import CLOSED
from ..data.teachers.timing import TICK_S, VOICE_LEAD_S
from ..data.text_emotion import estimate_emotion

OPENNESS = {
    **dict.fromkeys("aɑɒæɐIWʌ", 1.0),
    **dict.fromkeys("ɔɛəɚɜAOYɤ", 0.7),
    **dict.fromkeys("eioyøœuɪʊɨᵻɯᵊQ", 0.45),
    **dict.fromkeys("fvwʍ", 0.1),
    **dict.fromkeys("pbm", 0.0),
    "": 0.0,
}
"""How far each phone opens the lips, roughly; consonants that are not named take `CONSONANT_OPENNESS`."""
CONSONANT_OPENNESS = 0.35
BLEND_S = 0.030
"""Width to which neighbouring phones blend (standard deviation of a Gaussian)."""

_ARPABET = {
    "AA": "ɑ", "AE": "æ", "AH": "ʌ", "AO": "ɔ", "AW": "W", "AY": "I", "EH": "ɛ", "ER": "ɜ", "EY": "A", "IH": "ɪ",
    "IY": "i", "OW": "O", "OY": "Y", "UH": "ʊ", "UW": "u", "B": "b", "CH": "ʧ", "D": "d", "DH": "ð", "F": "f",
    "G": "ɡ", "HH": "h", "JH": "ʤ", "K": "k", "L": "l", "M": "m", "N": "n", "NG": "ŋ", "P": "p", "R": "ɹ", "S": "s",
    "SH": "ʃ", "T": "t", "TH": "θ", "V": "v", "W": "w", "Y": "j", "Z": "z", "ZH": "ʒ", "SIL": "", "SP": "", "SPN": "",
}  # fmt: skip
"""ARPABET in the voice's alphabet."""
_NAMES = {symbol: name for name, symbol in _ARPABET.items() if symbol} | {
    "ə": "AX", "ᵊ": "AX", "ɐ": "AH", "ᵻ": "IX", "ɨ": "IX", "ɚ": "ER", "ɒ": "AA", "ɾ": "DX", "ʔ": "Q",
}  # fmt: skip
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
    """Clauses that follow each other as one clip for a face teacher.

    Args:
        utterances: the clauses, at least one.
        n_frames: face frames wanted.
        seed: of blinks and glances.
        emotion: float32 [5]; None colours each clause by the emotion of its sentence.
        audio: float32 [N] at 24 kHz, for teachers that listen.
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

    Args:
        path: of the JSON file.
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


def closures(phones: Iterable[Phone]) -> Iterator[Phone]:
    """The phones for which the lips must meet."""
    return (p for p in phones if p.symbol in CLOSED)


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
    reach = np.arange(-int(4 * width), int(4 * width) + 1)
    kernel = np.exp(-0.5 * (reach / width) ** 2)
    smooth = np.convolve(target, kernel / kernel.sum(), "same")[: len(t)] if len(t) else target
    return smooth.reshape(n_frames, steps_per_frame).mean(1)
