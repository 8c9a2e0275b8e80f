"""SmolLM2 as its parts read it: a graph for ONNX Runtime, and a folder of `transformers`; each made once and cached."""

import json
from pathlib import Path

from ...assets.table import Converted


def _build_llm(folder: Path, sources: dict[str, list[Path]]) -> None:
    """The GGUF as a graph for ONNX Runtime, with its tokenizer."""
    from transformers import AutoTokenizer

    from .graph import convert_llama
    from .graph_session import EMBEDDINGS_FILE, GRAPH_FILE, TOKENIZER_FILE

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


LLM = Converted("llm", 1, ("smollm2-135m-instruct",), _build_llm)
LLM_WEIGHTS = Converted("smollm2", 1, ("smollm2-135m-instruct",), _build_llm_weights)
"""The same LLM as a folder of `transformers`, which writes many replies at once; for building data."""
