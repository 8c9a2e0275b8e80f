"""A published checkpoint, opened; its LLM is both writer and reader, and its states come with its tokens."""

from pathlib import Path
from typing import Any

from ...core.errors import CheckpointError, UnsupportedError
from ...model.config import OmniConfig
from ..loading import Parts
from ..ports import ModelFacts, Voice

OTHERS = {"speech_encoder": "whisper", "transcriber": "whisper", "voice_activity": "silero"}
"""Parts beside the checkpoint, so that it can be asked by voice: the question is transcribed."""


def published_parts(folder: Path) -> tuple[ModelFacts, OmniConfig, dict[str, Any]]:
    """What a checkpoint in the published layout is, and its parts by port.

    It has no voice of its own: the speech decoder is a download apart (`build_voice`).

    Raises:
        CheckpointError: the folder is not what the layout says.
    """
    from ...model.free_pace import FreeUnitGenerator
    from ..nano.face import BlendshapeFace
    from .checkpoint import load_published
    from .checkpoint_parts import FreeUnits, PublishedLLM

    model = load_published(folder)
    omni, name = model.omni, folder.name
    if not isinstance(omni.unit_generator, FreeUnitGenerator):
        raise CheckpointError(f"{folder}: the unit generator of a published checkpoint has its own pace")
    llm = PublishedLLM(model)
    parts = {
        "writer": llm,
        "reader": llm,
        "unit_generator": FreeUnits(omni.unit_generator, omni.config.unit_generator.sampling, name),
        "face_maker": BlendshapeFace(omni.blendshape_decoder, name),
    }
    return ModelFacts(name), omni.config, parts


def build_voice(parts: Parts, folder: str = "") -> Voice:
    """The published speech decoder: units to 22.05 kHz speech.

    Args:
        parts: of the model.
        folder: holds its `flow.pt` and `hift.pt`.
    """
    from ...model.flow_decoder.decoder import PublishedSpeechDecoder
    from .checkpoint_parts import FlowVoice

    if not folder:
        raise UnsupportedError("the published speech decoder needs the folder that its flow.pt and hift.pt lie in")
    return FlowVoice(PublishedSpeechDecoder.from_folder(Path(folder)))
