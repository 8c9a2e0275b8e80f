"""Whisper as its parts read it: the encoder for PyTorch, the whole for CTranslate2; made once and cached."""

import shutil
import struct
from pathlib import Path
from typing import Any

import numpy as np

from ...assets.table import ASSETS, Converted
from ...core.errors import AssetError

_CT2_DTYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}


def read_ctranslate2(paths: list[Path]) -> dict[str, np.ndarray]:
    """Named arrays of a CTranslate2 `model.bin` (format version 6), its parts in order.

    Raises:
        AssetError: not such a file.
    """
    data = memoryview(b"".join(p.read_bytes() for p in paths))
    offset = 0

    def take(form: str) -> Any:
        nonlocal offset
        values = struct.unpack_from("<" + form, data, offset)
        offset += struct.calcsize("<" + form)
        return values[0] if len(values) == 1 else values

    def text() -> str:
        nonlocal offset
        length = take("H")
        value = bytes(data[offset : offset + length - 1]).decode()
        offset += length
        return value

    version = take("I")
    if version != 6:
        raise AssetError(f"{paths[0].name}: format version {version}, expected 6")
    text()
    take("I")
    arrays: dict[str, np.ndarray] = {}
    for _ in range(take("I")):
        name = text()
        shape = [take("I") for _ in range(take("B"))]
        dtype = np.dtype(_CT2_DTYPES[take("B")])
        length = take("I")
        arrays[name] = np.frombuffer(data, dtype, length // dtype.itemsize, offset).reshape(shape)
        offset += length
    return arrays


def whisper_encoder_state(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """CTranslate2's Whisper encoder arrays under `transformers` names, float32."""
    state: dict[str, np.ndarray] = {"embed_positions.weight": arrays["encoder/position_encodings/encodings"]}

    def put(ours: str, theirs: str, norm: bool = False) -> None:
        state[f"{ours}.weight"] = arrays[f"{theirs}/{'gamma' if norm else 'weight'}"]
        state[f"{ours}.bias"] = arrays[f"{theirs}/{'beta' if norm else 'bias'}"]

    put("conv1", "encoder/conv1")
    put("conv2", "encoder/conv2")
    put("layer_norm", "encoder/layer_norm", norm=True)
    n_layers = len(
        {k.split("/")[1] for k in arrays if k.startswith("encoder/layer_") and k.split("/")[1] != "layer_norm"}
    )
    for i in range(n_layers):
        ours, theirs = f"layers.{i}", f"encoder/layer_{i}"
        weight = np.split(arrays[f"{theirs}/self_attention/linear_0/weight"], 3)
        bias = np.split(arrays[f"{theirs}/self_attention/linear_0/bias"], 3)
        for j, name in enumerate(("q_proj", "k_proj", "v_proj")):
            state[f"{ours}.self_attn.{name}.weight"] = weight[j]
            if name != "k_proj":  # Whisper's keys have no bias; the converter stores zeros.
                state[f"{ours}.self_attn.{name}.bias"] = bias[j]
        put(f"{ours}.self_attn.out_proj", f"{theirs}/self_attention/linear_1")
        put(f"{ours}.self_attn_layer_norm", f"{theirs}/self_attention/layer_norm", norm=True)
        put(f"{ours}.fc1", f"{theirs}/ffn/linear_0")
        put(f"{ours}.fc2", f"{theirs}/ffn/linear_1")
        put(f"{ours}.final_layer_norm", f"{theirs}/ffn/layer_norm", norm=True)
    return {k: np.ascontiguousarray(v, np.float32) for k, v in state.items()}


def _build_whisper(folder: Path, sources: dict[str, list[Path]]) -> None:
    """The encoder as safetensors, and the whole model as CTranslate2 for transcription."""
    from safetensors.numpy import save_file

    parts = sources["whisper-base"]
    save_file(whisper_encoder_state(read_ctranslate2(parts)), folder / "encoder.safetensors")
    with (folder / "model.bin").open("wb") as joined:
        for part in parts:
            with part.open("rb") as file:
                shutil.copyfileobj(file, joined)
    for name in ASSETS["whisper-base"].beside:
        shutil.copy(parts[0].with_name(name), folder / name)


WHISPER = Converted("whisper-base", 1, ("whisper-base",), _build_whisper)
