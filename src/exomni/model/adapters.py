"""Low-rank adapters (LoRA) beside the attention's matrices of a `transformers` LLM, for training; PEFT puts them in."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import torch
from torch import nn

from ..core.errors import AssetError

PARTS = {"q": "q_proj", "k": "k_proj", "v": "v_proj", "o": "o_proj"}
"""Our names of the matrices, and those of `transformers`."""
NAME = "listening"


class Adapters(nn.Module):
    """Adapters of every layer of a Llama: `layers.LAYER.PART.down.weight` [r, K] and `.up.weight` [N, r].

    They change the LLM from now on, by nothing until they are trained; its own weights stay as they are.

    Raises:
        AssetError: PEFT is not installed.
        ValueError: the LLM has adapters already.
    """

    def __init__(self, llm: nn.Module, rank: int) -> None:
        super().__init__()
        try:
            from peft import LoraConfig, inject_adapter_in_model
        except ImportError:
            raise AssetError("adapters are trained with PEFT; install it: pip install exomni[train]") from None
        inner = llm.get_submodule("model")
        if getattr(inner, "peft_config", None):
            raise ValueError("the LLM has adapters already, which new ones would take the place of; load another one")
        # As strong as their product, so that what ships is the two matrices and no factor.
        config = LoraConfig(r=rank, lora_alpha=rank, target_modules=list(PARTS.values()))
        inject_adapter_in_model(config, inner, NAME)
        self.layers, self._injected = nn.ModuleDict(), []  # those in a plain list: the LLM's own are not ours to save
        for i, layer in enumerate(cast(nn.ModuleList, inner.layers)):
            parts = {part: getattr(layer.self_attn, name) for part, name in PARTS.items()}
            self.layers[str(i)] = nn.ModuleDict(
                {part: nn.ModuleDict({"down": own.lora_A[NAME], "up": own.lora_B[NAME]}) for part, own in parts.items()}
            )
            self._injected += parts.values()
        self.to(torch.float32)  # the LLM may be bfloat16, which is too coarse to learn in

    @contextmanager
    def switched_off(self) -> Iterator[None]:
        """While this lasts, the LLM is what it was without them."""
        for layer in self._injected:
            layer.enable_adapters(False)
        try:
            yield
        finally:
            for layer in self._injected:
                layer.enable_adapters(True)
