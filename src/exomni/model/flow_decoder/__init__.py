"""The speech decoder of the `paper` preset: speech units -> mel spectrogram -> 22.05 kHz speech."""

from exomni.model.flow_decoder.config import FlowConfig, HiFTConfig, PublishedDecoderConfig
from exomni.model.flow_decoder.decoder import PublishedSpeechDecoder
from exomni.model.flow_decoder.flow import FlowDecoder, SpeechPrompt
from exomni.model.flow_decoder.vocoder import HiFTVocoder, SourceNoise

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
