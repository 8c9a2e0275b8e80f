"""One step of the backbone in as few operations as it takes.

At batch 1 a step costs what starting its operations costs, and reading the weights once. So projections that
read the same input are one product, queries and keys are normed and rotated together, and matrices lie
column by column, which the CPU kernel reads about twice as fast. A test holds it equal to `Backbone`.
"""

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from .backbone import Backbone, BackboneLayer, KeyValueCache


@dataclass(frozen=True)
class _Layer:
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


def _pack(layer: BackboneLayer) -> _Layer:
    attention, mlp = layer.self_attn, layer.mlp
    q_norm = attention.q_norm.weight.detach().expand(attention.n_heads, -1)
    k_norm = attention.k_norm.weight.detach().expand(attention.n_kv_heads, -1)
    return _Layer(
        input_norm=layer.input_layernorm.weight.detach(),
        qkv=_columns(attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight),
        qk_norm=torch.cat([q_norm, k_norm])[None],
        out=_columns(attention.o_proj.weight),
        ff_norm=layer.post_attention_layernorm.weight.detach(),
        gate_up=_columns(mlp.gate_proj.weight, mlp.up_proj.weight),
        down=_columns(mlp.down_proj.weight),
    )


class BackboneStepper:
    """A frozen copy of a backbone that only makes single steps.

    Args:
        backbone: whose weights are copied; later changes to them do not show here.
    """

    def __init__(self, backbone: Backbone) -> None:
        self.config = backbone.config
        self._layers = [_pack(cast(BackboneLayer, layer)) for layer in backbone.layers]
        self._norm = backbone.norm.weight.detach()

    def __call__(self, inputs: Tensor, cache: KeyValueCache) -> Tensor:
        """Run one row of each sequence, as `Backbone.forward` does with a cache.

        Args:
            inputs: embeddings [B, 1, D].
            cache: what came before, without padding, lengthened in place by one row.
        Returns:
            Last hidden states, [B, 1, D].
        """
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

    def _attend(self, x: Tensor, layer: _Layer, index: int, cache: KeyValueCache, cos: Tensor, sin: Tensor) -> Tensor:
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
