"""The unit generator whose pace is set by predicted durations: nothing is skipped, nothing said twice."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .attention import EncoderLayer, rotation
from .backbone import BackboneStepper, KeyValueCache
from .config import DurationPace, UnitGeneratorConfig
from .pacing import pacing, round_durations, ticks_to_units
from .sampling import UnitSampler
from .tokens import IGNORE_INDEX
from .unit_generator import GeneratedUnits, UnitGeneratorBase

ROTARY_BASE = 10_000.0


@dataclass(frozen=True)
class PacedOutput:
    """What training sees.

    Attributes:
        logits: of each unit given those before it, [B, T_unit, n_units].
        hidden_states: backbone states, [B, T_unit, D]; state t is the one that unit t is drawn from.
        log_durations: natural log of each phoneme's ticks, [B, T_text].
        fused: phonemes with meaning, [B, T_text, D].
    """

    logits: Tensor
    hidden_states: Tensor
    log_durations: Tensor
    fused: Tensor


@dataclass
class UnitStream:
    """A generation under way; pass it to `PacedUnitGenerator.generate` until nothing is left.

    Attributes:
        paced: the text at the units' clock, [B, T_unit, D].
        n_units: units of each row.
        cache: the backbone's KV cache.
        drawn: units of each row so far; row by row as long as `step`.
        step: units generated so far.
    """

    paced: Tensor
    n_units: list[int]
    cache: KeyValueCache
    drawn: list[list[int]]
    step: int = 0

    @property
    def remaining_units(self) -> int:
        """Units still to come in the longest row."""
        return self.paced.shape[1] - self.step


class DurationPredictor(nn.Module):
    """Log-durations of phonemes from their fused encodings, looking at two neighbours on each side."""

    def __init__(self, d_model: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(d_model)
        self.convs = nn.ModuleList(nn.Conv1d(d_model, d_model, 3, padding=1) for _ in range(2))
        self.activation, self.dropout = nn.GELU(), nn.Dropout(dropout)
        self.head = nn.Linear(d_model, 1)

    def forward(self, fused: Tensor, text_mask: Tensor) -> Tensor:
        """[B, T_text, D] and its mask [B, T_text] -> natural log of ticks [B, T_text]."""
        keep = text_mask[:, None].to(fused.dtype)
        x = self.norm(fused).transpose(1, 2)
        for conv in self.convs:
            x = self.dropout(self.activation(conv(x * keep)))
        return self.head(x.transpose(1, 2)).squeeze(-1)


class PacedUnitGenerator(UnitGeneratorBase):
    """Phonemes in, units out, as many as the durations ask for.

    Args:
        config: with `pace.kind` `durations`.
    Source:
        Our choice for small models; fusion and backbone as in the paper.
    """

    def __init__(self, config: UnitGeneratorConfig) -> None:
        super().__init__(config, n_special=0)
        pace, d_model = config.pace, self.d_model
        assert isinstance(pace, DurationPace)
        self.pace = pace
        self.text_layers = nn.ModuleList(
            EncoderLayer(
                d_model,
                config.backbone.n_heads,
                pace.text_ff_mult * d_model,
                activation="gelu",
                norm_first=True,
                dropout=pace.dropout,
            )
            for _ in range(pace.n_text_layers)
        )
        self.text_norm = nn.LayerNorm(d_model)
        self.duration_predictor = DurationPredictor(d_model, pace.dropout)
        self.duration_embedding = nn.Linear(1, d_model)
        self.pace_projection = nn.Linear((1 + pace.lookahead_units) * d_model, d_model)
        self.start = nn.Parameter(torch.randn(d_model))
        self.dropped_unit = nn.Parameter(torch.randn(d_model))
        self._stepper: BackboneStepper | None = None

    def prepare_steps(self) -> None:
        """Make `generate` faster from now on; weights must not change any more (training undoes it)."""
        self._stepper = BackboneStepper(self.backbone)

    def train(self, mode: bool = True) -> "PacedUnitGenerator":
        """As of any module; a generator that trains steps with its own weights again."""
        if mode:
            self._stepper = None
        return super().train(mode)

    def forward(
        self,
        text_ids: Tensor,
        text_mask: Tensor,
        durations: Tensor,
        units: Tensor,
        llm_states: Tensor | None = None,
        llm_mask: Tensor | None = None,
        text_places: Tensor | None = None,
    ) -> PacedOutput:
        """Teacher-forced pass for training; in training mode, previous units are dropped at times.

        Args:
            text_ids: phonemes [B, T_text], padded on the right.
            text_mask: True where there is a phoneme, [B, T_text].
            durations: ticks of each phoneme, int [B, T_text], 0 where padded.
            units: true ids [B, T_unit], padded on the right with IGNORE_INDEX.
            llm_states: states of the reply's tokens, [B, T_llm, D_llm]; None where there are none.
            llm_mask: True where a state counts, [B, T_llm]; a row without any reads the null row.
            text_places: where each phoneme falls in the reply, in tokens, real-valued [B, T_text]; None
                spreads the phonemes evenly over the tokens.
        """
        fused = self.encode_text(text_ids, text_mask, llm_states, llm_mask, text_places)
        log_durations = self.duration_predictor(fused, text_mask)
        previous = self.unit_embedding(units[:, :-1].clamp(min=0))
        if self.training and self.pace.unit_dropout:
            dropped = torch.rand(previous.shape[:2], device=previous.device) < self.pace.unit_dropout
            previous = torch.where(dropped[..., None], self.dropped_unit, previous)
        previous = torch.cat([self.start.expand(len(units), 1, -1), previous], dim=1)
        hidden_states = self.backbone(previous + self.pace_text(fused, durations, units.shape[1]))
        return PacedOutput(self.unit_head(hidden_states), hidden_states, log_durations, fused)

    def encode_text(
        self,
        text_ids: Tensor,
        text_mask: Tensor,
        llm_states: Tensor | None = None,
        llm_mask: Tensor | None = None,
        text_places: Tensor | None = None,
    ) -> Tensor:
        """Read the phonemes both ways and fuse meaning into them; arguments as in `forward`.

        Returns:
            [B, T_text, D].
        """
        batch, length = text_ids.shape
        x = self.backbone.embed_tokens(text_ids)
        head_dim = self.d_model // self.config.backbone.n_heads
        angles = rotation(torch.arange(length, device=x.device)[None], head_dim, ROTARY_BASE)
        for layer in self.text_layers:
            x = layer(x, text_mask[:, None, None, :], angles)
        context = self.expand_context(llm_states, llm_mask, batch)
        if text_places is None:
            text_places = self._even_places(text_mask, llm_states, llm_mask)
        return self.fusion(self.text_norm(x), context, text_places)

    def _even_places(self, text_mask: Tensor, llm_states: Tensor | None, llm_mask: Tensor | None) -> Tensor:
        n_text = text_mask.sum(dim=1, keepdim=True).clamp(min=1)
        if llm_mask is not None:
            n_tokens = llm_mask.sum(dim=1, keepdim=True)
        else:
            n_tokens = torch.full_like(n_text, 0 if llm_states is None else llm_states.shape[1])
        steps = torch.arange(text_mask.shape[1], device=text_mask.device)[None] + 0.5
        return steps * (n_tokens / n_text)

    def pace_text(self, fused: Tensor, durations: Tensor, n_units: int) -> Tensor:
        """Spread the text over the units: each gets the phonemes that sound in it and in the units just after.

        Args:
            fused: [B, T_text, D].
            durations: ticks, int [B, T_text], 0 where padded.
            n_units: T_unit.
        Returns:
            [B, T_unit, D].
        """
        lookahead = self.pace.lookahead_units
        log_ticks = durations.clamp(min=1).to(fused.dtype).log()[..., None]
        weights = pacing(durations, n_units + lookahead).to(fused.dtype)
        sounding = weights @ (fused + self.duration_embedding(log_ticks))
        views = [sounding[:, shift : shift + n_units] for shift in range(1 + lookahead)]
        return self.pace_projection(torch.cat(views, dim=-1))

    def predict_durations(self, fused: Tensor, text_mask: Tensor, speed: float = 1.0) -> Tensor:
        """Ticks of each phoneme, int64 [B, T_text], at least 1 where the mask is True, else 0.

        Args:
            fused: [B, T_text, D].
            text_mask: True where there is a phoneme, [B, T_text].
            speed: above 1 speaks faster.
        Raises:
            ValueError: speed is not above 0.
        """
        if speed <= 0:
            raise ValueError(f"speed {speed} is not above 0")
        return round_durations(self.duration_predictor(fused, text_mask).exp() / speed, text_mask)

    def begin(self, fused: Tensor, durations: Tensor) -> UnitStream:
        """Prepare to generate the units that the durations ask for.

        Args:
            fused: [B, T_text, D].
            durations: ticks, int [B, T_text], 0 where padded.
        """
        n_units = [ticks_to_units(ticks) for ticks in durations.sum(dim=1).tolist()]
        total = max(n_units)
        cache = self.backbone.empty_cache(len(fused), total)
        return UnitStream(self.pace_text(fused, durations, total), n_units, cache, [[] for _ in n_units])

    @torch.inference_mode()
    def generate(
        self, stream: UnitStream, samplers: Sequence[UnitSampler], n_units: int | None = None
    ) -> GeneratedUnits:
        """Generate the next units; drawn a few at a time they are the same as all at once.

        Args:
            stream: a generation under way, moved on in place.
            samplers: one for each row, the same ones for the whole stream.
            n_units: the most to generate now; None generates all that remain.
        """
        step_once = self._stepper or self.backbone
        n_now = stream.remaining_units if n_units is None else min(n_units, stream.remaining_units)
        begin, end, states = stream.step, stream.step + n_now, []
        for step in range(begin, end):
            inputs = self._previous(stream)[:, None] + stream.paced[:, step : step + 1]
            states.append(step_once(inputs, stream.cache))
            logits = self.unit_head(states[-1][:, 0])
            for row, (units, sampler) in enumerate(zip(stream.drawn, samplers, strict=True)):
                units.append(sampler(logits[row], units) if step < stream.n_units[row] else IGNORE_INDEX)
            stream.step += 1
        units = torch.tensor([row[begin:] for row in stream.drawn], dtype=torch.long, device=stream.paced.device)
        hidden_states = torch.cat(states, dim=1) if states else stream.paced[:, :0]
        return GeneratedUnits(units, hidden_states, units != IGNORE_INDEX)

    def _previous(self, stream: UnitStream) -> Tensor:
        if stream.step == 0:
            return self.start.expand(len(stream.drawn), -1)
        latest = torch.tensor([max(row[-1], 0) for row in stream.drawn], device=stream.paced.device)
        return self.unit_embedding(latest)
