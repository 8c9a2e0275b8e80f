"""What was trained here, behind its ports: paced units, the unit tokenizer, faces, the CTC listener."""

from typing import TYPE_CHECKING

from ..loading import Parts

if TYPE_CHECKING:
    from .face import BlendshapeFace
    from .listener import CTCSpeechListener
    from .units import FeatureTokenizer, PacedUnits


def build_unit_generator(parts: Parts) -> "PacedUnits":
    """Units by phonemes and durations; it says the phonemes of the model's voice."""
    from ...model.duration_pace import PacedUnitGenerator
    from .units import PacedUnits
    from .weights import load_network

    config, voice = parts.config.unit_generator, parts.voice
    network = PacedUnitGenerator(config)
    load_network(network, parts.weights, "unit_generator")
    return PacedUnits(network, voice, config.sampling)


def build_recording_tokenizer(parts: Parts) -> "FeatureTokenizer":
    """Units of recordings by quantised encoder features; the encoder is loaded with the first recording."""
    from ...core.errors import ConfigError
    from ...model.unit_tokenizer import UnitTokenizer
    from .units import FeatureTokenizer
    from .weights import load_network

    if parts.config.unit_tokenizer is None:
        raise ConfigError("the recording tokenizer 'nano' needs the section unit_tokenizer")
    network = UnitTokenizer(parts.config.unit_tokenizer)
    load_network(network, parts.weights, "unit_tokenizer")
    return FeatureTokenizer(network, lambda: parts.speech_encoder)


def build_face_maker(parts: Parts) -> "BlendshapeFace":
    """The blendshape decoder."""
    from ...model.blendshape_decoder import BlendshapeDecoder
    from .face import BlendshapeFace
    from .weights import load_network

    network = BlendshapeDecoder(parts.config.blendshape_decoder)
    load_network(network, parts.weights, "blendshape_decoder")
    return BlendshapeFace(network, parts.facts.name)


def build_listener(parts: Parts) -> "CTCSpeechListener":
    """Speech as text by CTC over the tokens of SmolLM2."""
    from ...core.errors import UnsupportedError
    from ..smollm.chat import SmolLM
    from .listener import CTCSpeechListener

    llm = parts.writer
    if not isinstance(llm, SmolLM):
        raise UnsupportedError("this LLM cannot listen natively: use --listen transcribe")
    return CTCSpeechListener(parts.weights, parts.config, parts.speech_encoder, llm)
