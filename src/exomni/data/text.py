"""Rows of text to be spoken, what a text source is given to make them, and what a voice can read.

The mix of sources aims at what a talking machine says: answers and explanations in an LLM's own words, questions,
exclamations, lists, and the things that voices stumble over (numbers, dates, names, rare words).
"""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MAX_CHARS = 320
"""Longest text of a row; about 20 s of speech."""
MIN_CHARS = 2

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[\"'A-Z0-9])")
_SPEAKABLE = re.compile(r"[A-Za-z0-9 ,.;:!?'\"()%$&/+=—–-]+")


@dataclass(frozen=True)
class TextRow:
    """One text to be spoken.

    Attributes:
        prompt: what it answers ("" for a text on its own, the TTSF task).
        source: name of the source it came from.
    """

    text: str
    prompt: str
    source: str


@dataclass(frozen=True)
class SourceInput:
    """What a text source is given to make its rows.

    Attributes:
        seed: of the data set.
        name: of the source.
        path: folder of files that the source reads; None where the recipe names none.
        kept: folder of the data set in which the source may keep what is costly to make.
    """

    seed: int
    name: str
    path: Path | None
    kept: Path

    def rng(self, part: str = "") -> random.Random:
        """The random generator of the source, or of a named part of its work."""
        return random.Random(":".join([str(self.seed), self.name, *([part] if part else [])]))


def is_speakable(text: str) -> bool:
    """Whether a text is one that a voice can read as it stands."""
    letters = sum(c.isalpha() for c in text)
    return MIN_CHARS <= len(text) <= MAX_CHARS and _SPEAKABLE.fullmatch(text) is not None and letters >= 0.5 * len(text)


def split_passages(text: str, rng: random.Random) -> Iterator[str]:
    """Cut a text into passages of one to four whole sentences; more than one only within `MAX_CHARS`."""
    passage: list[str] = []
    want = rng.choice((1, 1, 2, 2, 3, 4))
    for sentence in _SENTENCE_END.split(" ".join(text.split())):
        if passage and (len(passage) >= want or len(" ".join([*passage, sentence])) > MAX_CHARS):
            yield " ".join(passage)
            passage, want = [], rng.choice((1, 1, 2, 2, 3, 4))
        passage.append(sentence)
    if any(passage):
        yield " ".join(passage)
