"""The face: speech units and the unit generator's states in, blendshapes of every frame out, all at once."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..core.timebase import FRAME_HZ, UNIT_HZ, rescale_ceil, units_to_frames
from .attention import EncoderLayer, Rotation, rotation
from .config import BlendshapeDecoderConfig
from .emotion_reader import EmotionReader
from .fusion import Context, Fusion, lerp_rows
from .tokens import IGNORE_INDEX
from .unit_tables import UnitEmbedding

UNITS_PER_FRAME = UNIT_HZ / FRAME_HZ
ROTARY_BASE = 10_000.0


@dataclass(frozen=True)
class Face:
    """What the decoder gives.

    Attributes:
        blendshapes: [B, T_frame, K], raw: clip to 0..1 for use.
        frame_mask: True where a frame belongs to its row, [B, T_frame].
    """

    blendshapes: Tensor
    frame_mask: Tensor


def units_to_render_frames(units: Tensor) -> int:
    """Frames as the published code counts them: ids above 0, over the whole batch, floored in floating point.

    Kept for published checkpoints' numbers only; `exomni.core.timebase.units_to_frames` is the right count.

    Source:
        Observed behaviour of the published code: zero ids are lost, rows are summed, 205 units lose a frame.
    """
    return math.floor(int((units > 0).sum()) * (1.0 / float(UNIT_HZ)) * float(FRAME_HZ))


def periodic_rotary(x: Tensor, period: int, first_frame: int = 0) -> Tensor:
    """Turn neighbouring channels (0, 1), (2, 3), ... of a sequence [B, T, D] by its frame number modulo a period.

    Source:
        Paper, blendshape decoder: applied to the sequence itself and not to queries and keys.
    """
    phase = (torch.arange(x.shape[1], device=x.device) + first_frame) % period
    angles = rotation(phase[None], x.shape[2], ROTARY_BASE)
    cos, sin = angles.cos[:, 0].to(x.dtype), angles.sin[:, 0].to(x.dtype)
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack([even * cos - odd * sin, odd * cos + even * sin], dim=-1).flatten(2)


class BlendshapeDecoder(nn.Module):
    """Units, paced to frames, are the query; the generator's states and an emotion are the context.

    Source:
        Paper, blendshape decoder. Emotion row, clock positions and the attention window are our choice.
    """

    def __init__(self, config: BlendshapeDecoderConfig) -> None:
        super().__init__()
        d_model = config.d_model
        self.config = config
        if config.unit_levels:
            self.unit_embedding: nn.Embedding = UnitEmbedding(config.unit_levels, config.d_unit)
        else:
            self.unit_embedding = nn.Embedding(config.n_units, config.d_unit)
        self.unit_projection = nn.Linear(config.d_unit, d_model)
        self.context_projection = nn.Linear(config.d_generator, d_model)
        if config.null_context:
            self.null_context = nn.Parameter(torch.randn(d_model))
        if config.n_emotions:
            self.emotion_projection = nn.Linear(config.n_emotions, d_model)
            self.unknown_emotion = nn.Parameter(torch.randn(d_model))
        self.emotion_reader = EmotionReader(config.d_llm, config.n_emotions) if config.d_llm else None
        self.fusion = Fusion(d_model, config.fusion)
        sizes = d_model, config.n_heads, config.ff_mult * d_model
        self.layers = nn.ModuleList(
            EncoderLayer(*sizes, dropout=config.dropout, activation=config.activation, norm_first=config.norm_first)
            for _ in range(config.n_layers)
        )
        self.head = nn.Sequential(
            nn.LayerNorm(d_model),
            nn.Linear(d_model, d_model // 2),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(d_model // 2, config.n_channels),
        )

    @property
    def receptive_frames(self) -> int | None:
        """Frames on each side beyond which nothing changes a frame; None if everything may."""
        config = self.config
        reads_context = config.fusion.mode != "units_only"
        if config.window_frames is None or config.resampling == "stretch":
            return None
        if reads_context and config.fusion.window is None and config.fusion.mode == "tqgf":
            return None
        units = 1 if not reads_context else max(1, math.ceil(config.fusion.window or 1))
        return config.n_layers * config.window_frames + rescale_ceil(units + 1, UNIT_HZ, FRAME_HZ)

    def forward(
        self,
        units: Tensor,
        hidden_states: Tensor | None = None,
        hidden_mask: Tensor | None = None,
        *,
        emotion: Tensor | None = None,
        emotion_known: Tensor | None = None,
        llm_states: Tensor | None = None,
        llm_mask: Tensor | None = None,
        frame_lengths: Tensor | None = None,
        first_unit: int = 0,
    ) -> Face:
        """Decode every frame.

        Args:
            units: ids [B, T_unit], padded on the right with IGNORE_INDEX.
            hidden_states: the generator's states, one a unit, [B, T_hidden, D_generator]; None where only
                units are known (recordings).
            hidden_mask: True where a state counts, [B, T_hidden]; None counts all. A row without any reads
                a learned null row instead.
            emotion: anger, disgust, sadness, joy, fear, each 0..1, [B, 5]; None if unknown.
            emotion_known: True where `emotion` is meant, [B]; None where all are.
            llm_states: the language model's states of the sentence, [B, T_llm, D_llm], from which an emotion that is
                not known is read; None if nobody knows the words.
            llm_mask: True where such a state counts, [B, T_llm]; None counts all.
            frame_lengths: frames of each row, [B]; None computes them from the units.
            first_unit: number of the first unit, a multiple of `chunk_unit_multiple`, for a piece of a whole.
        Returns:
            Blendshapes and which frames are valid; no units give no frames.
        Raises:
            ValueError: `first_unit` does not fall on a frame.
        """
        if first_unit % self.chunk_unit_multiple:
            raise ValueError(f"first_unit {first_unit} is not a multiple of {self.chunk_unit_multiple}")
        valid = units != IGNORE_INDEX
        frame_mask = self._frame_mask(units, valid, frame_lengths)
        n_frames = frame_mask.shape[1]
        if n_frames == 0 or units.shape[1] == 0:
            nothing = self.context_projection.weight.new_zeros(len(units), 0, self.config.n_channels)
            return Face(nothing, frame_mask[:, :0])
        feeling = self._emotion_row(len(units), emotion, emotion_known, llm_states, llm_mask)
        context = self._context(len(units), hidden_states, hidden_mask, feeling)
        times = (torch.arange(n_frames, device=units.device)[None] + 0.5) * float(UNITS_PER_FRAME) - 0.5
        x = self.fusion(self._paced_units(units, valid, frame_mask, times), context, times)
        if self.config.period_frames:
            x = periodic_rotary(x, self.config.period_frames, units_to_frames(first_unit))
        mask, angles = self._self_attention(frame_mask)
        for layer in self.layers:
            x = layer(x, mask, angles)
        return Face(self.head(x), frame_mask)

    @property
    def chunk_unit_multiple(self) -> int:
        """A piece of a whole must begin at a multiple of this many units: there, a frame begins too."""
        return UNITS_PER_FRAME.numerator

    def _frame_mask(self, units: Tensor, valid: Tensor, frame_lengths: Tensor | None) -> Tensor:
        if frame_lengths is not None:
            total = int(frame_lengths.max())
        elif self.config.frame_count == "published":
            total = units_to_render_frames(units)
            share = valid.sum(dim=1) / units.shape[1]
            frame_lengths = (share * total).long().clamp(1, total)
        else:
            counts = [units_to_frames(n) for n in valid.sum(dim=1).tolist()]
            total = max(counts)
            frame_lengths = torch.tensor(counts, device=units.device)
        return torch.arange(total, device=units.device)[None] < frame_lengths[:, None]

    def _context(
        self, batch: int, hidden_states: Tensor | None, hidden_mask: Tensor | None, feeling: Tensor | None
    ) -> Context:
        """The generator's states, then the null row, then the emotion row, of those the model has."""
        weight = self.context_projection.weight
        if hidden_states is None:
            hidden_states, hidden_mask = weight.new_zeros(batch, 0, self.config.d_generator), None
        if hidden_mask is None:
            hidden_mask = torch.ones_like(hidden_states[..., 0], dtype=torch.bool)
        times = torch.arange(hidden_states.shape[1], device=weight.device, dtype=torch.float32)
        context = Context(self.context_projection(hidden_states), hidden_mask, times[None].expand(batch, -1))
        if self.config.null_context:
            context = context.with_row(self.null_context.expand(batch, -1), ~hidden_mask.any(dim=1))
        if feeling is not None:
            context = context.with_row(feeling, torch.ones(batch, dtype=torch.bool, device=weight.device))
        return context

    def _emotion_row(
        self, batch: int, emotion: Tensor | None, known: Tensor | None, states: Tensor | None, mask: Tensor | None
    ) -> Tensor | None:
        """The emotion as it is given, else as the words tell, else the row that stands for not knowing; [B, D]."""
        if not self.config.n_emotions:
            return None
        row = self.unknown_emotion.expand(batch, -1)
        if self.emotion_reader is not None and states is not None:
            if mask is None:
                mask = torch.ones(states.shape[:2], dtype=torch.bool, device=states.device)
            # Detached: what the reader learns is the emotion, and not whatever shortens the face's error.
            felt = self.emotion_projection(self.emotion_reader(states, mask).sigmoid().detach())
            row = torch.where(mask.any(dim=1)[:, None], felt, row)
        if emotion is None:
            return row
        given = self.emotion_projection(emotion.to(row.dtype))
        return given if known is None else torch.where(known[:, None], given, row)

    def _paced_units(self, units: Tensor, valid: Tensor, frame_mask: Tensor, times: Tensor) -> Tensor:
        """Unit embeddings read linearly at each frame, [B, T_frame, D]."""
        embedded = self.unit_projection(self.unit_embedding(units.clamp(min=0)))
        embedded = embedded * valid[..., None]
        n_units, n_frames = valid.sum(dim=1, keepdim=True), frame_mask.sum(dim=1, keepdim=True)
        if self.config.frame_count == "published":
            n_units = torch.full_like(n_units, units.shape[1])
            n_frames = torch.full_like(n_frames, frame_mask.shape[1])
        if self.config.resampling == "stretch":
            frames = torch.arange(frame_mask.shape[1], device=units.device)[None]
            times = (frames + 0.5) * (n_units / n_frames.clamp(min=1)) - 0.5
        last = (n_units - 1).clamp(min=0)
        return lerp_rows(embedded, torch.minimum(times.clamp(min=0).expand(len(units), -1), last))

    def _self_attention(self, frame_mask: Tensor) -> tuple[Tensor, Rotation | None]:
        """Which frames see which, [B, 1, T_frame, T_frame], and their rotary positions."""
        frames = torch.arange(frame_mask.shape[1], device=frame_mask.device)
        gap = frames[:, None] - frames[None, :]
        near = torch.ones_like(gap, dtype=torch.bool)
        if self.config.causal:
            near &= gap >= 0
        if self.config.window_frames is not None:
            near &= gap.abs() <= self.config.window_frames
        mask = near[None] & frame_mask[:, None, :]
        mask = mask | (~mask.any(dim=-1, keepdim=True) & (gap == 0))  # padding sees itself: never an empty row
        angles = None
        if self.config.rotary_attention:
            angles = rotation(frames[None], self.config.d_model // self.config.n_heads, ROTARY_BASE)
        return mask[:, None], angles
