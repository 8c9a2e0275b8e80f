"""Whisper: its encoder for the unit tokenizer and the listener, and the whole of it as a transcriber."""

from pathlib import Path
from typing import TYPE_CHECKING

from ..loading import Parts

if TYPE_CHECKING:
    from .encoder import SpeechFeatures
    from .transcriber import WhisperTranscriber


def build_speech_encoder(parts: Parts) -> "SpeechFeatures":
    """The frozen encoder."""
    from .conversion import WHISPER
    from .encoder import SpeechFeatures

    return SpeechFeatures(WHISPER.folder())


def build_transcriber(parts: Parts) -> "WhisperTranscriber":
    """The decoder on the features of the model's encoder."""
    from .conversion import WHISPER
    from .transcriber import WhisperTranscriber

    return WhisperTranscriber(WHISPER.folder(), parts.speech_encoder)


def build_judge_folder(parts: Parts) -> Path:
    """The whole model as `faster-whisper` opens it."""
    from .conversion import WHISPER

    return WHISPER.folder()
