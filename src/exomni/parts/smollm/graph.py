"""The LLM of `nano` as an ONNX graph with 8-bit weights, made from its GGUF file.

A token of a small LLM costs what its weights cost to read, and `transformers` adds its own overhead to every
step. ONNX Runtime multiplies with 8-bit blocks as they are stored, holds the cache in place and gives the hidden
states, which ready-made engines keep to themselves. Activations are rounded to 8 bits too, 32 at a time.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

BLOCK = 32
"""Weights that share a scale: as in the GGUF file, so that hardly anything is lost."""
ZERO_CODE = 128
EMBEDDINGS, LAST_ROW, ROWS = "embeddings", "last_row", "rows"
STATES, LOGITS = "states", "logits"
_CONTRIB = "com.microsoft"
_INT8_ACTIVATIONS = 4


@dataclass(frozen=True)
class LlamaSizes:
    """Sizes of a Llama, as its GGUF file states them."""

    n_layers: int
    d_model: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    n_positions: int
    n_tokens: int
    rope_base: float
    norm_eps: float

    @classmethod
    def of(cls, reader: Any) -> "LlamaSizes":
        """Sizes in an open `gguf.GGUFReader`."""
        names = {
            "n_layers": "block_count", "d_model": "embedding_length", "n_heads": "attention.head_count",
            "n_kv_heads": "attention.head_count_kv", "head_dim": "rope.dimension_count",
            "n_positions": "context_length", "n_tokens": "vocab_size", "rope_base": "rope.freq_base",
            "norm_eps": "attention.layer_norm_rms_epsilon",
        }  # fmt: skip
        return cls(**{ours: reader.fields[f"llama.{theirs}"].contents() for ours, theirs in names.items()})


def cache_names(n_layers: int, side: str) -> list[str]:
    """Names of the graph's keys and values, `side` "past" (what it reads) or "present" (what it leaves)."""
    return [f"{side}_{what}_{i}" for i in range(n_layers) for what in ("keys", "values")]


def convert_llama(gguf_path: Path, graph_path: Path, embeddings_path: Path) -> None:
    """Write the graph of a Llama with a tied token table, and that table.

    The graph reads `embeddings` float32 [1, T, D] of the next T tokens, how many `rows` the cache holds with them
    (int32 []), its `last_row` (int32 [1]), and for each layer past keys and values float32
    [1, n_kv_heads, capacity, head_dim]. It leaves the present ones, which may lie in the same place, with `states`
    float32 [1, T, D] after the final norm and `logits` float32 [1, 1, n_tokens] of the token after the last.

    Args:
        gguf_path: the LLM, in any quantisation that `gguf` reads.
        graph_path: where to write the graph.
        embeddings_path: where to write the token table, float16 [n_tokens, D].
    """
    import onnx
    from gguf import GGUFReader, dequantize

    reader = GGUFReader(gguf_path)
    tensors = {t.name: t for t in reader.tensors}

    def weight(name: str) -> np.ndarray:
        tensor = tensors[f"{name}.weight"]
        return dequantize(tensor.data, tensor.tensor_type).astype(np.float32)

    sizes = LlamaSizes.of(reader)
    table = weight("token_embd")
    np.save(embeddings_path, table.astype(np.float16))
    graph = _Llama(sizes)
    sublayer, residual = None, EMBEDDINGS
    for layer in range(sizes.n_layers):
        sublayer, residual = graph.layer(layer, weight, residual, sublayer)
    normed, _ = graph.add_norm(residual, sublayer, weight("output_norm"), "output_norm", output=STATES)
    last = graph.node("Slice", [normed, *graph.integers("slice", [-1], [np.iinfo(np.int64).max], [1])])
    graph.linear(last, table, "head", output=LOGITS)
    onnx.save(graph.model(), graph_path)


def adapted(graph_path: str, adapters: Mapping[str, np.ndarray]) -> bytes:
    """The graph with low-rank branches beside its attention's matrices, ready for ONNX Runtime.

    Args:
        graph_path: of the graph.
        adapters: float [r, K] "LAYER.PART.down" and [N, r] "LAYER.PART.up" for the parts q, k, v and o of any layers;
            what they make is added as it is.
    """
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load(graph_path)
    graph = model.graph
    layers = sorted({int(name.split(".")[0]) for name in adapters})
    branches = {}
    for layer in layers:
        part = {p: tuple(adapters[f"{layer}.{p}.{side}"] for side in ("down", "up")) for p in "qkvo"}
        packed = [part[p] for p in "qkv"]
        downs = np.concatenate([down for down, _ in packed])
        branches[f"blk.{layer}.qkv.codes"] = (downs, _diagonal([up for _, up in packed]))
        branches[f"blk.{layer}.attn_output.codes"] = part["o"]
    nodes = []
    for node in graph.node:
        nodes.append(node)
        if node.op_type != "MatMulNBits" or node.input[1] not in branches:
            continue
        name, target = node.name, node.output[0]
        node.output[0] = f"{name}.plain"
        for side, value in zip(("down", "up"), branches[node.input[1]], strict=True):
            constant = np.ascontiguousarray(value.T, np.float32)
            graph.initializer.append(numpy_helper.from_array(constant, f"{name}.{side}"))
        nodes += [
            helper.make_node("MatMul", [node.input[0], f"{name}.down"], [f"{name}.narrow"]),
            helper.make_node("MatMul", [f"{name}.narrow", f"{name}.up"], [f"{name}.change"]),
            helper.make_node("Add", [f"{name}.plain", f"{name}.change"], [target]),
        ]
    del graph.node[:]
    graph.node.extend(nodes)
    return model.SerializeToString()


def _diagonal(blocks: list[np.ndarray]) -> np.ndarray:
    """Matrices [N_i, K_i] along the diagonal of one [sum N, sum K]."""
    out = np.zeros((sum(len(b) for b in blocks), sum(b.shape[1] for b in blocks)), np.float32)
    row = column = 0
    for block in blocks:
        out[row : row + len(block), column : column + block.shape[1]] = block
        row, column = row + len(block), column + block.shape[1]
    return out


def quantise(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Symmetric 8-bit codes of a matrix.

    Args:
        weight: float32 [N, K], K a multiple of `BLOCK`.
    Returns:
        Codes uint8 [N, K / BLOCK, BLOCK], `ZERO_CODE` standing for 0, and the blocks' scales float32 [N, K / BLOCK].
    """
    blocks = weight.reshape(len(weight), -1, BLOCK)
    scales = np.abs(blocks).max(-1) / (ZERO_CODE - 1)
    steps = blocks / np.where(scales > 0, scales, 1)[..., None]
    return (np.rint(steps) + ZERO_CODE).astype(np.uint8), scales.astype(np.float32)


class _Llama:
    """Nodes and constants of the graph, as they are added."""

    def __init__(self, sizes: LlamaSizes):
        self.sizes = sizes
        self._nodes, self._constants = [], []
        half = np.arange(0, sizes.head_dim, 2) / sizes.head_dim
        angles = np.arange(sizes.n_positions)[:, None] * sizes.rope_base**-half
        self._cos = self.constant("cos", np.cos(angles).astype(np.float32))
        self._sin = self.constant("sin", np.sin(angles).astype(np.float32))

    def constant(self, name: str, value: np.ndarray) -> str:
        from onnx import numpy_helper

        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def integers(self, name: str, *values: list[int]) -> list[str]:
        return [self.constant(f"{name}_{i}", np.array(v, np.int64)) for i, v in enumerate(values)]

    def node(
        self, kind: str, inputs: list[str], outputs: list[str] | None = None, domain: str = "", **attributes: Any
    ) -> str:
        """Add a node; gives the name of its first output."""
        from onnx import helper

        name = f"{kind}_{len(self._nodes)}"
        outputs = outputs or [name]
        self._nodes.append(helper.make_node(kind, inputs, outputs, name=name, domain=domain, **attributes))
        return outputs[0]

    def linear(self, x: str, weight: np.ndarray, name: str, output: str | None = None) -> str:
        """x [1, T, K] times the transpose of weight [N, K]."""
        codes, scales = quantise(weight)
        inputs = [x, self.constant(f"{name}.codes", codes), self.constant(f"{name}.scales", scales.reshape(-1))]
        shape = {"K": weight.shape[1], "N": weight.shape[0], "bits": 8, "block_size": BLOCK}
        return self.node("MatMulNBits", inputs, [output] if output else None, _CONTRIB, **shape,
                         accuracy_level=_INT8_ACTIVATIONS)  # fmt: skip

    def add_norm(
        self, residual: str, sublayer: str | None, scale: np.ndarray, name: str, output: str | None = None
    ) -> tuple[str, str]:
        """Add what a sublayer made (None: nothing yet); gives the sum normed for the next sublayer, and the sum."""
        scale_name = self.constant(name, scale)
        normed, epsilon = output or f"{name}.normed", self.sizes.norm_eps
        if sublayer is None:
            self.node("SimplifiedLayerNormalization", [residual, scale_name], [normed], axis=-1, epsilon=epsilon)
            return normed, residual
        outputs = [normed, "", "", f"{name}.sum"]
        self.node("SkipSimplifiedLayerNormalization", [residual, sublayer, scale_name], outputs, _CONTRIB,
                  epsilon=epsilon)  # fmt: skip
        return normed, outputs[-1]

    def layer(
        self, layer: int, weight: Callable[[str], np.ndarray], residual: str, sublayer: str | None
    ) -> tuple[str, str]:
        """One layer; gives what its last sublayer made, which nobody has added yet, and the sum of all before."""
        block, sizes = f"blk.{layer}", self.sizes
        normed, residual = self.add_norm(residual, sublayer, weight(f"{block}.attn_norm"), f"{block}.attn_norm")
        parts = [
            _halves_apart(weight(f"{block}.attn_q"), sizes.n_heads),
            _halves_apart(weight(f"{block}.attn_k"), sizes.n_kv_heads),
            weight(f"{block}.attn_v"),
        ]
        packed = self.linear(normed, np.concatenate(parts), f"{block}.qkv")
        past, present = ([f"{side}_{what}_{layer}" for what in ("keys", "values")] for side in ("past", "present"))
        mixed = self.node(
            "GroupQueryAttention", [packed, "", "", *past, LAST_ROW, ROWS, self._cos, self._sin],
            [f"{block}.mixed", *present], _CONTRIB, num_heads=sizes.n_heads, kv_num_heads=sizes.n_kv_heads, do_rotary=1,
        )  # fmt: skip
        attended = self.linear(mixed, weight(f"{block}.attn_output"), f"{block}.attn_output")
        normed, residual = self.add_norm(residual, attended, weight(f"{block}.ffn_norm"), f"{block}.ffn_norm")
        both = np.concatenate([weight(f"{block}.ffn_gate"), weight(f"{block}.ffn_up")])
        gate, up = f"{block}.gate", f"{block}.up"
        self.node("Split", [self.linear(normed, both, f"{block}.gate_up")], [gate, up], axis=-1, num_outputs=2)
        opened = self.node("QuickGelu", [gate], None, _CONTRIB, alpha=1.0)  # with alpha 1 it is SiLU
        return self.linear(self.node("Mul", [opened, up]), weight(f"{block}.ffn_down"), f"{block}.ffn_down"), residual

    def model(self) -> Any:
        """The finished `onnx.ModelProto`."""
        from onnx import TensorProto, helper

        sizes = self.sizes
        cache = [1, sizes.n_kv_heads, "capacity", sizes.head_dim]
        kinds = {
            EMBEDDINGS: (TensorProto.FLOAT, [1, "T", sizes.d_model]), LAST_ROW: (TensorProto.INT32, [1]),
            ROWS: (TensorProto.INT32, []), STATES: (TensorProto.FLOAT, [1, "T", sizes.d_model]),
            LOGITS: (TensorProto.FLOAT, [1, 1, sizes.n_tokens]),
        }  # fmt: skip
        past, present = (cache_names(sizes.n_layers, side) for side in ("past", "present"))
        kinds |= dict.fromkeys(past + present, (TensorProto.FLOAT, cache))
        inputs = [helper.make_tensor_value_info(n, *kinds[n]) for n in (EMBEDDINGS, LAST_ROW, ROWS, *past)]
        outputs = [helper.make_tensor_value_info(n, *kinds[n]) for n in (STATES, LOGITS, *present)]
        graph = helper.make_graph(self._nodes, "llm", inputs, outputs, self._constants)
        opsets = [helper.make_opsetid("", 20), helper.make_opsetid(_CONTRIB, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10, producer_name="exomni")


def _halves_apart(weight: np.ndarray, n_heads: int) -> np.ndarray:
    """GGUF keeps the two numbers that rotate together side by side; here they lie half a head apart."""
    pairs = weight.reshape(n_heads, -1, 2, weight.shape[-1])
    return pairs.swapaxes(1, 2).reshape(weight.shape)
