"""The flow's velocity estimator: a U-Net over mel frames with Transformer blocks between convolutions.

Module names follow the published weights. Sequences come whole, without padding, so no mask is needed.
"""

import math
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from exomni.model.flow_decoder.config import N_GROUPS, EstimatorConfig

_TIME_SCALE = 1000.0
_TIME_BASE = 10_000.0


class TimeMLP(nn.Module):
    """Two linear layers around a SiLU, for the embedding of the flow's time."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(in_channels, out_channels)
        self.linear_2 = nn.Linear(out_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """[B, in_channels] -> [B, out_channels]."""
        return self.linear_2(functional.silu(self.linear_1(x)))


class ConvBlock(nn.Module):
    """Convolution of 3 frames, group norm, Mish."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv1d(in_channels, out_channels, 3, padding=1),
            nn.GroupNorm(N_GROUPS, out_channels),
            nn.Mish(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, in_channels, T] -> [B, out_channels, T]."""
        return self.block(x)


class ResnetBlock(nn.Module):
    """Two convolution blocks with the time added between them, and a residual."""

    def __init__(self, in_channels: int, out_channels: int, time_channels: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Mish(), nn.Linear(time_channels, out_channels))
        self.block1 = ConvBlock(in_channels, out_channels)
        self.block2 = ConvBlock(out_channels, out_channels)
        self.res_conv = nn.Conv1d(in_channels, out_channels, 1)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """[B, in_channels, T] and the time's embedding [B, time_channels] -> [B, out_channels, T]."""
        hidden = self.block1(x) + self.mlp(time)[..., None]
        return self.block2(hidden) + self.res_conv(x)


class Attention(nn.Module):
    """Full self-attention over frames."""

    def __init__(self, channels: int, config: EstimatorConfig) -> None:
        super().__init__()
        inner = config.num_heads * config.attention_head_dim
        self.n_heads = config.num_heads
        self.to_q = nn.Linear(channels, inner, bias=False)
        self.to_k = nn.Linear(channels, inner, bias=False)
        self.to_v = nn.Linear(channels, inner, bias=False)
        self.to_out = nn.Sequential(nn.Linear(inner, channels), nn.Dropout(config.dropout))

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, channels] -> [B, T, channels]."""
        projections = (self.to_q, self.to_k, self.to_v)
        query, key, value = (project(x).unflatten(-1, (self.n_heads, -1)).transpose(1, 2) for project in projections)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        return self.to_out(mixed.transpose(1, 2).flatten(2))


class GeluProjection(nn.Module):
    """Linear layer and exact GELU."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.proj = nn.Linear(in_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, in_channels] -> [B, T, out_channels]."""
        return functional.gelu(self.proj(x))


class FeedForward(nn.Module):
    """Widen four times, GELU, narrow."""

    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__()
        self.net = nn.Sequential(
            GeluProjection(channels, 4 * channels), nn.Dropout(dropout), nn.Linear(4 * channels, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, channels] -> [B, T, channels]."""
        return self.net(x)


class TransformerBlock(nn.Module):
    """Pre-norm self-attention and feed-forward, each with a residual."""

    def __init__(self, channels: int, config: EstimatorConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attn1 = Attention(channels, config)
        self.norm3 = nn.LayerNorm(channels)
        self.ff = FeedForward(channels, config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, channels] -> [B, T, channels]."""
        x = x + self.attn1(self.norm1(x))
        return x + self.ff(self.norm3(x))


class Downsample(nn.Module):
    """Halve the frame rate."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, T] -> [B, channels, ceil(T / 2)]."""
        return self.conv(x)


class Upsample(nn.Module):
    """Double the frame rate."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose1d(channels, channels, 4, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, T] -> [B, channels, 2 T]."""
        return self.conv(x)


class Stage(nn.ModuleList):
    """A residual block, its Transformer blocks, and at the sides of the U a layer that may change the rate.

    A list, because the published weights number these three.
    """

    @classmethod
    def build(
        cls, in_channels: int, out_channels: int, config: EstimatorConfig, resample: nn.Module | None = None
    ) -> Self:
        """Make one stage; `resample` is the layer at its end, or None in the middle of the U."""
        transformers = nn.ModuleList(TransformerBlock(out_channels, config) for _ in range(config.n_blocks))
        layers = [ResnetBlock(in_channels, out_channels, config.time_channels), transformers]
        return cls(layers if resample is None else [*layers, resample])

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """Everything but the change of rate: [B, in_channels, T] -> [B, out_channels, T]."""
        x = self[0](x, time).transpose(1, 2)
        for block in self[1]:
            x = block(x)
        return x.transpose(1, 2)


class VelocityEstimator(nn.Module):
    """Velocity of the flow at a noisy mel, given the means, the speaker and the prompt.

    Args:
        config: sizes; the embedding of time is as wide as the input channels.
    """

    def __init__(self, config: EstimatorConfig) -> None:
        super().__init__()
        self.in_channels = config.in_channels
        widths, last = config.channels, len(config.channels) - 1
        self.time_mlp = TimeMLP(config.in_channels, config.time_channels)
        self.down_blocks, self.mid_blocks, self.up_blocks = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for i, (width, previous) in enumerate(zip(widths, (config.in_channels, *widths[:-1]), strict=True)):
            resample = Downsample(width) if i < last else nn.Conv1d(width, width, 3, padding=1)
            self.down_blocks.append(Stage.build(previous, width, config, resample))
        for _ in range(config.num_mid_blocks):
            self.mid_blocks.append(Stage.build(widths[-1], widths[-1], config))
        ascending = widths[::-1]
        for i, (skip, width) in enumerate(zip(ascending, (*ascending[1:], widths[0]), strict=True)):
            resample = Upsample(width) if i < last else nn.Conv1d(width, width, 3, padding=1)
            self.up_blocks.append(Stage.build(2 * skip, width, config, resample))
        self.final_block = ConvBlock(widths[0], widths[0])
        self.final_proj = nn.Conv1d(widths[0], config.out_channels, 1)

    def _embed_time(self, time: Tensor) -> Tensor:
        """[B] in 0..1 -> [B, time_channels]."""
        half = self.in_channels // 2
        steps = torch.arange(half, device=time.device, dtype=torch.float32) / (half - 1)
        angles = _TIME_SCALE * time[:, None] * torch.exp(-math.log(_TIME_BASE) * steps)
        return self.time_mlp(torch.cat((angles.sin(), angles.cos()), dim=-1))

    def forward(self, noisy_mel: Tensor, means: Tensor, time: Tensor, speaker: Tensor, prompt_mel: Tensor) -> Tensor:
        """Estimate the velocity.

        Args:
            noisy_mel: [B, n_mels, T_mel], the flow's state.
            means: [B, n_mels, T_mel], what the units say.
            time: [B] float, 0 (noise) to 1 (mel).
            speaker: [B, n_mels], the projected speaker.
            prompt_mel: [B, n_mels, T_mel], the known mel, zero where it is unknown.
        Returns:
            [B, n_mels, T_mel].
        """
        embedded = self._embed_time(time)
        everywhere = speaker[..., None].expand(-1, -1, noisy_mel.shape[-1])
        x = torch.cat((noisy_mel, means, everywhere, prompt_mel), dim=1)
        skips = []
        for stage in self.down_blocks:
            skips.append(stage(x, embedded))
            x = stage[2](skips[-1])
        for stage in self.mid_blocks:
            x = stage(x, embedded)
        for stage in self.up_blocks:
            skip = skips.pop()
            x = torch.cat((x[..., : skip.shape[-1]], skip), dim=1)
            x = stage[2](stage(x, embedded))
        return self.final_proj(self.final_block(x))
