"""Items of the conversation, ids, and how arrays become text."""

import base64
import secrets
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from .session import FaceEncoding, Received, Text

Id = Annotated[str, Field(min_length=1, max_length=64)]
Metadata = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]], Field(max_length=16)
]
Status = Literal["in_progress", "completed", "incomplete", "cancelled", "failed"]
ItemStatus = Literal["completed", "incomplete", "in_progress"]
Role = Literal["user", "assistant", "system"]
ContentKind = Literal["input_text", "input_audio", "output_text", "output_audio"]


def new_id(kind: str) -> str:
    """An id that nobody can guess, such as `resp_…`."""
    return f"{kind}_{secrets.token_urlsafe(15)}"


def pcm16(samples: np.ndarray) -> bytes:
    """float32 [N] in -1..1 as PCM16, little-endian."""
    return (np.clip(samples, -1, 1) * 32767).round().astype("<i2").tobytes()


def pack_pcm16(samples: np.ndarray) -> str:
    """Speech, float32 [N] in -1..1, as base64 of PCM16, little-endian."""
    return base64.b64encode(pcm16(samples)).decode()


def pack_frames(frames: np.ndarray, encoding: FaceEncoding) -> str:
    """Blendshapes [N, 52] in 0..1 as base64: float32 little-endian, or bytes where 255 is 1."""
    coarse = encoding == "uint8"
    packed = (np.clip(frames, 0, 1) * 255).round().astype(np.uint8) if coarse else frames.astype("<f4")
    return base64.b64encode(packed.tobytes()).decode()


class Content(Received):
    """One part of an item: `input_text`, `input_audio`, `output_text` or `output_audio`."""

    type: ContentKind
    text: Text | None = None
    audio: str | None = None
    transcript: Text | None = None


class Item(Received):
    """A message of the conversation."""

    type: Literal["message"] = "message"
    role: Role
    content: Annotated[tuple[Content, ...], Field(max_length=16, strict=False)]
    id: Id | None = None
    object: Literal["realtime.item"] = "realtime.item"
    status: ItemStatus = "completed"
