"""A causal Transformer with Qwen3's mathematics and an explicit cache, made for short steps on a CPU.

`transformers` has the same network; a step of it costs several times as much at batch 1, where a unit
generator spends its life. A test holds the two equal.
"""

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import Rotation, merge_heads, rotate, rotation, split_heads
from .config import BackboneConfig


@dataclass
class KeyValueCache:
    """The KV cache of a batch of sequences.

    Attributes:
        keys: rotated keys, [n_layers, B, n_kv_heads, capacity, D_head].
        values: the same for values.
        angles: rotary position of every row of the capacity.
        length: rows that are filled.
        starts: first row of each sequence, [B], where sequences are padded on the left; None if none is.
    """

    keys: Tensor
    values: Tensor
    angles: Rotation
    length: int = 0
    starts: Tensor | None = None

    def next_angles(self, n_new: int) -> Rotation:
        """Rotary position of each of the next rows."""
        rows = slice(self.length, self.length + n_new)
        return Rotation(self.angles.cos[:, :, rows], self.angles.sin[:, :, rows])

    def mask(self, n_new: int) -> Tensor | None:
        """What each of the next rows may see, [B or 1, 1, n_new, length + n_new]; None if all there is."""
        if n_new == 1 and self.starts is None:
            return None
        columns = torch.arange(self.length + n_new, device=self.keys.device)
        causal = columns[None, :] <= columns[self.length :, None]
        if self.starts is None:
            return causal[None, None]
        begun = columns[None, None, :] >= self.starts[:, None, None]
        itself = columns[None, :] == columns[self.length :, None]  # so that no row, even padding, sees nothing
        return (causal & (begun | itself))[:, None]


class CausalAttention(nn.Module):
    """Grouped-query attention whose queries and keys are normed for each head, then rotated."""

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.n_heads, self.n_kv_heads = config.n_heads, config.n_kv_heads
        width, kv_width = config.n_heads * config.head_dim, config.n_kv_heads * config.head_dim
        self.q_proj = nn.Linear(config.d_model, width, bias=False)
        self.k_proj = nn.Linear(config.d_model, kv_width, bias=False)
        self.v_proj = nn.Linear(config.d_model, kv_width, bias=False)
        self.o_proj = nn.Linear(width, config.d_model, bias=False)
        self.q_norm = nn.RMSNorm(config.head_dim, config.norm_eps)
        self.k_norm = nn.RMSNorm(config.head_dim, config.norm_eps)

    def forward(
        self, x: Tensor, angles: Rotation, cache: KeyValueCache | None, layer: int, mask: Tensor | None
    ) -> Tensor:
        """Attend causally; with a cache, write the new rows into it and attend to all it holds, [B, T, D].

        Args:
            x: [B, T, D].
            angles: rotary position of the T rows.
            cache: KV cache, not yet lengthened by T; None for a whole sequence at once.
            layer: which layer of the cache is ours.
            mask: what the rows may see of the lengthened cache; None for all of it.
        """
        q = rotate(self.q_norm(split_heads(self.q_proj(x), self.n_heads)), angles)
        k = rotate(self.k_norm(split_heads(self.k_proj(x), self.n_kv_heads)), angles)
        v = split_heads(self.v_proj(x), self.n_kv_heads)
        if cache is None:
            k, v = self._for_each_head(k), self._for_each_head(v)
            return self.o_proj(merge_heads(F.scaled_dot_product_attention(q, k, v, is_causal=True)))
        end = cache.length + x.shape[1]
        cache.keys[layer, :, :, cache.length : end] = k
        cache.values[layer, :, :, cache.length : end] = v
        k, v = cache.keys[layer, :, :, :end], cache.values[layer, :, :, :end]
        if x.shape[1] > 1:
            k, v = self._for_each_head(k), self._for_each_head(v)
            return self.o_proj(merge_heads(F.scaled_dot_product_attention(q, k, v, attn_mask=mask)))
        grouped = q.view(len(q), self.n_kv_heads, -1, q.shape[-1])  # heads that share a key become its rows
        mixed = F.scaled_dot_product_attention(grouped, k, v, attn_mask=mask)
        return self.o_proj(mixed.reshape(len(x), 1, -1))

    def _for_each_head(self, x: Tensor) -> Tensor:
        return x.repeat_interleave(self.n_heads // self.n_kv_heads, dim=1)


class GatedMLP(nn.Module):
    """SwiGLU feed-forward network."""

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.d_model, config.d_ff, bias=False)
        self.up_proj = nn.Linear(config.d_model, config.d_ff, bias=False)
        self.down_proj = nn.Linear(config.d_ff, config.d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, D] -> [B, T, D]."""
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class BackboneLayer(nn.Module):
    """Attention, then the feed-forward network, each on normed input with a residual."""

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.input_layernorm = nn.RMSNorm(config.d_model, config.norm_eps)
        self.self_attn = CausalAttention(config)
        self.post_attention_layernorm = nn.RMSNorm(config.d_model, config.norm_eps)
        self.mlp = GatedMLP(config)

    def forward(
        self, x: Tensor, angles: Rotation, cache: KeyValueCache | None, layer: int, mask: Tensor | None
    ) -> Tensor:
        """One layer; arguments as in `CausalAttention.forward`."""
        x = x + self.self_attn(self.input_layernorm(x), angles, cache, layer, mask)
        return x + self.mlp(self.post_attention_layernorm(x))


class Backbone(nn.Module):
    """The stack, with a token table of its own; parameter names are those of `transformers`' Qwen3Model."""

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config.n_tokens, config.d_model)
        self.layers = nn.ModuleList(BackboneLayer(config) for _ in range(config.n_layers))
        self.norm = nn.RMSNorm(config.d_model, config.norm_eps)

    def empty_cache(self, batch: int, capacity: int, starts: Tensor | None = None) -> KeyValueCache:
        """A KV cache for `capacity` rows of each of `batch` sequences, on the model's device and in its type.

        Where sequences are padded on the left, `starts` [B] are their first rows.
        """
        weight = self.norm.weight
        rows = torch.arange(capacity, device=weight.device)[None]
        positions = rows if starts is None else (rows - starts[:, None]).clamp(min=0)
        shape = (self.config.n_layers, batch, self.config.n_kv_heads, capacity, self.config.head_dim)
        keys, values = weight.new_zeros(shape), weight.new_zeros(shape)
        return KeyValueCache(keys, values, self._angles(positions), starts=starts)

    def _angles(self, positions: Tensor) -> Rotation:
        return rotation(positions, self.config.head_dim, self.config.rope_theta)

    def forward(self, inputs: Tensor, cache: KeyValueCache | None = None) -> Tensor:
        """Run new rows through the stack.

        Args:
            inputs: embeddings [B, T, D]. Padding on the right is harmless: no row sees a later one.
            cache: what came before, lengthened in place by T rows; None for a whole sequence at once.
        Returns:
            Last hidden states after the final norm, [B, T, D].
        Raises:
            ValueError: the cache has no room for T more rows.
        """
        n_new = inputs.shape[1]
        if cache is None:
            angles, mask = self._angles(torch.arange(n_new, device=inputs.device)[None]), None
        else:
            if cache.length + n_new > cache.keys.shape[3]:
                raise ValueError(f"the cache holds {cache.keys.shape[3]} rows, {cache.length + n_new} needed")
            angles, mask = cache.next_angles(n_new), cache.mask(n_new)
        for index, layer in enumerate(self.layers):
            inputs = layer(inputs, angles, cache, index, mask)
        if cache is not None:
            cache.length += n_new
        return self.norm(inputs)


@dataclass(frozen=True)
class _PackedLayer:
    """A layer's weights; products are `x @ weight`."""

    input_norm: Tensor
    qkv: Tensor
    qk_norm: Tensor
    out: Tensor
    ff_norm: Tensor
    gate_up: Tensor
    down: Tensor


def _columns(*weights: Tensor) -> Tensor:
    return torch.cat([w.detach() for w in weights]).t().contiguous()


def _pack(layer: BackboneLayer) -> _PackedLayer:
    attention, mlp = layer.self_attn, layer.mlp
    q_norm = attention.q_norm.weight.detach().expand(attention.n_heads, -1)
    k_norm = attention.k_norm.weight.detach().expand(attention.n_kv_heads, -1)
    return _PackedLayer(
        input_norm=layer.input_layernorm.weight.detach(),
        qkv=_columns(attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight),
        qk_norm=torch.cat([q_norm, k_norm])[None],
        out=_columns(attention.o_proj.weight),
        ff_norm=layer.post_attention_layernorm.weight.detach(),
        gate_up=_columns(mlp.gate_proj.weight, mlp.up_proj.weight),
        down=_columns(mlp.down_proj.weight),
    )


class BackboneStepper:
    """A frozen copy of a backbone that makes single steps, each in as few operations as it takes.

    At batch 1 a step costs what starting its operations costs, and reading the weights once. So projections that
    read the same input are one product, queries and keys are normed and rotated together, and matrices lie
    column by column, which the CPU kernel reads about twice as fast. A test holds it equal to `Backbone`. Later changes
    to the backbone's weights do not show here.
    """

    def __init__(self, backbone: Backbone) -> None:
        self.config = backbone.config
        self._layers = [_pack(cast(BackboneLayer, layer)) for layer in backbone.layers]
        self._norm = backbone.norm.weight.detach()

    def __call__(self, inputs: Tensor, cache: KeyValueCache) -> Tensor:
        """Run one row of each sequence, [B, 1, D] -> [B, 1, D], as `Backbone.forward` does with a cache; no padding."""
        width, eps = inputs.shape[2:], self.config.norm_eps
        angles = cache.next_angles(1)
        cos = torch.cat([angles.cos, angles.cos], dim=-1)[:, :, 0]
        sin = torch.cat([-angles.sin, angles.sin], dim=-1)[:, :, 0]
        x = inputs[:, 0]
        for index, layer in enumerate(self._layers):
            mixed = self._attend(F.rms_norm(x, width, layer.input_norm, eps), layer, index, cache, cos, sin)
            x = x + mixed @ layer.out
            gate, up = (F.rms_norm(x, width, layer.ff_norm, eps) @ layer.gate_up).chunk(2, dim=-1)
            x = torch.addmm(x, F.silu(gate) * up, layer.down)
        cache.length += 1
        return F.rms_norm(x, width, self._norm, eps)[:, None]

    def _attend(
        self, x: Tensor, layer: _PackedLayer, index: int, cache: KeyValueCache, cos: Tensor, sin: Tensor
    ) -> Tensor:
        """[B, D] -> attention's result before its output product, [B, n_heads * D_head]."""
        config, end = self.config, cache.length + 1
        n_rotated = config.n_heads + config.n_kv_heads
        heads = (x @ layer.qkv).unflatten(1, (-1, config.head_dim))
        qk = F.rms_norm(heads[:, :n_rotated], (config.head_dim,), None, config.norm_eps) * layer.qk_norm
        qk = torch.addcmul(qk * cos, qk.roll(config.head_dim // 2, dims=-1), sin)
        cache.keys[index, :, :, cache.length] = qk[:, config.n_heads :]
        cache.values[index, :, :, cache.length] = heads[:, n_rotated:]
        grouped = qk[:, : config.n_heads].unflatten(1, (config.n_kv_heads, -1))  # heads that share a key
        keys, values = cache.keys[index, :, :, :end], cache.values[index, :, :, :end]
        return F.scaled_dot_product_attention(grouped, keys, values).flatten(1)
