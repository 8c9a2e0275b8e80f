"""The CTC listener behind its port: speech becomes the text that the LLM finds likeliest, in the LLM's own tokens."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from ...model.config import OmniConfig
from ...model.ctc_hypotheses import beam_search, rescore
from ...model.ctc_listener import CTCListenerWeights, load_ctc_listener
from ..ports import FeatureEncoder
from ..smollm.chat import SmolLM


class CTCSpeechListener:
    """Reads speech by CTC over the LLM's tokens (`SpeechListener`).

    Args:
        folder: of the released weights.
        config: sizes.
        encoder: of speech.
        llm: in whose embedding space speech is read.
    """

    def __init__(self, folder: Path, config: OmniConfig, encoder: FeatureEncoder, llm: SmolLM):
        self._encoder, self._llm = encoder, llm
        self.weights: CTCListenerWeights = load_ctc_listener(folder, config)
        self._is_adapted = False

    @cached_property
    def _table(self) -> torch.Tensor:
        """Word embeddings of the tokens that speech is read as, float32 [V, D]."""
        return torch.from_numpy(self._llm.embeddings(self.weights.known.tolist()))

    def prepare(self) -> None:
        """Make the tables that the first request would wait for."""
        self._table  # noqa: B018
        self._llm.log_likelihood_ratios("Hello.", ["Hallo."])

    def transcribe(self, samples: np.ndarray) -> str:
        """How a piece of speech, float32 [N] at 16 kHz, reads in the words that the LLM finds likeliest."""
        listener = self.weights.listener
        with torch.inference_mode():
            vectors = listener(self._encoder(samples)[None])[0]
            log_probs = listener.scores(vectors, self._table).log_softmax(-1)

        def text_of(ids: Sequence[int]) -> str:
            return self._llm.tokenizer.decode(self.weights.known[list(ids)].tolist()).strip()

        return text_of(rescore(beam_search(log_probs.numpy()), text_of, self._llm.log_likelihood_ratios))

    def vectors(self, text: str) -> np.ndarray:
        """The LLM's embeddings of a text, float32 [T, D]: what it is given for speech that reads so."""
        return self._llm.embeddings(self._llm.tokenizer.encode(text, add_special_tokens=False).ids)

    def adapt(self) -> None:
        """Give the LLM, once, the adapters through which it reads speech beside typed words."""
        if not self._is_adapted and self.weights.adapters:
            self._llm.use_adapters(self.weights.adapters)
        self._is_adapted = True
