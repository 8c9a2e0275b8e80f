"""Stages "listening" (the paper's I) and "dialogue" (its III): the listener and the LLM's adapters, through the LLM.

What the frozen LLM would say, token by token, to the typed prompt is the target for the spoken one, along its own
likeliest reply: it learns to take speech for text and nothing else (our choice of loss; the paper trains on such
replies too).
"""

from collections.abc import Callable, Mapping, Sequence
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, cast

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from ..core.configuration import StrictConfig
from ..core.errors import InputError
from ..data.asr_build import ASRRow
from ..model.adapters import Adapters
from ..model.ctc_listener import BLANK, CTCListener
from ..model.prompt import ASSISTANT, AUDIO_MARKER, USER_TURN
from ..model.tokens import IGNORE_INDEX
from .ctc import pad_frames, with_noise

if TYPE_CHECKING:
    from transformers import PreTrainedModel

REPEAT = f"Repeat what you hear: {AUDIO_MARKER}"
"""The prompt of the repeat-what-you-hear task."""
CLEAR = 0.5
"""A token that is likelier than all others together is clear."""


class LLMListenerConfig(StrictConfig):
    """What the LLM is trained to do with speech.

    Attributes:
        repeats: share of rows that are to be repeated; the others are answered.
        rank: of the adapters.
        reply_tokens: longest reply that is trained on.
        noise: standard deviation of the noise on encoder channels.
    """

    repeats: float = Field(ge=0, le=1)
    rank: int = Field(8, ge=1)
    reply_tokens: int = Field(32, ge=1)
    noise: float = Field(0.2, ge=0)


def mixed_tokens(
    listener: CTCListener, vectors: torch.Tensor, table: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Turn CTC scores into input embeddings through which the loss reaches the listener.

    Blanks are dropped, and what is one token held for several steps is merged. A clear token becomes its word
    embedding, as if it had been typed; any other lies between those that it may be. (The projected vectors themselves
    are not near enough to their words for the LLM to know them, and even a slight mixture leads to another reply; see
    docs/listening.md. In use the transcript is settled first, by `model.ctc_hypotheses`.)

    Args:
        listener: whose vectors they are.
        vectors: of one clip, [T, D_llm].
        table: word embeddings [V, D_llm].
    Returns:
        Embeddings [T_token, D_llm], and the likeliest tokens, rows of the table, int64 [T_token].
    """
    scores = listener.scores(vectors, table)
    runs, lengths = torch.unique_consecutive(scores.argmax(-1), return_counts=True)
    kept = runs != BLANK
    ids = runs[kept] - 1
    likely = scores[:, 1:].softmax(-1)
    likely = torch.stack([piece.mean(0) for piece in likely.split(lengths.tolist())])[kept]
    clear = likely.gather(1, ids[:, None]) >= CLEAR
    return torch.where(clear, table[ids], likely @ table), ids


def as_written(
    vectors: torch.Tensor, ids: list[int], tokenizer, embeddings: Callable[[list[int]], torch.Tensor]
) -> torch.Tensor:
    """Respell a clip with the tokens that the LLM itself would write.

    Rare words come as short pieces, which the LLM seldom sees side by side: such words become the embeddings of
    the tokens that they are written with. All else keeps its own vectors.

    Args:
        vectors: of one clip, [T_token, D_llm].
        ids: its tokens, ids of the LLM.
        tokenizer: the LLM's (`tokenizers.Tokenizer`).
        embeddings: word embeddings of a list of ids, [n, D_llm].
    Returns:
        [T_written, D_llm].
    """
    written = tokenizer.encode(tokenizer.decode(ids), add_special_tokens=False).ids
    pieces = []
    for same, i, j, k, n in SequenceMatcher(None, ids, written, autojunk=False).get_opcodes():
        if same == "equal":
            pieces.append(vectors[i:j])
        elif n > k:
            pieces.append(embeddings(written[k:n]).to(vectors.dtype))
    return torch.cat(pieces) if pieces else vectors


class LLMListenerTask:
    """Trains the listener and the adapters on the LLM's loss.

    Args:
        train, held_out: rows; those with a reply can be answered, all can be repeated.
        listener: as stage "reading" or "listening" left it.
        llm: the causal LLM of `transformers`; it stays as it is.
        tokenizer: its tokenizer (`tokenizers.Tokenizer`).
        known: ids of the tokens that speech is read as, int64 [V].
        config: the mix.
        seed: of the adapters.
    """

    def __init__(
        self, train: Sequence[ASRRow], held_out: Sequence[ASRRow], listener: CTCListener, llm: "PreTrainedModel",
        tokenizer, known: torch.Tensor, config: LLMListenerConfig, seed: int = 0,
    ):  # fmt: skip
        torch.manual_seed(seed)
        self.answered = [row for row in train if row.reply]
        self.repeated = list(train)
        if not self.answered or not self.repeated:
            raise InputError(f"{len(self.repeated)} rows to repeat and {len(self.answered)} to answer are too few")
        self.held_out, self.config, self.tokenizer = list(held_out), config, tokenizer
        self.llm = cast(nn.Module, llm.eval().requires_grad_(False))
        self.listener, self.adapters = listener, Adapters(llm, config.rank)
        self.modules: dict[str, nn.Module] = {"listener": self.listener, "adapters": self.adapters}
        self._layers, self._lm_head = llm.get_submodule("model"), llm.get_submodule("lm_head")
        self.table = cast(nn.Embedding, llm.get_input_embeddings()).weight
        self.known = known
        self.end_id = tokenizer.token_to_id("<|im_end|>")

    def batch(self, generator: torch.Generator, size: int) -> dict[str, torch.Tensor]:
        """Rows to repeat or to answer, noisy, with the tokens around the speech and those of the reply."""
        picked = []
        for repeat in (torch.rand(size, generator=generator) < self.config.repeats).tolist():
            rows = self.repeated if repeat else self.answered
            picked.append((rows[int(torch.randint(len(rows), (1,), generator=generator))], repeat))
        batch = self._collate(picked)
        batch["frames"] = with_noise(batch["frames"], self.listener.std.cpu() * self.config.noise, generator)
        return batch

    def _collate(self, picked: Sequence[tuple[ASRRow, bool]]) -> dict[str, torch.Tensor]:
        frames, lengths = pad_frames([row.features for row, _ in picked])
        befores, afters, replies, typed = [], [], [], []
        for row, repeat in picked:
            before, after = USER_TURN.format(REPEAT if repeat else AUDIO_MARKER).split(AUDIO_MARKER)
            befores.append(self._ids(before))
            afters.append(self._ids(after + ASSISTANT))
            reply = self._ids(row.text if repeat else row.reply)
            cut = reply[: self.config.reply_tokens]
            replies.append(cut if len(cut) < len(reply) else [*cut, self.end_id])
            typed.append([] if repeat else self._ids(USER_TURN.format(row.text) + ASSISTANT))
        parts = {"before": befores, "after": afters, "reply": replies, "typed": typed}
        return {"frames": frames, "lengths": lengths, **{k: _padded(v) for k, v in parts.items()}}

    def _ids(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def losses(self, batch: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Cross-entropy of what is repeated and divergence from the typed prompt's replies, a token."""
        device = batch["frames"].device
        self.llm.to(device)
        rows, targets = self._spoken(batch)
        inputs = nn.utils.rnn.pad_sequence(rows, batch_first=True)
        wanted = nn.utils.rnn.pad_sequence(targets, batch_first=True, padding_value=IGNORE_INDEX)
        with torch.autocast(device.type, torch.bfloat16):
            # Padding is on the right, where no row that counts looks.
            states = self._layers(inputs_embeds=inputs, use_cache=False).last_hidden_state
            counted = wanted != IGNORE_INDEX
            logits = self._lm_head(states[counted]).float()
        answered = (batch["typed"] >= 0).any(dim=1)
        by_token = answered.repeat_interleave(counted.sum(dim=1))
        summed = functional.cross_entropy(logits[~by_token], wanted[counted][~by_token], reduction="sum")
        if answered.any():
            would_say = self._typed_replies(batch, answered).log_softmax(-1)
            summed = summed + functional.kl_div(
                logits[by_token].log_softmax(-1), would_say, reduction="sum", log_target=True
            )
        accuracy = (logits.argmax(-1) == wanted[counted]).float().mean()
        return {"total": summed / counted.sum(), "accuracy": accuracy}

    def _spoken(self, batch: Mapping[str, torch.Tensor]) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Each row as the LLM reads it, [T, D_llm], and the tokens it should say next, int64 [T]."""
        table = self.table[self.known.to(self.table.device)].float()
        with torch.autocast(table.device.type, torch.bfloat16):
            vectors = self.listener(batch["frames"], batch["lengths"])
        rows, targets = [], []
        for i, length in enumerate((batch["lengths"] // self.listener.projector.stack_frames).tolist()):
            spoken = self._input_embeddings(vectors[i, :length].float(), table)
            before, after, reply = (batch[k][i][batch[k][i] >= 0] for k in ("before", "after", "reply"))
            embedded = [self.table[before], spoken.to(self.table.dtype), self.table[torch.cat([after, reply[:-1]])]]
            rows.append(torch.cat(embedded))
            silent = torch.full((len(rows[-1]) - len(reply),), IGNORE_INDEX, device=table.device)
            targets.append(torch.cat([silent, reply]))
        return rows, targets

    @torch.no_grad()
    def _typed_replies(self, batch: Mapping[str, torch.Tensor], answered: torch.Tensor) -> torch.Tensor:
        """What the LLM as it was would say to the typed prompts of some rows, logits [n_reply_tokens, n_tokens]."""
        rows, places = [], []
        for typed, reply in zip(batch["typed"][answered], batch["reply"][answered], strict=True):
            typed, reply = typed[typed >= 0], reply[reply >= 0]
            rows.append(torch.cat([typed, reply[:-1]]))
            places.append(torch.arange(len(rows[-1]), device=typed.device) >= len(typed) - 1)
        inputs = nn.utils.rnn.pad_sequence(rows, batch_first=True)
        counted = nn.utils.rnn.pad_sequence(places, batch_first=True)
        with self.adapters.switched_off(), torch.autocast(inputs.device.type, torch.bfloat16):
            states = self._layers(input_ids=inputs, use_cache=False).last_hidden_state
            return self._lm_head(states[counted]).float()

    def _input_embeddings(self, vectors: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
        """What the LLM is prefilled with for a clip's vectors, [T_written, D_llm]."""
        mixed, places = mixed_tokens(self.listener, vectors, table)
        ids = self.known.to(places.device)[places].tolist()
        return as_written(mixed, ids, self.tokenizer, lambda ids: self.table[torch.tensor(ids, device=table.device)])

    def validate(self) -> dict[str, float]:
        """The loss and how often the next token is right on held-out rows, repeated and answered."""
        device = next(self.listener.parameters()).device
        figures: dict[str, float] = {}
        for name, repeat in (("repeat", True), ("answer", False)):
            rows = [(row, repeat) for row in self.held_out if repeat or row.reply]
            if rows:
                out = self.losses({k: v.to(device) for k, v in self._collate(rows).items()})
                figures |= {f"valid_{name}": float(out["total"]), f"valid_{name}_accuracy": float(out["accuracy"])}
        return figures

    def facts(self) -> dict:
        """Configuration of what is trained."""
        return {"listening": self.config.model_dump(), "repeated": len(self.repeated), "answered": len(self.answered)}


def _padded(rows: Sequence[Sequence[int]]) -> torch.Tensor:
    """int64 [B, T], -1 after each row's end."""
    return nn.utils.rnn.pad_sequence(
        [torch.tensor(row, dtype=torch.long) for row in rows], batch_first=True, padding_value=-1
    )
