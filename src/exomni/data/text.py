"""Where the words come from: licensed text sources, each a seeded generator of `TextRow`s.

Every source is named in the manifest with its licence. The mix aims at what a talking machine says: answers
and explanations in an LLM's own words, questions, exclamations, lists, and the things that voices stumble
over (numbers, dates, names, rare words).
"""

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..assets.table import ASSETS
from ..core.errors import InputError
from . import templates

MAX_CHARS = 320
"""Longest text of a row; about 20 s of speech."""
MIN_CHARS = 2

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[\"'A-Z0-9])")
_SPEAKABLE = re.compile(r"[A-Za-z0-9 ,.;:!?'\"()%$&/+=—–-]+")
_WORDNET_LINE = re.compile(r"\|\s*(.+)$")


@dataclass(frozen=True)
class TextRow:
    """One text to be spoken.

    Attributes:
        text: what is said.
        prompt: what it answers ("" for a text on its own, the TTSF task).
        source: name of the source it came from.
    """

    text: str
    prompt: str
    source: str


@dataclass(frozen=True)
class TextSource:
    """A named source of rows.

    Attributes:
        name: key in configurations and manifests.
        licence: SPDX name, or the terms in a few words.
        rows: function of a random generator and, for sources that read a folder, its path.
    """

    name: str
    licence: str
    rows: Callable[[random.Random, Path | None], Iterator[TextRow]]


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


def wordnet_rows(rng: random.Random, folder: Path | None) -> Iterator[TextRow]:
    """Definitions and example sentences of WordNet 3.0, read as spoken explanations.

    Raises:
        InputError: the folder has no WordNet data files.
    """
    entries: list[tuple[str, str, str]] = []
    for kind in ("noun", "verb", "adj", "adv"):
        path = Path(folder or "/usr/share/wordnet") / f"data.{kind}"
        if not path.is_file():
            raise InputError(f"{path} is missing: install WordNet 3.0 (Debian: wordnet-base) or set its path")
        for line in path.read_text("latin-1").splitlines():
            match = _WORDNET_LINE.search(line)
            if match and not line.startswith("  "):
                word = re.sub(r"\(.*\)", "", line.split()[4]).replace("_", " ")
                entries.append((kind, word, match.group(1)))
    rng.shuffle(entries)
    for kind, word, gloss in entries:
        quoted = re.findall(r'"([^"]+)"', gloss)
        definition = re.sub(r"\([^)]*\)\s*", "", gloss.split('"')[0]).split(";")[0].strip(" ;,")
        texts = [_as_sentence(q) for q in quoted if len(q.split()) >= 4]
        if kind == "noun" and definition and word.islower():
            article = "An" if word[0] in "aeiou" else "A"
            texts.append(
                f"{article} {word} is {definition}."
                if definition.startswith(("a ", "an ", "the "))
                else f"{_as_sentence(word).rstrip('.')}, that is, {definition}."
            )
        for text in texts:
            if is_speakable(text):
                yield TextRow(text, "", "wordnet")


def _as_sentence(text: str) -> str:
    text = text.strip().rstrip(";,")
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else text + "."


def template_rows(rng: random.Random, folder: Path | None) -> Iterator[TextRow]:
    """Numbers, dates, names, lists, exclamations and feelings, from the templates of this package."""
    while True:
        text = templates.draw(rng)
        if is_speakable(text):
            yield TextRow(text, "", "templates")


SOURCES: dict[str, TextSource] = {
    s.name: s
    for s in (
        TextSource("templates", "Apache-2.0", template_rows),
        TextSource("wordnet", "WordNet-3.0", wordnet_rows),
    )
}
"""Sources that need no model; replies of an LLM come from `exomni.data.dialogue`."""


def licence_of(source: str) -> str:
    """Licence of a source's words; an LLM's own are under the LLM's."""
    return ASSETS["smollm2-135m-instruct"].licence if source == "dialogue" else SOURCES[source].licence
