"""What both kinds of speech unit generator share: context, fusion, backbone and unit tables.

`free_pace` generates as published, until an end unit; `duration_pace` follows predicted durations.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .backbone import Backbone
from .config import UnitGeneratorConfig
from .fusion import Context, Fusion
from .unit_tables import UnitEmbedding, UnitHead


@dataclass(frozen=True)
class GeneratedUnits:
    """A run of generated units.

    Attributes:
        units: ids [B, n], padded on the right with IGNORE_INDEX.
        hidden_states: backbone states, [B, m, D]; state i is the one that unit i was drawn from. m is n, or
            n + 1 where a sequence ended by an end unit of its own.
        hidden_mask: True where a state counts, [B, m].
    """

    units: Tensor
    hidden_states: Tensor
    hidden_mask: Tensor


class UnitGeneratorBase(nn.Module):
    """Reply text, fused with the language model's states, and the network that turns it into units.

    Args:
        config: sizes and pace.
        n_special: ids above the units that the unit tables hold.
    Source:
        Paper, blendshape-aware speech unit generator.
    """

    def __init__(self, config: UnitGeneratorConfig, n_special: int) -> None:
        super().__init__()
        d_model = config.backbone.d_model
        self.config, self.d_model = config, d_model
        width = config.context_expansion * d_model
        self.context_projection = nn.Sequential(nn.Linear(config.d_llm, width), nn.GELU(), nn.Linear(width, width))
        if config.null_context:
            self.null_context = nn.Parameter(torch.randn(d_model))
        self.fusion = Fusion(d_model, config.fusion)
        self.backbone = Backbone(config.backbone)
        if config.unit_levels:
            self.unit_embedding: nn.Embedding = UnitEmbedding(config.unit_levels, d_model)
            self.unit_head: nn.Linear = UnitHead(d_model, config.unit_levels)
        else:
            self.unit_embedding = nn.Embedding(config.n_units + n_special, d_model)
            self.unit_head = nn.Linear(d_model, config.n_units + n_special)

    def expand_context(self, llm_states: Tensor | None, llm_mask: Tensor | None, batch: int) -> Context:
        """Widen each state of the language model into `context_expansion` rows, sub-step fastest.

        Args:
            llm_states: [B, T_llm, D_llm], or None where there are none.
            llm_mask: True where a state counts, [B, T_llm]; None counts all.
            batch: B.
        Returns:
            Context of T_llm * expansion rows, timed in tokens of the language model (token j is centred on
            j + 0.5), and the null row, kept where a row of the batch has nothing else.
        """
        expansion, weight = self.config.context_expansion, self.unit_head.weight
        if llm_states is None:
            llm_states, llm_mask = weight.new_zeros(batch, 0, self.config.d_llm), None
        if llm_mask is None:
            llm_mask = torch.ones_like(llm_states[..., 0], dtype=torch.bool)
        widened = self.context_projection(llm_states).unflatten(2, (self.d_model, expansion))
        rows = widened.transpose(2, 3).flatten(1, 2)
        times = (torch.arange(rows.shape[1], device=weight.device) + 0.5) / expansion
        context = Context(rows, llm_mask.repeat_interleave(expansion, dim=1), times[None].expand(batch, -1))
        if self.config.null_context:
            context = context.with_row(self.null_context.expand(batch, -1), ~llm_mask.any(dim=1))
        return context

    def fuse_meaning(
        self, text: Tensor, text_mask: Tensor, context: Context, text_places: Tensor | None = None
    ) -> Tensor:
        """Fuse the language model's states into the embedded text, [B, T_text, D].

        `text_places` are where it falls in the reply, in tokens, [B, T_text]; None spreads it evenly over them.
        """
        if text_places is None:
            timed = context.kept if context.timed is None else context.kept & context.timed
            n_tokens = timed.sum(dim=1, keepdim=True) / self.config.context_expansion
            steps = torch.arange(text_mask.shape[1], device=text_mask.device)[None] + 0.5
            text_places = steps * (n_tokens / text_mask.sum(dim=1, keepdim=True).clamp(min=1))
        return self.fusion(text, context, text_places)
