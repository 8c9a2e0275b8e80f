"""What HTTP requests hold and what is answered, as typed messages."""

from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, Field, model_validator

from ..core.emotion import emotion_vector
from .protocol.server import ErrorBody
from .protocol.session import EmotionName, FaceEncoding, Received, Share, Speed, Text

MOST_SPEECH_CHARS = 16_000
"""Longest text that is spoken for one request: about a quarter of an hour."""
Emotion = Annotated[dict[EmotionName, Share] | None, Field(description="Colour of the face; null reads it.")]
Recording = Annotated[str, Field(description="Base64 of a recording: wav, mp3, m4a, webm, ogg or flac.", min_length=1)]
SpeechFormat = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]


class FaceRequest(Received):
    """What all that make a face take."""

    emotion: Emotion = None
    face_encoding: FaceEncoding = "float32"

    def emotion_vector(self) -> np.ndarray | None:
        """Colour of the face, float32 [5], or None to read it."""
        return None if self.emotion is None else emotion_vector({**self.emotion})


class RespondOptions(FaceRequest):
    """How to answer."""

    instructions: Text = ""
    seed: Annotated[int, Field(ge=0, le=2**53)] = 0
    speed: Speed = 1.0
    max_output_tokens: Annotated[int, Field(ge=1, le=1_024)] = 256


class RespondRequest(RespondOptions):
    """A question, typed or spoken."""

    text: Annotated[Text | None, Field(min_length=1)] = None
    audio: Recording | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> "RespondRequest":
        if (self.text is None) == (self.audio is None):
            raise ValueError("give either text or audio")
        return self


class AnimateRequest(FaceRequest):
    """A recording of anybody's speech."""

    audio: Recording


class SpeechRequest(Received):
    """OpenAI's speech request. There is one model and one voice, whichever are named, and no instructions for it.

    OpenAI allows speeds of 0.25 to 4; ours go from 0.3 to 3, and what is beyond means the nearest.
    """

    model: Annotated[str, Field(max_length=128)]
    input: Annotated[str, Field(min_length=1, max_length=MOST_SPEECH_CHARS)]
    voice: Annotated[str, Field(max_length=128)] | Annotated[dict[str, str], Field(max_length=1)] = "heart"
    instructions: Annotated[str, Field(max_length=8_000)] = ""
    response_format: SpeechFormat = "mp3"
    speed: Annotated[float, Field(ge=0.25, le=4)] = 1.0
    stream_format: Literal["audio"] = "audio"


class SoundAnswer(BaseModel):
    """The speech: base64 of a WAV file."""

    format: Literal["wav"] = "wav"
    sample_rate: int
    n_samples: int
    data: str | None = None


class FaceAnswer(BaseModel):
    """The face: base64 of [n_frames, 52], row by row, float32 little-endian or bytes where 255 is 1."""

    fps: int
    n_frames: int
    names: tuple[str, ...]
    encoding: FaceEncoding
    frames: str | None = None


class ReplyAnswer(BaseModel):
    """A reply; `id` is what downloads ask for. Answers in several parts have no `data` and no `frames` here."""

    id: str
    text: str
    transcript: str | None = None
    audio: SoundAnswer
    face: FaceAnswer
    timings: dict[str, float]


class FormatAnswer(BaseModel):
    """One format that a reply can be had in."""

    name: str
    suffix: str
    what: str


class HealthAnswer(BaseModel):
    """Whether the server takes anybody in."""

    status: Literal["ok", "draining"]
    sessions: int
    replies: int


class Refused(BaseModel):
    """Why a request is not done."""

    error: ErrorBody
