"""Speech units: one codebook at 12.5 Hz on speech-encoder features, by finite scalar quantisation.

The encoder's features tell words apart and hardly speakers, and so do its units: one tokenizer serves every recording.
"""

import math

import torch
from torch import Tensor, nn

from .config import UnitTokenizerConfig


class FiniteScalarQuantizer(nn.Module):
    """Rounds a few bounded numbers to fixed levels; the codebook is their grid, so none of it can die.

    Source: Mentzer et al., "Finite scalar quantization: VQ-VAE made simple" (2023).

    Args:
        levels: number of values of each dimension.
    """

    levels: Tensor
    strides: Tensor

    def __init__(self, levels: tuple[int, ...]):
        super().__init__()
        self.n_codes = math.prod(levels)
        self.register_buffer("levels", torch.tensor(levels), persistent=False)
        strides = [math.prod(levels[:i]) for i in range(len(levels))]
        self.register_buffer("strides", torch.tensor(strides), persistent=False)

    def bound(self, x: Tensor) -> Tensor:
        """Squash [..., n_dims] into the range of the levels, so that rounding gives each level its share."""
        half = (self.levels - 1) * 0.5
        return torch.sigmoid(1.6 * x) * 2 * half - half

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Quantise, with the gradient passed straight through.

        Args:
            x: [..., n_dims].
        Returns:
            codes in -1..1 [..., n_dims], and ids int64 [...].
        """
        half = (self.levels - 1) * 0.5
        bounded = self.bound(x)
        steps = torch.round(bounded + half).clamp(min=torch.zeros_like(half), max=2 * half)
        codes = bounded + (steps - half - bounded).detach()
        return codes / half, (steps.long() * self.strides).sum(-1)

    def codes_of(self, ids: Tensor) -> Tensor:
        """Codes in -1..1 [..., n_dims] of ids [...]."""
        half = (self.levels - 1) * 0.5
        return ((ids[..., None] // self.strides) % self.levels - half) / half


class ConvBlock(nn.Module):
    """ConvNeXt block on [B, T, D] with a known reach, so that chunks can be made to equal the whole.

    Source: Liu et al., "A ConvNet for the 2020s" (2022), in one dimension as in Vocos.
    """

    def __init__(self, d_model: int, kernel: int, expansion: int = 4):
        super().__init__()
        self.reach = kernel // 2
        self.mix = nn.Conv1d(d_model, d_model, kernel, padding=self.reach, groups=d_model)
        self.norm = nn.LayerNorm(d_model)
        self.up = nn.Linear(d_model, expansion * d_model)
        self.down = nn.Linear(expansion * d_model, d_model)
        self.scale = nn.Parameter(torch.full((d_model,), 0.3))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """x [B, T, D], mask [B, T, 1] (1 keeps) -> [B, T, D]."""
        y = self.mix(x.transpose(1, 2)).transpose(1, 2)
        y = self.down(nn.functional.gelu(self.up(self.norm(y))))
        x = x + self.scale * y
        return x if mask is None else x * mask


class UnitTokenizer(nn.Module):
    """Speech-encoder features to speech units."""

    def __init__(self, config: UnitTokenizerConfig):
        super().__init__()
        self.config = config
        self.norm = nn.LayerNorm(config.d_features)
        self.proj = nn.Linear(config.d_features * config.frames_per_unit, config.d_model)
        self.blocks = nn.ModuleList(ConvBlock(config.d_model, config.kernel, 2) for _ in range(config.n_layers))
        self.to_codes = nn.Linear(config.d_model, len(config.levels))
        self.quantizer = FiniteScalarQuantizer(config.levels)

    @property
    def reach_units(self) -> int:
        """Units of context on each side that a unit depends on."""
        return self.config.n_layers * (self.config.kernel // 2)

    def forward(self, features: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Tokenize.

        Args:
            features: [B, T_unit, frames_per_unit * d_features], the frames of a unit side by side.
            mask: bool [B, T_unit], True keeps.
        Returns:
            Codes [B, T_unit, n_dims] in -1..1, with straight-through gradients, and ids int64 [B, T_unit].
        """
        batch, n_units, _ = features.shape
        frames = self.norm(features.view(batch, n_units, self.config.frames_per_unit, -1))
        x = self.proj(frames.flatten(2))
        keep = None if mask is None else mask[..., None].to(x.dtype)
        for block in self.blocks:
            x = block(x, keep)
        return self.quantizer(self.to_codes(x))
