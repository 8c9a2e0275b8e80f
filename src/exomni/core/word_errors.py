"""Counts word errors of a transcript, by what was said and not by how it is spelled."""

import re
from dataclasses import astuple, dataclass
from functools import cache
from importlib import resources

import yaml

MAX_JOINED = 4
"""A word may equal up to so many words in a row ("anymore" and "any more", "253035" and "25 30 35")."""

_BEFORE = (
    (re.compile(r"[’‘`]"), "'"),
    (re.compile(r"\bo'clock\b", re.I), "oclock"),
    (re.compile(r"\b([ap])\.\s?m\b\.?", re.I), r"\1m"),
    (re.compile(r"\s*°\s*([CF])\b"), " degrees "),
    (re.compile(r"(?<=\d):(?=\d\d\b)"), " "),
    (re.compile(r"&"), " and "),
    (re.compile(r"\s+%"), "%"),
)


@dataclass(frozen=True)
class WordErrors:
    """What a transcript got wrong.

    Attributes:
        substitutions, deletions, insertions: words replaced, left out, put in.
        words: words of the reference.
    """

    substitutions: int
    deletions: int
    insertions: int
    words: int

    @property
    def errors(self) -> int:
        """All of them."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Errors a word of the reference; 0 where both are empty, infinite where only the reference is."""
        if not self.words:
            return float("inf") if self.errors else 0.0
        return self.errors / self.words

    def __add__(self, other: "WordErrors") -> "WordErrors":
        return WordErrors(*map(sum, zip(astuple(self), astuple(other), strict=True)))


@cache
def _normaliser():
    from transformers.models.whisper.english_normalizer import EnglishTextNormalizer

    return EnglishTextNormalizer(yaml.safe_load((resources.files("exomni.core") / "spellings.yaml").read_text("utf-8")))


def spoken_words(text: str) -> list[str]:
    """Words of a text, alike for all spellings that are said alike.

    Case, punctuation and hesitations go; contractions are written out; numbers, ordinals, money and per cent become
    digits, whether they were words ("forty-two") or not; titles are written out ("Dr."); British spellings become
    American ones.

    Source:
        The normaliser that Whisper's authors publish with the model, as `transformers` carries it.
    """
    for pattern, replacement in _BEFORE:
        text = pattern.sub(replacement, text)
    return [word for word in _normaliser()(text).split() if any(c.isalnum() for c in word)]


def count_word_errors(reference: str, hypothesis: str) -> WordErrors:
    """Fewest word errors that turn a reference into a transcript; words may be split differently."""
    return _align(spoken_words(reference), spoken_words(hypothesis))


def _align(wanted: list[str], found: list[str]) -> WordErrors:
    """Dynamic programme over prefixes; a cell is (errors, substitutions, deletions, insertions)."""
    above: list[list[tuple[int, int, int, int]]] = []
    for i in range(len(wanted) + 1):
        row: list[tuple[int, int, int, int]] = []
        for j in range(len(found) + 1):
            ways = [(0, 0, 0, 0)] if i == j == 0 else []
            if i:
                e, s, d, n = above[i - 1][j]
                ways.append((e + 1, s, d + 1, n))
            if j:
                e, s, d, n = row[j - 1]
                ways.append((e + 1, s, d, n + 1))
            if i and j:
                e, s, d, n = above[i - 1][j - 1]
                same = wanted[i - 1] == found[j - 1]
                ways.append((e, s, d, n) if same else (e + 1, s + 1, d, n))
                near = max(0, i - MAX_JOINED), max(0, j - MAX_JOINED)
                ways.extend(above[i - a][j - b] for a, b in _joins(wanted[near[0] : i], found[near[1] : j]))
            row.append(min(ways))
        above.append(row)
    _, substitutions, deletions, insertions = above[-1][-1]
    return WordErrors(substitutions, deletions, insertions, len(wanted))


def _joins(wanted: list[str], found: list[str]) -> list[tuple[int, int]]:
    """How many last words of each are the same but for the spaces between them."""
    if wanted[-1] == found[-1] or not (wanted[-1].endswith(found[-1]) or found[-1].endswith(wanted[-1])):
        return []
    out = [(a, 1) for a in range(2, MAX_JOINED + 1) if "".join(wanted[-a:]) == found[-1] and len(wanted) >= a]
    return out + [(1, b) for b in range(2, MAX_JOINED + 1) if "".join(found[-b:]) == wanted[-1] and len(found) >= b]
