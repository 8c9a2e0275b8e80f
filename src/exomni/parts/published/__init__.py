"""A published checkpoint, opened; its LLM is both writer and reader, and its states come with its tokens."""

from pathlib import Path
from typing import Any

from ...core.errors import CheckpointError, UnsupportedError
from ..loading import Parts
from ..ports import ModelFacts, Voice


def published_parts(folder: Path, **given: Any) -> Parts:
    """The parts of a checkpoint in the published layout.

    It has no voice of its own: the speech decoder is a download apart (`build_voice`).

    Args:
        folder: the checkpoint.
        **given: by port, parts in place of the checkpoint's, such as a `voice`.
    Raises:
        CheckpointError: the folder is not what the layout says.
    """
    from ...model.free_pace import FreeUnitGenerator
    from ..nano.face import BlendshapeFace
    from .checkpoint import load_published
    from .published_parts import FreeUnits, PublishedLLM

    model = load_published(folder)
    omni, name = model.omni, folder.name
    if not isinstance(omni.unit_generator, FreeUnitGenerator):
        raise CheckpointError(f"{folder}: the unit generator of a published checkpoint has its own pace")
    llm = PublishedLLM(model)
    made = {
        "writer": llm,
        "reader": llm,
        "unit_generator": FreeUnits(omni.unit_generator, omni.config.unit_generator.sampling, name),
        "face_maker": BlendshapeFace(omni.blendshape_decoder, name),
    }
    return Parts(ModelFacts(name), config=omni.config, **(made | given))


def build_voice(parts: Parts, folder: str = "") -> Voice:
    """The published speech decoder: units to 22.05 kHz speech.

    Args:
        parts: of the model.
        folder: holds its `flow.pt` and `hift.pt`.
    """
    from ...model.flow_decoder.decoder import PublishedSpeechDecoder
    from .published_parts import FlowVoice

    if not folder:
        raise UnsupportedError("the published speech decoder needs the folder that its flow.pt and hift.pt lie in")
    return FlowVoice(PublishedSpeechDecoder.from_folder(Path(folder)))
