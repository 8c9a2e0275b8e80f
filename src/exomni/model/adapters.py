"""Low-rank adapters (LoRA) beside the attention's matrices of a `transformers` LLM, for training."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

PARTS = {"q": "q_proj", "k": "k_proj", "v": "v_proj", "o": "o_proj"}
"""Our names of the matrices, and those of `transformers`."""


class LowRank(nn.Module):
    """A change of a linear map through a narrow middle; none at first.

    Args:
        d_in: width of what goes in.
        d_out: width of what comes out.
        rank: of the change.
    """

    def __init__(self, d_in: int, d_out: int, rank: int) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.empty(rank, d_in).uniform_(-1, 1) / math.sqrt(d_in))
        self.up = nn.Parameter(torch.zeros(d_out, rank))

    def forward(self, x: Tensor) -> Tensor:
        """[..., d_in] to [..., d_out]."""
        return nn.functional.linear(nn.functional.linear(x, self.down), self.up)


class Adapters(nn.Module):
    """Adapters of every layer of a Llama; `attached` lets them act.

    Args:
        llm: a `transformers` causal LLM of Llama's kind; its own weights stay as they are.
        rank: of each adapter.
    """

    def __init__(self, llm: nn.Module, rank: int) -> None:
        super().__init__()
        self._targets = [
            (f"{i}.{part}", getattr(layer.self_attn, name))
            for i, layer in enumerate(llm.model.layers)
            for part, name in PARTS.items()
        ]
        layers: dict[str, nn.ModuleDict] = {}
        for key, linear in self._targets:
            layer, part = key.split(".")
            layers.setdefault(layer, nn.ModuleDict())[part] = LowRank(linear.in_features, linear.out_features, rank)
        self.layers = nn.ModuleDict(layers)

    @contextmanager
    def attached(self) -> Iterator[None]:
        """While this lasts, the LLM's matrices give what they give plus what the adapters give."""
        hooks = []
        for key, linear in self._targets:
            layer, part = key.split(".")
            adapter = self.layers[layer][part]
            hooks.append(linear.register_forward_hook(lambda _, x, y, adapter=adapter: y + adapter(x[0]).to(y.dtype)))
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()
