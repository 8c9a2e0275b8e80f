import struct

import numpy as np
import pytest

from exomni.core.errors import AssetError
from exomni.parts.hibari.conversion import VOICE
from exomni.parts.whisper.conversion import read_ctranslate2, whisper_encoder_state

DTYPES = {np.dtype(np.float32): 0, np.dtype(np.int8): 1, np.dtype(np.int16): 2, np.dtype(np.int32): 3,
          np.dtype(np.float16): 4}  # fmt: skip


def packed_text(text: str) -> bytes:
    return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"


def model_bin(arrays: dict[str, np.ndarray], version: int = 6) -> bytes:
    """A file as CTranslate2 writes it."""
    data = struct.pack("<I", version) + packed_text("WhisperSpec") + struct.pack("<II", 3, len(arrays))
    for name, array in arrays.items():
        data += packed_text(name) + struct.pack(f"<B{array.ndim}I", array.ndim, *array.shape)
        data += struct.pack("<BI", DTYPES[array.dtype], array.nbytes) + array.tobytes()
    return data + struct.pack("<I", 0)


def test_arrays_of_every_kind_are_read_across_parts(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {f"a/{dtype}": (9 * rng.standard_normal((3, 5))).astype(dtype) for dtype in DTYPES}
    arrays["scalar"] = np.float32(7).reshape(())
    arrays["empty"] = np.zeros((0, 4), np.float16)
    data = model_bin(arrays)
    for i, part in enumerate((data[:10], data[10:100], data[100:])):
        (tmp_path / str(i)).write_bytes(part)
    read = read_ctranslate2([tmp_path / str(i) for i in range(3)])
    assert read.keys() == arrays.keys()
    for name, array in arrays.items():
        assert read[name].dtype == array.dtype
        np.testing.assert_array_equal(read[name], array)


def test_another_format_version_is_refused(tmp_path):
    (tmp_path / "model.bin").write_bytes(model_bin({}, version=5))
    with pytest.raises(AssetError, match="format version 5, expected 6"):
        read_ctranslate2([tmp_path / "model.bin"])


@pytest.fixture
def encoder_arrays() -> dict[str, np.ndarray]:
    rng, d_model, d_ff = np.random.default_rng(0), 64, 96

    def draw(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float16)

    def norm(name: str) -> dict[str, np.ndarray]:
        return {f"encoder/{name}/gamma": draw(d_model), f"encoder/{name}/beta": draw(d_model)}

    def linear(name: str, *shape: int) -> dict[str, np.ndarray]:
        return {f"encoder/{name}/weight": draw(*shape), f"encoder/{name}/bias": draw(shape[0])}

    arrays = {"encoder/position_encodings/encodings": draw(1500, d_model), **norm("layer_norm")}
    arrays |= linear("conv1", d_model, 80, 3) | linear("conv2", d_model, d_model, 3)
    for i in range(2):
        attention = f"layer_{i}/self_attention"
        arrays |= linear(f"{attention}/linear_0", 3 * d_model, d_model)
        arrays |= linear(f"{attention}/linear_1", d_model, d_model) | norm(f"{attention}/layer_norm")
        arrays |= linear(f"layer_{i}/ffn/linear_0", d_ff, d_model) | linear(f"layer_{i}/ffn/linear_1", d_model, d_ff)
        arrays |= norm(f"layer_{i}/ffn/layer_norm")
    return arrays | {"decoder/layer_0/ffn/linear_0/weight": draw(4, 4)}


def test_whispers_encoder_gets_every_tensor_it_has(encoder_arrays):
    import torch
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    state = whisper_encoder_state(encoder_arrays)
    config = WhisperConfig(d_model=64, encoder_layers=2, encoder_attention_heads=1, encoder_ffn_dim=96)
    with torch.device("meta"):
        encoder = WhisperEncoder(config)
    tensors = {k: torch.from_numpy(v) for k, v in state.items()}
    encoder.load_state_dict(tensors, strict=True, assign=True)
    assert all(v.dtype == np.float32 for v in state.values())


def test_queries_keys_and_values_are_parted_in_order(encoder_arrays):
    state = whisper_encoder_state(encoder_arrays)
    joined = encoder_arrays["encoder/layer_1/self_attention/linear_0/weight"]
    names = [f"layers.1.self_attn.{n}_proj.weight" for n in "qkv"]
    np.testing.assert_array_equal(np.concatenate([state[n] for n in names]), joined.astype(np.float32))
    values = encoder_arrays["encoder/layer_1/self_attention/linear_0/bias"][128:]
    np.testing.assert_array_equal(state["layers.1.self_attn.v_proj.bias"], values.astype(np.float32))


def test_the_voice_is_cut_into_two_files():
    assert {"front.onnx", "back.onnx"} <= {path.name for path in VOICE.folder().iterdir()}
