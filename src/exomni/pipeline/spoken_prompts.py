"""Prompts of text and recordings become turns that the LLM reads."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from ..core.errors import ConfigError, NoSpeechError
from ..core.turns import Content, Turn
from ..parts.loading import Parts
from .input_speech import NOTHING_SAID, read_input_audio

Listen = Literal["native", "transcribe"]
"""How speech reaches the LLM: as the text that a CTC listener reads in the LLM's own tokens, or as the transcript that
Whisper's decoder writes."""
LISTEN: tuple[Listen, ...] = ("native", "transcribe")
DEFAULT_LISTEN: Listen = "transcribe"

ReadPart = tuple[np.ndarray | None, str]
"""A part of a turn as it is read: its vectors, float32 [T, D], where it has any, and its words."""


def checked_listen(listen: str | None) -> Listen:
    """A way of listening by its name; the default for None.

    Raises:
        ConfigError: no such way.
    """
    for known in LISTEN:
        if known == (listen or DEFAULT_LISTEN):
            return known
    raise ConfigError(f"there is no way of listening {listen!r}; there are {', '.join(LISTEN)}")


def is_spoken(prompt: Content | Sequence) -> bool:
    """Whether a prompt, or a turn of it, holds a recording."""
    if isinstance(prompt, str | Turn):
        return not isinstance(prompt, str) and is_spoken(prompt.content)
    return isinstance(prompt, Path | np.ndarray) or any(is_spoken(part) for part in prompt)


class SpokenPrompts:
    """Reads recordings as words; its parts are loaded when the first one comes.

    Args:
        parts: of the model.
    """

    def __init__(self, parts: Parts):
        self._parts = parts

    def prepare(self, listen: Listen) -> None:
        """Load now what speech alone needs, so that a request is timed warm."""
        self._parts.part("voice_activity")
        (self._parts.transcriber if listen == "transcribe" else self._parts.listener).prepare()

    def transcribe(
        self, recording: str | Path | np.ndarray, sample_rate: int | None = None, *, trimmed: bool = False,
        listen: Listen = "transcribe",
    ) -> str:  # fmt: skip
        """The words of a recording in English.

        Args:
            recording: a file in any common format, or floating-point [N] mono samples in -1..1.
            sample_rate: of the samples, where `recording` is an array.
            trimmed: whether the recording is known to begin and end with speech, so that none is looked for.
            listen: who writes the words down.
        Raises:
            InputError: not readable, empty, not finite or too long.
            NoSpeechError: nobody speaks in it.
        """
        part = self._parts.transcriber if listen == "transcribe" else self._parts.listener
        activity = None if trimmed else self._parts.voice_activity
        pieces = read_input_audio(recording, sample_rate, activity)
        words = " ".join(filter(None, map(part.transcribe, pieces)))
        if not any(c.isalnum() for c in words):
            raise NoSpeechError(NOTHING_SAID)
        return words

    def turns(
        self, prompt: Content | Sequence, sample_rate: int | None, listen: Listen, check: Callable[[str], str]
    ) -> tuple[list[Turn], str]:
        """A prompt as turns that the LLM reads, and the last one in words.

        Args:
            prompt: parts of one turn of the user, or turns whose content may be parts.
            sample_rate: of the arrays in it.
            listen: how speech is read.
            check: makes a turn's text fit to be read, or refuses it.
        """
        read, words = [], ""
        for turn in _conversation(prompt):
            parts = [self._part(part, sample_rate, listen) for part in turn.pieces]
            parts = [(vectors, text) for vectors, text in parts if vectors is not None or text.strip()]
            words = " ".join(text for _, text in parts)
            words = check(words) if turn.role == "user" else words
            # Speech alone reads as if it had been typed. Beside typed words the LLM needs its adapters to tell what is
            # asked of it from what is said; without such words they only change the reply (docs/listening.md).
            mixed = len({vectors is None for vectors, _ in parts}) == 2
            if mixed:
                self._parts.listener.adapt()
            read.append(Turn(turn.role, tuple(_spaced(parts)) if mixed else words))
        return read, words

    def _part(self, part: Content, sample_rate: int | None, listen: Listen) -> ReadPart:
        if isinstance(part, str):
            return None, part
        words = self.transcribe(part, sample_rate, listen=listen)
        return (self._parts.listener.vectors(words) if listen == "native" else None), words


def _spaced(parts: Sequence[ReadPart]) -> Iterator[str | np.ndarray]:
    """Text and vectors in turns, a space between each two."""
    for i, (vectors, text) in enumerate(parts):
        if i:
            yield " "
        yield text if vectors is None else vectors


def _conversation(prompt: Content | Sequence) -> list[Turn]:
    """A prompt as turns: it may be one turn of the user, or turns already."""
    if isinstance(prompt, str | Path | np.ndarray):
        return [Turn("user", prompt)]
    turns = [turn for turn in prompt if isinstance(turn, Turn)]
    return turns if turns else [Turn("user", prompt)]
