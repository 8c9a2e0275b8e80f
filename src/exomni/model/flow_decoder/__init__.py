"""The speech decoder of the `paper` preset: speech units -> mel spectrogram -> 22.05 kHz speech."""

from .decoder import PublishedSpeechDecoder
from .flow import FlowDecoder, SpeechPrompt
from .flow_config import FlowConfig, HiFTConfig, PublishedDecoderConfig
from .vocoder import HiFTVocoder, SourceNoise

__all__ = [
    "FlowConfig",
    "FlowDecoder",
    "HiFTConfig",
    "HiFTVocoder",
    "PublishedDecoderConfig",
    "PublishedSpeechDecoder",
    "SourceNoise",
    "SpeechPrompt",
]
