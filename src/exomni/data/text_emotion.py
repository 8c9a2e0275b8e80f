"""Estimates the emotion of a sentence from its words, as a 5-way vector.

A word list (`emotion_words.yaml`) with rules (negation, degree, exclamation, who speaks of whom), written for this
project. It is meant to colour a face gently and to be right when a sentence says plainly what it feels. It is not a
classifier of hidden feelings: it knows no irony, no context beyond the sentence, and only English.
"""

import re
from collections.abc import Iterator
from importlib import resources

import numpy as np
import yaml

from ..core.emotion import EMOTIONS

_LISTS = yaml.safe_load((resources.files("exomni.data") / "emotion_words.yaml").read_text("utf-8"))
WORDS: dict[str, tuple[str, float]] = {
    word: (emotion, weight)
    for emotion, tiers in _LISTS["words"].items()
    for weight, words in tiers.items()
    for word in words.split()
}
"""Base form -> (emotion, weight 0..1)."""
PHRASES: dict[str, tuple[str, float]] = {phrase: tuple(entry) for phrase, entry in _LISTS["phrases"].items()}
"""Words in a row that mean more together -> the same."""
NEGATIONS, STRONGER, WEAKER, PERSONAL, INERT = (
    frozenset(_LISTS[name].split()) for name in ("negations", "stronger", "weaker", "personal", "inert")
)
REACH_WORDS = 3
"""A negation or a degree acts on the feeling words that follow within this many words."""
STRONGER_GAIN, WEAKER_GAIN, EXCLAIMED_GAIN = 1.3, 0.6, 1.3
REPORTED_GAIN = 0.6
"""A sentence without a person who speaks or is spoken to tells of feelings more than it has them."""
NEGATED_JOY = 0.5
"""What is not joyful is half as sad; what is not sad, angry, disgusting or frightening is neutral."""
PLAIN_EXCLAMATION = 0.25
FLOOR = 0.20
"""Less than this is neutral."""
SECOND = 0.5
"""How much the weaker feelings of a mixed sentence keep."""

_ENDINGS: dict[str, list[str]] = _LISTS["endings"]
"""Endings of a word's forms, and what stands in their place in its base form."""


def estimate_emotion(text: str) -> np.ndarray:
    """Estimate the emotion of a sentence; several are taken as one.

    Returns:
        float32 [5] in the order of `core.emotion.EMOTIONS`, each in 0..1; all zero is neutral, as most are.
    """
    words = re.findall(r"[a-z]+(?:'[a-z]+)?", text.lower().replace("’", "'"))
    exclaimed = "!" in text
    gain = EXCLAIMED_GAIN if exclaimed else 1.0
    if not exclaimed and not PERSONAL.intersection(words):
        gain *= REPORTED_GAIN
    left = np.ones(len(EMOTIONS))
    for emotion, weight in _feelings(words):
        left[EMOTIONS.index(emotion)] *= 1.0 - min(0.95 * gain * weight, 0.95)
    felt = 1.0 - left
    if exclaimed and felt.max() < FLOOR:
        felt[EMOTIONS.index("joy")] = PLAIN_EXCLAMATION
    felt[np.arange(len(felt)) != felt.argmax()] *= SECOND
    return np.where(felt < FLOOR, 0.0, felt).astype(np.float32)


def _feelings(words: list[str]) -> Iterator[tuple[str, float]]:
    """Feelings of a sentence's words and phrases, degree and negation applied: (emotion, weight)."""
    i = 0
    while i < len(words):
        length, entry = _entry(words, i)
        if entry is not None:
            before = words[max(0, i - REACH_WORDS) : i]
            felt = _in_context(*entry, before)
            if felt is not None:
                yield felt
        i += length


def _entry(words: list[str], i: int) -> tuple[int, tuple[str, float] | None]:
    """How many words from `i` on belong together, and their feeling."""
    for length in (4, 3, 2):
        entry = PHRASES.get(" ".join(words[i : i + length]))
        if entry is not None and i + length <= len(words):
            return length, entry
    word = words[i]
    if word in INERT:
        return 1, None
    return 1, next((WORDS[form] for form in _base_forms(word) if form in WORDS), None)


def _in_context(emotion: str, weight: float, before: list[str]) -> tuple[str, float] | None:
    """A feeling after the words before it."""
    if any(w in STRONGER for w in before[-2:]):
        weight *= STRONGER_GAIN
    if any(w in WEAKER for w in before[-2:]):
        weight *= WEAKER_GAIN
    if any(w in NEGATIONS or w.endswith("n't") for w in before):
        return ("sadness", weight * NEGATED_JOY) if emotion == "joy" else None
    return emotion, weight


def _base_forms(word: str) -> Iterator[str]:
    """The word itself and what it may be a form of."""
    yield word
    for ending, replacements in _ENDINGS.items():
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            stem = word[: -len(ending)]
            for replacement in replacements:
                yield stem + replacement
            if ending in ("ed", "ing") and stem[-1] == stem[-2]:
                yield stem[:-1]
