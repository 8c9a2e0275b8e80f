"""Rotary positions and the plain Transformer layer that the text encoder and the face decoder share."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Rotation:
    """The angles of a rotary position: `cos` and `sin`, each [B or 1, 1, T, D_head / 2]."""

    cos: Tensor
    sin: Tensor


def rotation(times: Tensor, dim: int, base: float) -> Rotation:
    """Angles for real-valued positions.

    Args:
        times: positions [B or 1, T], in steps of any clock.
        dim: how many channels of a head rotate, even.
        base: ratio of the longest to the shortest wavelength, roughly.
    """
    exponents = torch.arange(0, dim, 2, device=times.device, dtype=torch.float32) / dim
    angles = times.float()[:, None, :, None] * base**-exponents
    return Rotation(angles.cos(), angles.sin())


def rotate(x: Tensor, angles: Rotation) -> Tensor:
    """Turn channel i against channel i + D/2 of every head; x [B, n_heads, T, D_head]."""
    first, second = x.chunk(2, dim=-1)
    cos, sin = angles.cos.to(x.dtype), angles.sin.to(x.dtype)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


def split_heads(x: Tensor, n_heads: int) -> Tensor:
    """[B, T, n_heads * D_head] -> [B, n_heads, T, D_head]."""
    return x.unflatten(-1, (n_heads, -1)).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """[B, n_heads, T, D_head] -> [B, T, n_heads * D_head]."""
    return x.transpose(1, 2).flatten(2)


class EncoderLayer(nn.Module):
    """Self-attention and a feed-forward network, each with a residual and a layer norm.

    Args:
        d_model: width D.
        n_heads: heads, a divisor of D.
        d_ff: inner width of the feed-forward network.
        dropout: share of channels dropped after each half, in training.
        activation: `relu` or `gelu`.
        norm_first: norm the inputs of each half (our choice for training from nothing) or its sums (paper).
    """

    def __init__(
        self,
        d_model: int,
        n_heads: int,
        d_ff: int,
        *,
        dropout: float,
        activation: str = "gelu",
        norm_first: bool = True,
    ) -> None:
        super().__init__()
        self.n_heads, self.norm_first = n_heads, norm_first
        self.activation = F.relu if activation == "relu" else F.gelu
        self.qkv = nn.Linear(d_model, 3 * d_model)
        self.out = nn.Linear(d_model, d_model)
        self.expand = nn.Linear(d_model, d_ff)
        self.contract = nn.Linear(d_ff, d_model)
        self.norm_attention = nn.LayerNorm(d_model)
        self.norm_ff = nn.LayerNorm(d_model)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None, angles: Rotation | None) -> Tensor:
        """One layer, [B, T, D] -> [B, T, D].

        `mask` is True where a query (row) may see a key (column), [B or 1, 1, T or 1, T]; None sees all.
        """
        if self.norm_first:
            x = x + self._attend(self.norm_attention(x), mask, angles)
            return x + self._feed_forward(self.norm_ff(x))
        x = self.norm_attention(x + self._attend(x, mask, angles))
        return self.norm_ff(x + self._feed_forward(x))

    def _attend(self, x: Tensor, mask: Tensor | None, angles: Rotation | None) -> Tensor:
        q, k, v = (split_heads(part, self.n_heads) for part in self.qkv(x).chunk(3, dim=-1))
        if angles is not None:
            q, k = rotate(q, angles), rotate(k, angles)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.dropout(self.out(merge_heads(mixed)))

    def _feed_forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.contract(self.dropout(self.activation(self.expand(x)))))
