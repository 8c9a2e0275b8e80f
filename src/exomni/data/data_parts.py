"""Loads what data is made with, by the names in the preset `nano`."""

from typing import Any

from ..parts.loading import load_parts
from ..parts.ports import FeatureEncoder
from .speech_pass import Speaker


def load_speaker() -> Speaker:
    """Load the voice that says the texts.

    Raises:
        AssetError: it is not installed.
    """
    return Speaker(load_parts("nano").teacher_voice)


def load_speech_features() -> FeatureEncoder:
    """Load the speech encoder: a function of 16 kHz samples to features [T, D], 50 a second."""
    return load_parts("nano").speech_encoder


def load_llm() -> tuple[Any, Any]:
    """Load the LLM of `nano` and its tokenizer with `transformers`, which writes many replies at once."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = str(load_parts("nano").trainable_llm)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16, local_files_only=True).eval()
    return model, AutoTokenizer.from_pretrained(folder, local_files_only=True)
