"""hibari-tts, the voice: G2P, the front half that times phonemes, the back half that is the vocoder."""

from typing import TYPE_CHECKING

from ..loading import Parts

if TYPE_CHECKING:
    from .voice import HibariTeacher, HibariVoice


def build_voice(parts: Parts) -> "HibariVoice":
    """The voice with the speech decoder of the model's weights."""
    from ...core.errors import ConfigError
    from ...model.config import SpeechDecoderConfig
    from ...model.speech_decoder import SpeechDecoder
    from ..nano.weights import load_network
    from .conversion import VOICE
    from .voice import HibariVoice, Phonemizer, Vocoder

    config = parts.config
    if not isinstance(config.speech_decoder, SpeechDecoderConfig) or config.unit_tokenizer is None:
        raise ConfigError("the voice 'hibari' needs the sections speech_decoder and unit_tokenizer")
    decoder = SpeechDecoder(config.speech_decoder, config.unit_tokenizer.levels)
    load_network(decoder, parts.weights, "speech_decoder")
    return HibariVoice(Phonemizer(), decoder, Vocoder(VOICE.folder() / "back.onnx"))


def build_teacher_voice(parts: Parts) -> "HibariTeacher":
    """The whole voice, as its package holds it."""
    from .conversion import VOICE
    from .voice import HibariTeacher, Phonemizer

    return HibariTeacher(VOICE.folder(), Phonemizer())
