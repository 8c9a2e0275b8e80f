"""Token-as-query gated fusion (paper, TQGF), the one place where meaning is injected into time.

`Fuse(Q, C) = Q + sigmoid(G(Q)) * Attn(Q, C)`: the sequence whose clock rules is the query.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import Rotation, merge_heads, rotate, rotation, split_heads
from .config import FusionConfig


@dataclass(frozen=True)
class Context:
    """Meaning to be injected.

    Attributes:
        rows: [B, T_context, D].
        keep: True where a row counts, [B, T_context]; None keeps all.
        times: when each row happens, in steps of the query's clock, ascending, [B, T_context]; None if unknown.
        timed: False for a row that holds at every moment (an emotion), [B, T_context]; None: all are timed.
    """

    rows: Tensor
    keep: Tensor | None = None
    times: Tensor | None = None
    timed: Tensor | None = None

    @property
    def kept(self) -> Tensor:
        """`keep`, all True where it is None."""
        return torch.ones_like(self.rows[..., 0], dtype=torch.bool) if self.keep is None else self.keep

    def with_row(self, row: Tensor, keep: Tensor) -> "Context":
        """Append one timeless row [B, D], kept where `keep` [B] is True."""
        timed = torch.ones_like(self.kept) if self.timed is None else self.timed
        return Context(
            rows=torch.cat([self.rows, row[:, None]], dim=1),
            keep=torch.cat([self.kept, keep[:, None]], dim=1),
            times=None if self.times is None else F.pad(self.times, (0, 1)),
            timed=F.pad(timed, (0, 1), value=False),
        )


def _feed_forward(d_model: int, mult: int) -> nn.Sequential:
    return nn.Sequential(
        nn.LayerNorm(d_model),
        nn.Linear(d_model, mult * d_model, bias=False),
        nn.GELU(),
        nn.Linear(mult * d_model, d_model, bias=False),
    )


class GatedCrossAttention(nn.Module):
    """What one TQGF layer adds to its query.

    The gate is per head and channel, computed from the query, and applied before the output projection.
    With rotary times, the first half of each head's channels rotates; the second half compares meaning
    alone, and is all that a timeless row is compared by.
    """

    def __init__(self, d_model: int, config: FusionConfig) -> None:
        super().__init__()
        inner = config.n_heads * config.head_dim
        self.n_heads = config.n_heads
        self.norm_text = nn.LayerNorm(d_model)
        self.norm_query = nn.LayerNorm(d_model)
        self.to_q = nn.Linear(d_model, inner, bias=False)
        self.to_kv = nn.Linear(d_model, 2 * inner, bias=False)
        self.gate = nn.Linear(d_model, inner, bias=False)
        self.to_out = nn.Linear(inner, d_model, bias=False)

    def forward(
        self, query: Tensor, context: Context, mask: Tensor | None, angles: tuple[Rotation, Rotation] | None
    ) -> Tensor:
        """Read the context at the query's pace: [B, T_query, D], to be added to the query.

        Args:
            query: [B, T_query, D].
            context: T_context rows.
            mask: True where a query may see a row, [B, 1, T_query or 1, T_context]; a query that may see
                nothing reads zero.
            angles: rotary positions of the query and of the context, or None.
        """
        query, text = self.norm_query(query), self.norm_text(context.rows)
        q = split_heads(self.to_q(query), self.n_heads)
        k, v = (split_heads(part, self.n_heads) for part in self.to_kv(text).chunk(2, dim=-1))
        if angles is not None:
            q, k = _rotate_half_of_channels(q, angles[0]), _rotate_half_of_channels(k, angles[1])
            if context.timed is not None:
                turning, still = k.chunk(2, dim=-1)
                k = torch.cat([turning * context.timed[:, None, :, None], still], dim=-1)
        mixed = _attend_or_zero(q, k, v, mask)
        return self.to_out(merge_heads(mixed) * torch.sigmoid(self.gate(query)))


def _rotate_half_of_channels(x: Tensor, angles: Rotation) -> Tensor:
    turning, still = x.chunk(2, dim=-1)
    return torch.cat([rotate(turning, angles), still], dim=-1)


def _attend_or_zero(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        return F.scaled_dot_product_attention(q, k, v)
    sees_any = mask.any(dim=-1, keepdim=True)
    mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask | ~sees_any)
    return mixed * sees_any


class TQGFLayer(nn.ModuleDict):
    """Gated cross-attention and feed-forward, both residual."""

    def __init__(self, d_model: int, config: FusionConfig) -> None:
        attention, feed_forward = GatedCrossAttention(d_model, config), _feed_forward(d_model, config.ff_mult)
        super().__init__({"attention": attention, "feed_forward": feed_forward})

    def forward(
        self, query: Tensor, context: Context, mask: Tensor | None, angles: tuple[Rotation, Rotation] | None
    ) -> Tensor:
        """[B, T_query, D] -> the same shape; arguments as in `GatedCrossAttention.forward`."""
        query = query + self["attention"](query, context, mask, angles)
        return query + self["feed_forward"](query)


class TQGF(nn.Module):
    """Layers of gated cross-attention and feed-forward, then one layer norm (paper, TQGF)."""

    def __init__(self, d_model: int, config: FusionConfig) -> None:
        super().__init__()
        self.config = config
        self.layers = nn.ModuleList(TQGFLayer(d_model, config) for _ in range(config.n_layers))
        self.norm = nn.LayerNorm(d_model)

    def forward(self, query: Tensor, context: Context, query_times: Tensor | None = None) -> Tensor:
        """Fuse; see `Fusion.forward`."""
        mask, angles = None if context.keep is None else context.keep[:, None, None, :], None
        if self.config.rotary or self.config.window is not None:
            if query_times is None or context.times is None:
                raise ValueError("rotary and window need the times of both query and context")
            if self.config.rotary:
                turning, base = self.config.head_dim // 2, self.config.rotary_base
                angles = (rotation(query_times, turning, base), rotation(context.times, turning, base))
            if self.config.window is not None:
                near = (query_times[:, :, None] - context.times[:, None, :]).abs() <= self.config.window
                if context.timed is not None:
                    near = near | ~context.timed[:, None, :]
                mask = near[:, None] if mask is None else near[:, None] & mask
        for layer in self.layers:
            query = layer(query, context, mask, angles)
        return self.norm(query)


class PlainFusion(nn.Module):
    """What TQGF is compared with in ablations: the same feed-forward layers without cross-attention.

    `units_only` never reads the context; `hidden_only` reads nothing else, resampled linearly to the
    query's clock; `concat` puts both side by side and projects them back to D.
    """

    def __init__(self, d_model: int, config: FusionConfig) -> None:
        super().__init__()
        self.mode = config.mode
        if config.mode != "units_only":
            self.mix = nn.Linear(d_model * (2 if config.mode == "concat" else 1), d_model)
        self.layers = nn.ModuleList(_feed_forward(d_model, config.ff_mult) for _ in range(config.n_layers))
        self.norm = nn.LayerNorm(d_model)

    def forward(self, query: Tensor, context: Context, query_times: Tensor | None = None) -> Tensor:
        """Fuse; see `Fusion.forward`."""
        if self.mode != "units_only":
            meaning = resample_context(context, query.shape[1], query_times)
            query = self.mix(torch.cat([query, meaning], dim=-1) if self.mode == "concat" else meaning)
        for layer in self.layers:
            query = query + layer(query)
        return self.norm(query)


def resample_context(context: Context, n_queries: int, query_times: Tensor | None) -> Tensor:
    """Read the timed rows linearly at the query's moments and add the timeless ones, [B, n_queries, D].

    Kept timed rows must come first in each row of the batch. Without times, both sequences are spread evenly
    over the same span.
    """
    rows, keep = context.rows, context.kept
    timed = keep if context.timed is None else keep & context.timed
    n_timed = timed.sum(dim=1, keepdim=True)
    if query_times is None or context.times is None:
        spread = (torch.arange(n_queries, device=rows.device) + 0.5) / n_queries
        places = spread * n_timed - 0.5
    else:
        places = _places(context.times, timed, query_times)
    places = torch.minimum(places.clamp(min=0), (n_timed - 1).clamp(min=0))
    read = lerp_rows(rows, places) * (n_timed > 0)[..., None]
    timeless = (rows * (keep & ~timed)[..., None]).sum(dim=1, keepdim=True)
    return read + timeless


def _places(times: Tensor, timed: Tensor, query_times: Tensor) -> Tensor:
    """Real-valued row index [B, T_query] at which each query time falls between the timed rows."""
    times = times.masked_fill(~timed, torch.inf)
    after = torch.searchsorted(times.contiguous(), query_times.expand(len(times), -1).contiguous())
    after = after.clamp(min=1, max=max(times.shape[1] - 1, 1))
    before = after - 1
    start = times.gather(1, before)
    step = times.gather(1, after.clamp(max=times.shape[1] - 1)) - start
    share = ((query_times - start) / step).nan_to_num(0.0)
    return before + torch.where(step.isfinite() & (step > 0), share, torch.zeros_like(share))


def lerp_rows(rows: Tensor, places: Tensor) -> Tensor:
    """Read between rows [B, T, D], T > 0, at real-valued indices in 0..T-1, [B, N]; gives [B, N, D]."""
    below = places.floor().long()
    above = (below + 1).clamp(max=rows.shape[1] - 1)
    share = (places - below)[..., None].to(rows.dtype)
    width = (-1, -1, rows.shape[2])
    low = rows.gather(1, below[..., None].expand(width))
    return low + share * (rows.gather(1, above[..., None].expand(width)) - low)


class Fusion(nn.Module):
    """The fusion that a configuration chooses: TQGF or one of its ablations, for query and context of width D."""

    def __init__(self, d_model: int, config: FusionConfig) -> None:
        super().__init__()
        kind = TQGF if config.mode == "tqgf" else PlainFusion
        self.fuse = kind(d_model, config)

    def forward(self, query: Tensor, context: Context, query_times: Tensor | None = None) -> Tensor:
        """Inject a context into a query without changing the query's clock.

        Args:
            query: [B, T_query, D].
            context: rows of meaning; a query that may see none of them gets nothing added.
            query_times: moments of the query on the context's time axis, [B or 1, T_query].
        Returns:
            The fused sequence [B, T_query, D].
        Raises:
            ValueError: the configuration needs times and they are missing.
        """
        return self.fuse(query, context, query_times)
