"""The flow's velocity estimator: a U-Net over mel frames with Transformer blocks between convolutions.

Module names follow the published weights. Sequences come whole, without padding, so no mask is needed.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..attention import merge_heads, split_heads
from .flow_config import N_GROUPS, EstimatorConfig
from .flow_encoder import named_layers

_TIME_SCALE = 1000.0
_TIME_BASE = 10_000.0


def _conv_block(in_channels: int, out_channels: int) -> nn.Sequential:
    """Convolution of 3 frames, group norm, Mish: [B, in_channels, T] -> [B, out_channels, T]."""
    conv = nn.Conv1d(in_channels, out_channels, 3, padding=1)
    return named_layers(block=nn.Sequential(conv, nn.GroupNorm(N_GROUPS, out_channels), nn.Mish()))


class ResnetBlock(nn.Module):
    """Two convolution blocks with the time added between them, and a residual."""

    def __init__(self, in_channels: int, out_channels: int, time_channels: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Mish(), nn.Linear(time_channels, out_channels))
        self.block1 = _conv_block(in_channels, out_channels)
        self.block2 = _conv_block(out_channels, out_channels)
        self.res_conv = nn.Conv1d(in_channels, out_channels, 1)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """[B, in_channels, T] and the time's embedding [B, time_channels] -> [B, out_channels, T]."""
        hidden = self.block1(x) + self.mlp(time)[..., None]
        return self.block2(hidden) + self.res_conv(x)


class FrameAttention(nn.Module):
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
        query, key, value = (split_heads(project(x), self.n_heads) for project in (self.to_q, self.to_k, self.to_v))
        return self.to_out(merge_heads(functional.scaled_dot_product_attention(query, key, value)))


def _feed_forward(channels: int, dropout: float) -> nn.Sequential:
    """Widen four times, GELU, narrow: [B, T, channels] -> [B, T, channels]."""
    widen = named_layers(proj=nn.Linear(channels, 4 * channels), gelu=nn.GELU())
    return named_layers(net=nn.Sequential(widen, nn.Dropout(dropout), nn.Linear(4 * channels, channels)))


class TransformerBlock(nn.Module):
    """Pre-norm self-attention and feed-forward, each with a residual."""

    def __init__(self, channels: int, config: EstimatorConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attn1 = FrameAttention(channels, config)
        self.norm3 = nn.LayerNorm(channels)
        self.ff = _feed_forward(channels, config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, channels] -> [B, T, channels]."""
        x = x + self.attn1(self.norm1(x))
        return x + self.ff(self.norm3(x))


class UNetStage(nn.ModuleList):
    """A residual block, its Transformer blocks, and at the sides of the U a layer that may change the frame rate.

    A list, because the published weights number these three.
    """

    def __init__(
        self, in_channels: int, out_channels: int, config: EstimatorConfig, resample: nn.Module | None = None
    ) -> None:
        blocks = nn.Sequential(*(TransformerBlock(out_channels, config) for _ in range(config.n_blocks)))
        layers = [ResnetBlock(in_channels, out_channels, config.time_channels), blocks]
        super().__init__(layers if resample is None else [*layers, resample])

    def forward(self, x: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        """[B, in_channels, T] -> [B, out_channels, T], before and after the change of rate."""
        x = self[1](self[0](x, time).transpose(1, 2)).transpose(1, 2)
        return x, self[2](x) if len(self) == 3 else x


class VelocityEstimator(nn.Module):
    """Velocity of the flow at a noisy mel, given the means, the speaker and the prompt."""

    def __init__(self, config: EstimatorConfig) -> None:
        super().__init__()
        self.in_channels = config.in_channels
        widths, last = config.channels, len(config.channels) - 1
        self.time_mlp = named_layers(
            linear_1=nn.Linear(config.in_channels, config.time_channels),
            silu=nn.SiLU(),
            linear_2=nn.Linear(config.time_channels, config.time_channels),
        )
        self.down_blocks, self.mid_blocks, self.up_blocks = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for i, (width, previous) in enumerate(zip(widths, (config.in_channels, *widths[:-1]), strict=True)):
            halve = {"conv": nn.Conv1d(width, width, 3, stride=2, padding=1)}
            resample = named_layers(**halve) if i < last else nn.Conv1d(width, width, 3, padding=1)
            self.down_blocks.append(UNetStage(previous, width, config, resample))
        for _ in range(config.num_mid_blocks):
            self.mid_blocks.append(UNetStage(widths[-1], widths[-1], config))
        ascending = widths[::-1]
        for i, (skip, width) in enumerate(zip(ascending, (*ascending[1:], widths[0]), strict=True)):
            double = {"conv": nn.ConvTranspose1d(width, width, 4, stride=2, padding=1)}
            resample = named_layers(**double) if i < last else nn.Conv1d(width, width, 3, padding=1)
            self.up_blocks.append(UNetStage(2 * skip, width, config, resample))
        self.final_block = _conv_block(widths[0], widths[0])
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
            skip, x = stage(x, embedded)
            skips.append(skip)
        for stage in self.mid_blocks:
            _, x = stage(x, embedded)
        for stage in self.up_blocks:
            skip = skips.pop()
            _, x = stage(torch.cat((x[..., : skip.shape[-1]], skip), dim=1), embedded)
        return self.final_proj(self.final_block(x))
