"""How `ExOmni` hears: prompts of text and recordings become turns that the LLM reads."""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from .core.errors import ConfigError, NothingHeardError
from .core.timebase import ENCODER_SAMPLE_HZ
from .model.chat import Turn
from .model.nano import Nano
from .spoken import NOTHING, read_spoken

Listen = Literal["transcribe"]
"""How speech reaches the LLM: as the text that Whisper's decoder writes down."""
LISTEN: tuple[Listen, ...] = ("transcribe",)
DEFAULT_LISTEN: Listen = "transcribe"

Part = str | Path | np.ndarray
"""Of a turn: typed text, a file with a recording, or float32 [N] mono samples."""


def checked_listen(listen: str | None) -> Listen:
    """A way of listening by its name; the default for None.

    Raises:
        ConfigError: no such way.
    """
    for known in LISTEN:
        if known == (listen or DEFAULT_LISTEN):
            return known
    raise ConfigError(f"there is no way of listening {listen!r}; there are {', '.join(LISTEN)}")


def parts_of(content: Part | Sequence[Part]) -> tuple[Part, ...]:
    """What a turn is made of."""
    return (content,) if isinstance(content, str | Path | np.ndarray) else tuple(content)


def is_spoken(prompt: Part | Sequence) -> bool:
    """Whether a prompt, or a turn of it, holds a recording."""
    if isinstance(prompt, str | Turn):
        return not isinstance(prompt, str) and is_spoken(prompt.content)
    return isinstance(prompt, Path | np.ndarray) or any(is_spoken(part) for part in prompt)


class Ear:
    """Reads recordings; its parts are loaded when the first one comes.

    Args:
        nano: whose speech encoder is used.
    """

    def __init__(self, nano: Nano):
        self._nano = nano

    @cached_property
    def transcriber(self):
        """Whisper's decoder."""
        from .model.transcriber import Transcriber

        return Transcriber(self._nano.whisper_folder())

    def prepare(self) -> None:
        """Load everything now, so that a request is timed warm."""
        from .model.vad import voice_model

        voice_model(), self._nano.speech_features, self.transcriber

    def transcribe(self, recording: str | Path | np.ndarray, sample_rate: int | None = None) -> str:
        """The words of a recording in English.

        Args:
            recording: a file in any common format, or floating-point [N] mono samples in -1..1.
            sample_rate: of the samples, where `recording` is an array.
        Raises:
            InputError: not readable, empty, not finite or too long.
            NothingHeardError: nobody speaks in it.
        """
        from .model.transcriber import END_SILENCE_S

        silence = np.zeros(int(END_SILENCE_S * ENCODER_SAMPLE_HZ), np.float32)
        words = []
        for piece in read_spoken(recording, sample_rate):
            words.append(self.transcriber(self._nano.speech_features(np.concatenate([piece, silence]))))
        text = " ".join(filter(None, words))
        if not any(c.isalnum() for c in text):
            raise NothingHeardError(NOTHING)
        return text

    def turns(
        self, prompt: Part | Sequence, sample_rate: int | None, check: Callable[[str], str]
    ) -> tuple[list[Turn], str]:
        """A prompt as typed turns, and the words of its last one.

        Args:
            prompt: parts of one turn of the user, or turns whose content may be parts.
            sample_rate: of the arrays in it.
            check: makes a turn's text fit to be read, or refuses it.
        """
        turns = prompt if _is_conversation(prompt) else [Turn("user", prompt)]
        read = [Turn(turn.role, self._text(turn.content, sample_rate)) for turn in turns]
        read = [Turn(t.role, check(t.content)) if t.role == "user" else t for t in read]
        return read, read[-1].content

    def _text(self, content: Part | Sequence[Part], sample_rate: int | None) -> str:
        parts = parts_of(content)
        return " ".join(p if isinstance(p, str) else self.transcribe(p, sample_rate) for p in parts)


def _is_conversation(prompt: Part | Sequence) -> bool:
    return not isinstance(prompt, str | Path | np.ndarray) and any(isinstance(turn, Turn) for turn in prompt)
