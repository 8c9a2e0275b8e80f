"""The unit generator whose pace is set by predicted durations: nothing is skipped, nothing said twice."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..core.timebase import DURATION_HZ, UNIT_HZ, exact_ratio, rescale_ceil
from .attention import EncoderLayer, rotation
from .backbone import BackboneStepper
from .config import DurationPace, UnitGeneratorConfig
from .sampling import UnitSampler
from .tokens import IGNORE_INDEX
from .unit_generator import GeneratedUnits, UnitGeneratorBase

ROTARY_BASE = 10_000.0
GRID_HZ = math.lcm(DURATION_HZ, UNIT_HZ.numerator)
"""The slowest clock on which both duration ticks and units begin on a tick."""
GRID_PER_TICK = exact_ratio(GRID_HZ, DURATION_HZ)
GRID_PER_UNIT = exact_ratio(GRID_HZ, UNIT_HZ)


def ticks_to_units(n_ticks: int) -> int:
    """Units that cover `n_ticks` duration ticks."""
    return rescale_ceil(n_ticks, DURATION_HZ, UNIT_HZ)


def pacing(durations: Tensor, n_units: int) -> Tensor:
    """Which phonemes sound during each unit, and how much of it each takes.

    Args:
        durations: ticks [B, T_text], 0 for padding, which comes last; each row has a phoneme.
        n_units: T_unit; units after a row's end belong to its last phoneme.
    Returns:
        Weights [B, T_unit, T_text], each row of T_text summing to 1.
    """
    ends = durations.long().cumsum(dim=1) * GRID_PER_TICK
    starts = ends - durations.long() * GRID_PER_TICK
    begins = torch.arange(n_units, device=durations.device)[None, :, None] * GRID_PER_UNIT
    latest_start = torch.maximum(starts[:, None], begins)
    earliest_end = torch.minimum(ends[:, None], begins + GRID_PER_UNIT)
    overlap = (earliest_end - latest_start).clamp(min=0)
    total = overlap.sum(dim=2, keepdim=True)
    columns = torch.arange(durations.shape[1], device=durations.device)
    last = (columns * (durations > 0)).amax(dim=1)
    after_the_end = (columns == last[:, None])[:, None] & (total == 0)
    return torch.where(after_the_end, 1.0, overlap / total.clamp(min=1))


def round_durations(durations: Tensor, mask: Tensor) -> Tensor:
    """Real-valued ticks [B, T_text] as whole ones, whose running total stays with the true one.

    At least one where the mask is True (a phoneme), 0 where it is False.
    """
    rounded = torch.zeros_like(durations, dtype=torch.long)
    for row, (wanted, kept) in enumerate(zip(durations.double().tolist(), mask.tolist(), strict=True)):
        owed = 0.0
        for column, (ticks, keep) in enumerate(zip(wanted, kept, strict=True)):
            if keep:
                owed += ticks
                rounded[row, column] = max(round(owed), 1)
                owed -= int(rounded[row, column])
    return rounded


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

    Source:
        Our choice for small models; fusion and backbone as in the paper.
    """

    def __init__(self, config: UnitGeneratorConfig) -> None:
        super().__init__(config, n_special=0)
        pace, d_model = config.pace, self.d_model
        assert isinstance(pace, DurationPace)
        self.pace = pace
        self.text_layers = nn.ModuleList(
            EncoderLayer(d_model, config.backbone.n_heads, pace.text_ff_mult * d_model, dropout=pace.dropout)
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
        """Read the phonemes both ways and fuse meaning into them, [B, T_text, D]; arguments as in `forward`."""
        batch, length = text_ids.shape
        x = self.backbone.embed_tokens(text_ids)
        head_dim = self.d_model // self.config.backbone.n_heads
        angles = rotation(torch.arange(length, device=x.device)[None], head_dim, ROTARY_BASE)
        for layer in self.text_layers:
            x = layer(x, text_mask[:, None, None, :], angles)
        context = self.expand_context(llm_states, llm_mask, batch)
        return self.fuse_meaning(self.text_norm(x), text_mask, context, text_places)

    def pace_text(self, fused: Tensor, durations: Tensor, n_units: int) -> Tensor:
        """Spread the text [B, T_text, D] over the units [B, T_unit, D].

        Each unit gets the phonemes that sound in it and in the units just after; `durations` are ticks, 0 where padded.
        """
        lookahead = self.pace.lookahead_units
        log_ticks = durations.clamp(min=1).to(fused.dtype).log()[..., None]
        weights = pacing(durations, n_units + lookahead).to(fused.dtype)
        sounding = weights @ (fused + self.duration_embedding(log_ticks))
        views = [sounding[:, shift : shift + n_units] for shift in range(1 + lookahead)]
        return self.pace_projection(torch.cat(views, dim=-1))

    def predict_durations(self, fused: Tensor, text_mask: Tensor, speed: float = 1.0) -> Tensor:
        """Ticks of each phoneme, int64 [B, T_text], at least 1 where the mask is True, else 0; fewer at higher speed.

        Raises:
            ValueError: speed is not above 0.
        """
        if speed <= 0:
            raise ValueError(f"speed {speed} is not above 0")
        return round_durations(self.duration_predictor(fused, text_mask).exp() / speed, text_mask)

    @torch.inference_mode()
    def generate(self, fused: Tensor, durations: Tensor, samplers: Sequence[UnitSampler]) -> GeneratedUnits:
        """Generate the units that the durations (ticks, 0 where padded) ask for, with a sampler for each row."""
        step_once = self._stepper or self.backbone
        n_units = [ticks_to_units(ticks) for ticks in durations.sum(dim=1).tolist()]
        total = max(n_units)
        paced, cache = self.pace_text(fused, durations, total), self.backbone.empty_cache(len(fused), total)
        drawn: list[list[int]] = [[] for _ in n_units]
        previous, states = self.start.expand(len(fused), -1), []
        for step in range(total):
            states.append(step_once(previous[:, None] + paced[:, step : step + 1], cache))
            logits = self.unit_head(states[-1][:, 0])
            for row, (units, sampler) in enumerate(zip(drawn, samplers, strict=True)):
                units.append(sampler(logits[row], units) if step < n_units[row] else IGNORE_INDEX)
            latest = torch.tensor([max(units[-1], 0) for units in drawn], device=fused.device)
            previous = self.unit_embedding(latest)
        units = torch.tensor(drawn, dtype=torch.long, device=fused.device)
        return GeneratedUnits(units, torch.cat(states, dim=1) if states else paced, units != IGNORE_INDEX)
