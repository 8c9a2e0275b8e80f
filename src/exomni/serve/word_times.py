"""When each word of a reply is spoken."""

from itertools import pairwise

import numpy as np

from ..core.events import SpeechEvent
from ..core.timebase import SAMPLES_PER_TICK
from .protocol.server import SpokenWord


class WordTimer:
    """Places the words of a reply in its speech, piece by piece.

    A clause that is too long for the voice comes in several pieces, each with all of its text: the words that one
    piece does not hold are left for the next.
    """

    def __init__(self) -> None:
        self._text = ""
        self._left: list[str] = []

    def place(self, event: SpeechEvent) -> tuple[SpokenWord, ...]:
        """The words that a piece of speech says, with their times in the reply; none for a recording."""
        if event.text != self._text or not self._left:
            self._text, self._left = event.text, event.text.split()
        spans = _spans(event)
        if len(spans) < len(self._left) and len(spans) > 1:
            said, self._left = self._left[: len(spans)], self._left[len(spans) :]
        else:
            said, self._left = self._left, []
        if not said:
            return ()
        if len(said) != len(spans):
            spans = _shares(said, spans[0][0], spans[-1][1])
        return tuple(
            SpokenWord(text=word, start_sample=event.start_sample + start, end_sample=event.start_sample + stop)
            for word, (start, stop) in zip(said, spans, strict=True)
        )


def _spans(event: SpeechEvent) -> list[tuple[int, int]]:
    """Samples of each group of phonemes between spaces; of the whole piece where ticks are not known."""
    if len(event.ticks) != len(event.phonemes) + 2:
        return [(0, len(event.samples))]
    edges = np.concatenate([[0], np.cumsum(event.ticks)]) * SAMPLES_PER_TICK
    spans, start = [], 0
    for group in event.phonemes.split(" "):
        if group:
            spans.append((int(edges[start + 1]), int(edges[start + 1 + len(group)])))
        start += len(group) + 1
    return spans or [(0, len(event.samples))]


def _shares(words: list[str], start: int, stop: int) -> list[tuple[int, int]]:
    """A span cut up by the words' lengths."""
    edges = np.cumsum([0, *(len(word) + 1 for word in words)])
    places = [int(edge) for edge in start + (stop - start) * edges // edges[-1]]
    return list(pairwise(places))
