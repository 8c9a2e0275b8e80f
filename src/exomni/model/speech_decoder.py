"""The `nano` speech decoder: units to the acoustic channels that the voice's frozen vocoder sounds.

Units become 130 channels at 80 Hz in two stages of bounded reach: at the units' own 12.5 Hz, where most of the
parameters are cheap, and at 40 Hz, the voice's tick. The reach is a property, so a chunk with that much context on
each side equals the whole.
"""

import torch
from torch import nn

from ..core.timebase import UNIT_HZ, VOCODER_HZ, rescale_floor
from .config import SpeechDecoderConfig
from .unit_tokenizer import ConvBlock, FiniteScalarQuantizer

SLOTS_PER_UNIT = 4
"""Places inside a unit (50 Hz) between the unit clock and the tick clock."""
GROUP_UNITS = 5
"""Units that are a whole number of ticks (16) and of acoustic frames (32)."""
GROUP_TICKS = 16


class SpeechDecoder(nn.Module):
    """Units to acoustic channels."""

    def __init__(self, config: SpeechDecoderConfig, levels: tuple[int, ...]):
        super().__init__()
        self.config = config
        self.quantizer = FiniteScalarQuantizer(levels)
        self.embed = nn.Linear(len(levels), config.d_unit)
        self.unit_blocks = nn.ModuleList(ConvBlock(config.d_unit, config.kernel) for _ in range(config.n_unit_layers))
        self.to_slots = nn.Linear(config.d_unit, SLOTS_PER_UNIT * config.d_tick)
        self.tick_blocks = nn.ModuleList(ConvBlock(config.d_tick, config.kernel) for _ in range(config.n_tick_layers))
        self.norm = nn.LayerNorm(config.d_tick)
        self.head = nn.Linear(config.d_tick, 2 * config.n_channels)
        self.register_buffer("mean", torch.zeros(config.n_channels))
        self.register_buffer("std", torch.ones(config.n_channels))

    @property
    def reach_units(self) -> int:
        """Units of context on each side that a frame depends on (rounded up, interpolation included)."""
        at_ticks = sum(b.reach for b in self.tick_blocks)
        return sum(b.reach for b in self.unit_blocks) + -(-at_ticks * GROUP_UNITS // GROUP_TICKS) + 1

    def forward(self, codes: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Decode.

        Args:
            codes: [B, T_unit, n_dims] in -1..1; T_unit a multiple of `GROUP_UNITS`.
            mask: bool [B, T_unit], True keeps.
        Returns:
            standardised acoustic channels [B, T_unit * 32 / 5, n_channels].
        """
        x = self.embed(codes)
        keep = None if mask is None else mask[..., None].to(x.dtype)
        x = x if keep is None else x * keep
        for block in self.unit_blocks:
            x = block(x, keep)
        batch, n_units, _ = x.shape
        slots = self.to_slots(x).view(batch, n_units * SLOTS_PER_UNIT, -1)
        n_ticks = n_units * GROUP_TICKS // GROUP_UNITS
        ticks = nn.functional.interpolate(slots.transpose(1, 2), size=n_ticks, mode="linear").transpose(1, 2)
        for block in self.tick_blocks:
            ticks = block(ticks)
        return self.head(self.norm(ticks)).view(batch, 2 * n_ticks, -1)

    @torch.inference_mode()
    def decode(self, units: torch.Tensor) -> torch.Tensor:
        """Acoustic channels of a whole utterance.

        Args:
            units: int64 [T_unit].
        Returns:
            float32 [n_channels, floor(T_unit * 6.4)].
        """
        n_units = len(units)
        n_padded = -(-n_units // GROUP_UNITS) * GROUP_UNITS
        codes = nn.functional.pad(self.quantizer.codes_of(units), (0, 0, 0, n_padded - n_units))[None]
        mask = (torch.arange(n_padded) < n_units)[None]
        acoustic = self(codes, mask)[0] * self.std + self.mean
        return acoustic[: rescale_floor(n_units, UNIT_HZ, VOCODER_HZ)].T.contiguous()
