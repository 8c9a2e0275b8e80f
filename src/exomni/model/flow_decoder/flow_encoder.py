"""Units' embeddings -> hidden states: a Transformer with relative positions and block-wise attention."""

import math
from collections import OrderedDict

import torch
from torch import Tensor, nn

from ..attention import merge_heads, split_heads
from .flow_config import FlowEncoderConfig

_BLOCK_NORM_EPS = 1e-12
_POSITION_BASE = 10_000.0


def named_layers(**layers: nn.Module) -> nn.Sequential:
    """Layers one after another, under the names that the published weights have for them."""
    return nn.Sequential(OrderedDict(layers))


def relative_positions(n_positions: int, d_model: int, device: torch.device) -> Tensor:
    """Sinusoids of the distances n - 1, ..., 0, ..., -(n - 1) between a query and a key.

    Returns:
        [2 n - 1, D] float32; sines in even columns, cosines in odd ones.
    Source: Dai et al. 2019 (Transformer-XL), section 3.3, with both signs of the distance.
    """
    distances = torch.arange(n_positions - 1, -n_positions, -1, device=device, dtype=torch.float32)
    exponents = torch.arange(0, d_model, 2, device=device, dtype=torch.float32) / d_model
    angles = distances[:, None] * torch.exp(-math.log(_POSITION_BASE) * exponents)
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1)


def block_mask(n_positions: int, block_size: int, device: torch.device) -> Tensor:
    """Which keys each query may see, bool [T, T], query by key: its own block and every block before it."""
    block = torch.arange(n_positions, device=device) // block_size
    return block[:, None] >= block[None, :]


class RelativeSelfAttention(nn.Module):
    """Self-attention whose scores add a term for content and a term for distance.

    Source: Dai et al. 2019 (Transformer-XL), section 3.3; the block mask is that of the published decoder.
    """

    def __init__(self, config: FlowEncoderConfig) -> None:
        super().__init__()
        self.n_heads = config.attention_heads
        self.d_head = config.output_size // config.attention_heads
        self.linear_q = nn.Linear(config.output_size, config.output_size)
        self.linear_k = nn.Linear(config.output_size, config.output_size)
        self.linear_v = nn.Linear(config.output_size, config.output_size)
        self.linear_out = nn.Linear(config.output_size, config.output_size)
        self.linear_pos = nn.Linear(config.output_size, config.output_size, bias=False)
        self.pos_bias_u = nn.Parameter(torch.zeros(self.n_heads, self.d_head))
        self.pos_bias_v = nn.Parameter(torch.zeros(self.n_heads, self.d_head))

    def forward(self, x: Tensor, positions: Tensor, mask: Tensor) -> Tensor:
        """Mix the rows that the mask lets see each other, [B, T, D] -> [B, T, D].

        `positions` are of `relative_positions`, [2 T - 1, D]; `mask` is bool [T, T], True where attention is allowed.
        """
        projections = (self.linear_q, self.linear_k, self.linear_v)
        query, key, value = (split_heads(project(x), self.n_heads) for project in projections)
        position = split_heads(self.linear_pos(positions)[None], self.n_heads)
        content = (query + self.pos_bias_u[:, None]) @ key.transpose(-1, -2)
        by_distance = (query + self.pos_bias_v[:, None]) @ position.transpose(-1, -2)
        step = torch.arange(x.shape[1], device=x.device)
        column = (x.shape[1] - 1) - step[:, None] + step[None, :]
        distance = by_distance.gather(-1, column.expand(*content.shape))
        scores = (content + distance) / math.sqrt(self.d_head)
        weights = scores.masked_fill(~mask, float("-inf")).softmax(dim=-1)
        return self.linear_out(merge_heads(weights @ value))


class EncoderBlock(nn.Module):
    """Pre-norm self-attention and feed-forward, each with a residual."""

    def __init__(self, config: FlowEncoderConfig) -> None:
        super().__init__()
        self.self_attn = RelativeSelfAttention(config)
        self.feed_forward = named_layers(
            w_1=nn.Linear(config.output_size, config.linear_units),
            silu=nn.SiLU(),
            w_2=nn.Linear(config.linear_units, config.output_size),
        )
        self.norm_ff = nn.LayerNorm(config.output_size, eps=_BLOCK_NORM_EPS)
        self.norm_mha = nn.LayerNorm(config.output_size, eps=_BLOCK_NORM_EPS)

    def forward(self, x: Tensor, positions: Tensor, mask: Tensor) -> Tensor:
        """[B, T, D] -> [B, T, D]; `positions` and `mask` as in `RelativeSelfAttention.forward`."""
        x = x + self.self_attn(self.norm_mha(x), positions, mask)
        return x + self.feed_forward(self.norm_ff(x))


class FlowEncoder(nn.Module):
    """Hidden states of speech units, from embeddings that are `input_size` wide."""

    def __init__(self, input_size: int, config: FlowEncoderConfig) -> None:
        super().__init__()
        self.d_model = config.output_size
        self.block_size = config.block_size
        self.embed = named_layers(
            out=nn.Sequential(nn.Linear(input_size, config.output_size), nn.LayerNorm(config.output_size))
        )
        self.encoders = nn.ModuleList(EncoderBlock(config) for _ in range(config.num_blocks))
        self.after_norm = nn.LayerNorm(config.output_size)

    def forward(self, embeddings: Tensor) -> Tensor:
        """Encode whole sequences, without padding: [B, T_unit, input_size] -> [B, T_unit, D]."""
        n_units = embeddings.shape[1]
        positions = relative_positions(n_units, self.d_model, embeddings.device)
        mask = block_mask(n_units, self.block_size, embeddings.device)
        x = self.embed(embeddings) * math.sqrt(self.d_model)
        for block in self.encoders:
            x = block(x, positions, mask)
        return self.after_norm(x)
