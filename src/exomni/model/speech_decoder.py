"""The `nano` speech decoder: units to the acoustic channels that the voice's frozen vocoder sounds.

What the vocoder reads has a shape of its own, and the decoder keeps to it. Its 128 phonetic channels stand still for
as long as a phoneme lasts and change at a tick of 40 Hz; pitch is a number where there is voice and nearly nothing
where there is none; loudness moves freely. So the decoder also says which phoneme each tick belongs to, evens the
phonetic channels out over each phoneme, and decides on voice before it sets a pitch: the mean of a pitch and of none
is neither, and to be out by a little is to be out of tune.

Units become ticks in two stages of convolutions: at the units' own 12.5 Hz, where most of the parameters are cheap,
and at 40 Hz.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..core.timebase import DURATION_HZ, FRAME_HZ, FRAMES_PER_TICK, UNIT_HZ, VOCODER_HZ, exact_ratio, rescale_floor
from .acoustics import ACOUSTIC_CHANNELS, ENERGY_CHANNEL, F0_CHANNEL
from .config import SpeechDecoderConfig
from .unit_tokenizer import ConvBlock, FiniteScalarQuantizer

SLOTS_PER_UNIT = 4
"""Places inside a unit (50 Hz) between the unit clock and the tick clock."""
GROUP_UNITS = math.lcm((DURATION_HZ / UNIT_HZ).denominator, (FRAME_HZ / UNIT_HZ).denominator)
"""Fewest units that are a whole number of ticks, of acoustic frames and of face frames: 5 (16, 32, 12)."""
GROUP_TICKS = exact_ratio(GROUP_UNITS * DURATION_HZ, UNIT_HZ)
N_PHONETIC = F0_CHANNEL
"""Phonetic channels come first, then pitch, then loudness."""


@dataclass(frozen=True)
class DecodedSpeech:
    """What the network says of each tick and each acoustic frame, standardised.

    Attributes:
        phonetic: [B, T_tick, 128].
        phonemes: scores of the phonemes, [B, T_tick, n_phonemes].
        voicing: above 0 where there is voice, [B, T_frame].
        pitch: meant where there is voice, [B, T_frame].
        energy: [B, T_frame].
    """

    phonetic: Tensor
    phonemes: Tensor
    voicing: Tensor
    pitch: Tensor
    energy: Tensor


class SpeechDecoder(nn.Module):
    """Units to acoustic channels."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: SpeechDecoderConfig, levels: tuple[int, ...]):
        super().__init__()
        self.config = config
        self.quantizer = FiniteScalarQuantizer(levels)
        self.embed = nn.Linear(len(levels), config.d_unit)
        self.unit_blocks = nn.ModuleList(ConvBlock(config.d_unit, config.kernel) for _ in range(config.n_unit_layers))
        self.to_slots = nn.Linear(config.d_unit, SLOTS_PER_UNIT * config.d_tick)
        self.tick_blocks = nn.ModuleList(ConvBlock(config.d_tick, config.kernel) for _ in range(config.n_tick_layers))
        self.norm = nn.LayerNorm(config.d_tick)
        self.phonetic_head = nn.Linear(config.d_tick, N_PHONETIC)
        self.phoneme_head = nn.Linear(config.d_tick, config.n_phonemes)
        self.prosody_head = nn.Linear(config.d_tick, 3 * FRAMES_PER_TICK)
        self.phoneme_vectors = nn.Parameter(torch.zeros(config.n_phonemes, N_PHONETIC))
        self.register_buffer("mean", torch.zeros(ACOUSTIC_CHANNELS))
        self.register_buffer("std", torch.ones(ACOUSTIC_CHANNELS))

    def forward(self, codes: Tensor, mask: Tensor | None = None, phonemes: Tensor | None = None) -> DecodedSpeech:
        """Decode.

        Args:
            codes: [B, T_unit, n_dims] in -1..1; T_unit a multiple of `GROUP_UNITS`.
            mask: bool [B, T_unit], True keeps.
            phonemes: ids that the phonetic channels are to sound, [B, T_tick]; None takes the likeliest.
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
        ticks = self.norm(ticks)
        voicing, pitch, energy = self.prosody_head(ticks).view(batch, n_ticks * FRAMES_PER_TICK, 3).unbind(-1)
        scores = self.phoneme_head(ticks)
        chosen = scores.argmax(-1) if phonemes is None else phonemes
        # One phoneme is decided on and its sound filled in: a mean of two would be neither.
        phonetic = self.phonetic_head(ticks) + self.phoneme_vectors[chosen]
        return DecodedSpeech(phonetic, scores, voicing, pitch, energy)

    @torch.inference_mode()
    def decode(self, units: Tensor) -> Tensor:
        """Acoustic channels of a whole utterance: int64 [T_unit] -> float32 [130, floor(T_unit * 6.4)]."""
        n_units = len(units)
        n_padded = -(-n_units // GROUP_UNITS) * GROUP_UNITS
        codes = nn.functional.pad(self.quantizer.codes_of(units), (0, 0, 0, n_padded - n_units))[None]
        made = self(codes, (torch.arange(n_padded) < n_units)[None])
        phonetic = mean_over_runs(made.phonetic[0], made.phonemes[0].argmax(-1))
        out = torch.empty(ACOUSTIC_CHANNELS, made.energy.shape[1])
        out[:N_PHONETIC] = phonetic.repeat_interleave(FRAMES_PER_TICK, 0).T
        out[F0_CHANNEL], out[ENERGY_CHANNEL] = made.pitch[0], made.energy[0]
        out = out * self.std[:, None] + self.mean[:, None]
        out[F0_CHANNEL] *= made.voicing[0] > 0
        return out[:, : rescale_floor(n_units, UNIT_HZ, VOCODER_HZ)].contiguous()


def mean_over_runs(values: Tensor, labels: Tensor) -> Tensor:
    """Values [T, D] of which each run of equal labels [T] gets its mean."""
    starts = torch.cat([labels.new_ones(1, dtype=torch.bool), labels[1:] != labels[:-1]])
    run = starts.cumsum(0) - 1
    sums = values.new_zeros(int(run[-1]) + 1, values.shape[1]).index_add_(0, run, values)
    return (sums / run.bincount()[:, None])[run]
