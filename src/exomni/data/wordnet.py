"""Definitions and example sentences of WordNet 3.0, a text source."""

import random
import re
from collections.abc import Iterator
from pathlib import Path

from ..core.errors import InputError
from .text import TextRow, is_speakable

_GLOSS = re.compile(r"\|\s*(.+)$")


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
            match = _GLOSS.search(line)
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
