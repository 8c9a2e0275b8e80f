"""SmolLM2 on ONNX Runtime: writes replies, and reads texts into the hidden states that fusion was trained on."""

from pathlib import Path
from typing import TYPE_CHECKING

from ..loading import Parts

if TYPE_CHECKING:
    from .chat import SmolLM
    from .graph_session import SmolVocabulary


def build_writer(parts: Parts) -> "SmolLM":
    """The LLM as a writer."""
    from .chat import SmolLM
    from .conversion import LLM

    return SmolLM(LLM.folder(), stamp=LLM.stamp)


def build_reader(parts: Parts) -> "SmolLM":
    """The LLM as a reader: the writer itself where that is this LLM."""
    from .chat import SmolLM

    return parts.writer if isinstance(parts.writer, SmolLM) else build_writer(parts)


def build_vocabulary(parts: Parts) -> "SmolVocabulary":
    """The tokenizer and the word embeddings alone."""
    from .conversion import LLM
    from .graph_session import SmolVocabulary

    return SmolVocabulary(LLM.folder())


def build_trainable_llm(parts: Parts) -> Path:
    """The LLM's folder for `transformers`."""
    from .conversion import LLM_WEIGHTS

    return LLM_WEIGHTS.folder()
