"""The table of text sources: a new source is a file with a function that yields rows, and a row here.

Every source is named in the data set's manifest with its licence.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ..assets.table import ASSETS
from .llm_replies import kept_dialogue_rows
from .templates import template_rows
from .text import SourceInput, TextRow
from .wordnet import wordnet_rows


@dataclass(frozen=True)
class TextSource:
    """A source of rows: its licence (an SPDX name, or the terms in a few words), and what generates its rows."""

    licence: str
    rows: Callable[[SourceInput], Iterator[TextRow]]


SOURCES: dict[str, TextSource] = {
    "dialogue": TextSource(ASSETS["smollm2-135m-instruct"].licence, kept_dialogue_rows),
    "templates": TextSource("Apache-2.0", lambda given: template_rows(given.rng())),
    "wordnet": TextSource("WordNet-3.0", lambda given: wordnet_rows(given.rng(), given.path)),
}
"""The sources by their name in recipes and manifests; the LLM's own replies are under its licence."""
