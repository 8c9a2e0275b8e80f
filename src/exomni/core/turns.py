"""One turn of a conversation, as everything that talks reads it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

Content = str | Path | np.ndarray
"""Of a turn: typed text, a file with a recording, or an array (see `Turn`)."""


@dataclass(frozen=True)
class Turn:
    """One turn of a conversation.

    Attributes:
        role: "user" or "assistant".
        content: a text, or several pieces. In a prompt, speech is a file or samples, float32 [N]; a `Writer` is given
            what the LLM reads in its place, float32 [T, D].
    """

    role: str
    content: Content | Sequence[Content]

    @property
    def pieces(self) -> tuple[Content, ...]:
        """What the turn is made of, in order."""
        return (self.content,) if isinstance(self.content, str | Path | np.ndarray) else tuple(self.content)
