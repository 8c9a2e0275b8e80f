"""Loads the concrete parts that data is made with: the voice, the speech encoder and the LLM."""

from typing import Any

from ..parts.hibari.voice import Phonemizer, Vocoder, VoiceFront
from .speech_pass import Speaker


def load_speaker() -> Speaker:
    """Load the voice that says the texts.

    Raises:
        AssetError: it is not installed.
    """
    from ..parts.hibari.conversion import VOICE

    folder = VOICE.folder()
    return Speaker(Phonemizer(), VoiceFront(folder / "front.onnx"), Vocoder(folder / "back.onnx"))


def load_speech_features():
    """Load the speech encoder: a function of 16 kHz samples to features [T, D], 50 a second."""
    from ..parts.whisper.conversion import WHISPER
    from ..parts.whisper.encoder import SpeechFeatures

    return SpeechFeatures(WHISPER.folder())


def load_llm() -> tuple[Any, Any]:
    """Load the LLM of `nano` and its tokenizer with `transformers`, which writes many replies at once."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from ..parts.smollm.conversion import LLM_WEIGHTS

    folder = str(LLM_WEIGHTS.folder())
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16, local_files_only=True).eval()
    return model, AutoTokenizer.from_pretrained(folder, local_files_only=True)
