"""The unit generator as published: it decides for itself when the text has been said."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from .config import FreePace, UnitGeneratorConfig
from .sampling import UnitSampler
from .tokens import IGNORE_INDEX
from .unit_generator import GeneratedUnits, UnitGeneratorBase

N_SPECIAL = 3
START, TASK = 0, 1
"""Rows of the prompt table."""
MAX_REDRAWS = 100
"""An end unit that came too early is drawn again this often before it is forbidden."""


@dataclass(frozen=True)
class FreeOutput:
    """What training sees.

    Attributes:
        logits: of the next unit at every position of the sequence, [B, L, n_units + 3].
        hidden_states: backbone states, [B, L, D].
        labels: what each position should predict, [B, L]: units, then the end unit; IGNORE_INDEX elsewhere.
        inputs: the sequence itself, start | fused text | task | units, [B, L, D].
    """

    logits: Tensor
    hidden_states: Tensor
    labels: Tensor
    inputs: Tensor


@dataclass
class _Row:
    """One sequence of a batch while it grows."""

    min_steps: int
    max_steps: int
    units: list[int] = field(default_factory=list)
    n_steps: int = 0
    ended: bool = False

    def __post_init__(self) -> None:
        self.ended = self.max_steps == 0


class FreeUnitGenerator(UnitGeneratorBase):
    """Text tokens in, units out until an end unit or the length limit (paper, speech unit generator)."""

    def __init__(self, config: UnitGeneratorConfig) -> None:
        super().__init__(config, N_SPECIAL)
        assert isinstance(config.pace, FreePace)
        self.pace = config.pace
        self.prompt_embedding = nn.Embedding(2, self.d_model)

    @property
    def end_unit(self) -> int:
        """The id that says that the text has been said."""
        return self.config.n_units

    def encode_text(
        self,
        text_ids: Tensor,
        text_mask: Tensor,
        llm_states: Tensor | None = None,
        llm_mask: Tensor | None = None,
    ) -> Tensor:
        """Embed the reply's tokens [B, T_text] and fuse the language model's states into them, [B, T_text, D].

        The states are [B, T_llm, D_llm], None where there are none; masks are True where a token or a state counts.
        """
        context = self.expand_context(llm_states, llm_mask, len(text_ids))
        return self.fuse_meaning(self.backbone.embed_tokens(text_ids.masked_fill(~text_mask, 0)), text_mask, context)

    def forward(
        self,
        text_ids: Tensor,
        text_mask: Tensor,
        units: Tensor,
        llm_states: Tensor | None = None,
        llm_mask: Tensor | None = None,
    ) -> FreeOutput:
        """Teacher-forced pass for training; `units` [B, T_unit] are padded on the right with IGNORE_INDEX."""
        fused = self.encode_text(text_ids, text_mask, llm_states, llm_mask)
        inputs, labels = [], []
        for prompt, row in zip(self._prompts(fused, text_mask), units, strict=True):
            said = row[row != IGNORE_INDEX]
            inputs.append(torch.cat([prompt, self.unit_embedding(said)]))
            silent = said.new_full((len(prompt) - 1,), IGNORE_INDEX)
            labels.append(torch.cat([silent, said, said.new_tensor([self.end_unit])]))
        padded = pad_sequence(inputs, batch_first=True)
        hidden_states = self.backbone(padded)
        padded_labels = pad_sequence(labels, batch_first=True, padding_value=IGNORE_INDEX)
        return FreeOutput(self.unit_head(hidden_states), hidden_states, padded_labels, padded)

    def _prompts(self, fused: Tensor, text_mask: Tensor) -> list[Tensor]:
        """start | fused text | task for each row, [n_text + 2, D]."""
        start, task = self.prompt_embedding.weight[START], self.prompt_embedding.weight[TASK]
        return [torch.cat([start[None], row[keep], task[None]]) for row, keep in zip(fused, text_mask, strict=True)]

    @torch.inference_mode()
    def generate(
        self,
        text_ids: Tensor,
        text_mask: Tensor,
        samplers: Sequence[UnitSampler],
        llm_states: Tensor | None = None,
        llm_mask: Tensor | None = None,
    ) -> GeneratedUnits:
        """Say the text, with a sampler for each row. A row without text says nothing."""
        fused = self.encode_text(text_ids, text_mask, llm_states, llm_mask)
        fewest, most = self.pace.min_units_per_token, self.pace.max_units_per_token
        rows = [_Row(int(n_text * fewest), int(n_text * most)) for n_text in text_mask.sum(dim=1).tolist()]
        prompts = self._prompts(fused, text_mask)
        longest = max(len(prompt) for prompt in prompts)
        inputs = torch.stack([nn.functional.pad(p, (0, 0, longest - len(p), 0)) for p in prompts])
        starts = torch.tensor([longest - len(p) for p in prompts], device=fused.device)
        capacity = longest + max(row.max_steps for row in rows)
        cache = self.backbone.empty_cache(len(rows), capacity, starts if starts.any() else None)
        states = []
        while not all(row.ended for row in rows):
            state = self.backbone(inputs, cache)[:, -1:]
            states.append(state)
            logits = self.unit_head(state[:, 0])
            following = [self._step(row, logits[i], samplers[i], inputs[i, -1]) for i, row in enumerate(rows)]
            inputs = torch.stack(following)[:, None]
        units = [torch.tensor(row.units, dtype=torch.long, device=fused.device) for row in rows]
        n_steps = torch.tensor([row.n_steps for row in rows], device=fused.device)
        hidden_states = torch.cat(states, dim=1) if states else fused[:, :0]
        steps = torch.arange(hidden_states.shape[1], device=fused.device)
        padded = pad_sequence(units, batch_first=True, padding_value=IGNORE_INDEX)
        return GeneratedUnits(padded, hidden_states, steps[None] < n_steps[:, None])

    def _step(self, row: _Row, logits: Tensor, sampler: UnitSampler, last_input: Tensor) -> Tensor:
        """Draw one unit of one row and give its next input [D]."""
        if row.ended:
            return last_input
        drawn = self._draw(row, logits, sampler)
        row.n_steps += 1
        row.ended = drawn == self.end_unit or row.n_steps == row.max_steps
        if drawn >= self.end_unit:
            return last_input
        row.units.append(drawn)
        return self.unit_embedding.weight[drawn]

    def _draw(self, row: _Row, logits: Tensor, sampler: UnitSampler) -> int:
        if self.pace.special_units == "masked":
            logits = logits.clone()
            logits[self.end_unit + 1 :] = -torch.inf
        if row.n_steps >= row.min_steps:
            return sampler(logits, row.units)
        if self.pace.early_end == "redrawn":
            for _ in range(MAX_REDRAWS):
                drawn = sampler(logits, row.units)
                if drawn != self.end_unit:
                    return drawn
        logits = logits.clone()
        logits[self.end_unit] = -torch.inf
        return sampler(logits, row.units)
