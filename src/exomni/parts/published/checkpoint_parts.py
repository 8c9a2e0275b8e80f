"""The published model's LLM, unit generator and speech decoder behind their ports."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from ...core.errors import CheckpointError, UnsupportedError
from ...core.turns import Turn
from ...model.config import SamplingConfig
from ...model.flow_decoder.decoder import PublishedSpeechDecoder
from ...model.free_pace import FreeUnitGenerator
from ...model.prompt import SYSTEM_TEXT, ChatMessage
from ...model.sampling import UnitSampler
from ..ports import Clause, SpeechUnits, SpokenText, WrittenToken
from .checkpoint import PublishedModel

UNFINISHED = "�"
"""What a tokenizer writes for a character of which bytes are missing."""


class PublishedLLM:
    """The LLM of a checkpoint (`Writer` and `Reader`).

    Args:
        model: the opened checkpoint.
    Raises:
        CheckpointError: it has no tokenizer.
    """

    stamp = "published"  # and not the checkpoint's hash: it would be read whole

    def __init__(self, model: PublishedModel):
        if model.tokenizer is None:
            raise CheckpointError("the checkpoint's folder holds no tokenizer")
        self._model, self._llm = model, model.omni.language_model

    def write(
        self, turns: Sequence[Turn], *, max_new_tokens: int = 256, temperature: float = 0.0, seed: int = 0
    ) -> Iterator[WrittenToken]:
        """Write the reply to a conversation token by token (`Writer`)."""
        sampling = SamplingConfig(temperature=temperature, top_p=1.0, top_k=0, repetition_window=0)
        ids = torch.tensor([self._model.prompt_ids(_messages(turns))])
        written, text = [], ""
        sampler, ends = UnitSampler(sampling, seed), self._model.end_ids
        for token in self._llm.generate(self._llm.embed(ids), sampler, max_new_tokens, ends):
            if token.token_id in ends:
                return
            written.append(token.token_id)
            whole = self._model.tokenizer.decode(written)
            new = "" if whole.endswith(UNFINISHED) else whole[len(text) :]
            text += new
            yield WrittenToken(new, token.hidden_state, token.token_id)

    def prefill(self, turns: Sequence[Turn]) -> Iterator[None]:
        """Nothing is kept between replies."""
        yield from ()

    @torch.inference_mode()
    def read(self, text: str, prompt: str = "", before: str = "") -> Clause:
        """A clause of a given reply with its hidden states; row i predicted token i (`Reader`)."""
        messages = _messages([Turn("user", prompt)] if prompt else [])
        start = self._model.prompt_ids(messages)
        if before:
            start, text = start + self._encode(before), f" {text}"
        ids = self._encode(text)
        states = self._llm(self._llm.embed(torch.tensor([(start + ids)[:-1]]))).hidden_states[0]
        return Clause(text, states[len(start) - 1 :], tuple(ids))

    def _encode(self, text: str) -> list[int]:
        return self._model.tokenizer.encode(text, add_special_tokens=False)


def _messages(turns: Sequence[Turn]) -> list[ChatMessage]:
    messages = [ChatMessage("system", SYSTEM_TEXT)]
    for turn in turns:
        if not isinstance(turn.content, str):
            raise UnsupportedError("a published checkpoint reads typed turns only here; use --listen transcribe")
        messages.append(ChatMessage("assistant" if turn.role == "assistant" else "user", turn.content))
    return messages


class FreeUnits:
    """Units that end where the network says so (`UnitGenerator`).

    Args:
        network: with its weights.
        sampling: how units are drawn.
        name: of the model, for messages.
    """

    def __init__(self, network: FreeUnitGenerator, sampling: SamplingConfig, name: str):
        self._network, self._sampling, self._name = network, sampling, name

    def pieces(self, clause: Clause) -> list[SpokenText]:
        """The clause itself, where it has a letter or a digit."""
        return [SpokenText(clause)] if clause.token_ids and any(c.isalnum() for c in clause.text) else []

    @torch.inference_mode()
    def generate(self, spoken: SpokenText, *, seed: int, speed: float) -> SpeechUnits:
        """Units of a clause (`UnitGenerator`)."""
        if speed != 1.0:
            raise UnsupportedError(f"{self._name} speaks at its own pace; leave out the speed")
        clause = spoken.clause
        ids = torch.tensor([clause.token_ids])
        states = None if clause.hidden_states is None else clause.hidden_states[None]
        mask = torch.ones_like(ids, dtype=torch.bool)
        made = self._network.generate(ids, mask, [UnitSampler(self._sampling, seed)], states)
        return SpeechUnits(made.units[0], made.hidden_states[0], hidden_mask=made.hidden_mask[0])


class FlowVoice:
    """Flow matching and vocoder (`Voice`).

    Args:
        decoder: with its weights.
    """

    def __init__(self, decoder: PublishedSpeechDecoder):
        self._decoder, self.sample_rate = decoder, decoder.sample_hz  # 22,050 for the published weights

    def phonemes(self, text: str) -> list[str]:
        """None: the published model reads tokens."""
        return []

    def ids(self, phonemes: str) -> np.ndarray:
        """None: the published model reads tokens."""
        return np.zeros(0, np.int64)

    def speak(self, speech: SpeechUnits, seed: int) -> np.ndarray:
        """Speech of units, float32 [N], padded with silence or cut to just as long as the units last."""
        samples = self._decoder.decode(speech.units, torch.Generator().manual_seed(seed)).cpu().numpy()
        length = len(speech.units) * self.sample_rate * 2 // 25
        return np.pad(samples, (0, max(0, length - len(samples))))[:length]
