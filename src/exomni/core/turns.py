"""One turn of a conversation, as everything that writes or reads conversations takes it."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Turn:
    """One turn of a conversation.

    Attributes:
        role: "user" or "assistant".
        content: a text, or texts and speech in turns; speech is what the LLM reads for it, float32 [T, D].
    """

    role: str
    content: str | tuple[str | np.ndarray, ...]
