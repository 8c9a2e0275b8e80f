"""What the server says."""

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from ...core.timebase import FRAME_HZ
from .items import Item, Metadata, Status, new_id
from .session import FaceEncoding, Modalities, OutputTokens, SessionConfig

ErrorCode = Literal[
    "invalid_json",
    "invalid_event",
    "unknown_event",
    "unknown_parameter",
    "unsupported",
    "invalid_audio",
    "audio_too_long",
    "buffer_empty",
    "item_not_found",
    "item_exists",
    "nothing_to_answer",
    "response_active",
    "no_active_response",
    "message_too_big",
    "rate_limited",
    "server_busy",
    "session_expired",
    "shutting_down",
    "unauthorized",
    "origin_refused",
    "too_slow",
    "server_error",
]


class ServerEvent(BaseModel):
    """Base of what the server says; fields that are None are left out, except where `NULLS` says so."""

    model_config = ConfigDict(frozen=True)
    NULLS: ClassVar[bool] = False
    type: str
    event_id: str = Field(default_factory=lambda: new_id("event"))

    def to_json(self) -> str:
        """The message as it goes over the wire."""
        return self.model_dump_json(exclude_none=not self.NULLS)


class SessionState(SessionConfig):
    """The session as it is now."""

    id: str
    object: Literal["realtime.session"] = "realtime.session"
    expires_at: int | None = None


class SessionEvent(ServerEvent):
    """The first event: the connection is accepted; or `session.update` was understood."""

    NULLS = True
    type: Literal["session.created", "session.updated"]
    session: SessionState


class ErrorBody(BaseModel):
    """What went wrong: `param` names the field, `event_id` the client's event, `retry_after` seconds to wait."""

    type: Literal["invalid_request_error", "rate_limit_error", "authentication_error", "server_error"]
    code: ErrorCode
    message: str
    param: str | None = None
    event_id: str | None = None
    retry_after: int | None = None


class Error(ServerEvent):
    """Something was refused or failed; the session goes on unless the connection closes."""

    type: Literal["error"] = "error"
    error: ErrorBody


class SpeechStarted(ServerEvent):
    """The person began to speak; `audio_start_ms` counts from the first audio of the session."""

    type: Literal["input_audio_buffer.speech_started"] = "input_audio_buffer.speech_started"
    item_id: str
    audio_start_ms: int


class SpeechStopped(ServerEvent):
    """The person has been quiet for long enough."""

    type: Literal["input_audio_buffer.speech_stopped"] = "input_audio_buffer.speech_stopped"
    item_id: str
    audio_end_ms: int


class Committed(ServerEvent):
    """A turn of speech became an item."""

    NULLS = True
    type: Literal["input_audio_buffer.committed"] = "input_audio_buffer.committed"
    item_id: str
    previous_item_id: str | None = None


class Cleared(ServerEvent):
    """The audio since the last turn was dropped."""

    type: Literal["input_audio_buffer.cleared"] = "input_audio_buffer.cleared"


class TranscriptionUsage(BaseModel):
    """Length of the audio that was transcribed."""

    type: Literal["duration"] = "duration"
    seconds: float


class TranscriptionCompleted(ServerEvent):
    """What the person said."""

    type: Literal["conversation.item.input_audio_transcription.completed"] = (
        "conversation.item.input_audio_transcription.completed"
    )
    item_id: str
    content_index: int = 0
    transcript: str
    usage: TranscriptionUsage


class TranscriptionFailed(ServerEvent):
    """What the person said could not be written down."""

    type: Literal["conversation.item.input_audio_transcription.failed"] = (
        "conversation.item.input_audio_transcription.failed"
    )
    item_id: str
    content_index: int = 0
    error: ErrorBody


class ItemAdded(ServerEvent):
    """An item is in the conversation; `conversation.item.done` says that it is whole."""

    NULLS = True
    type: Literal["conversation.item.added", "conversation.item.done"]
    item: Item
    previous_item_id: str | None = None


class ItemRetrieved(ServerEvent):
    """An item as the server holds it."""

    type: Literal["conversation.item.retrieved"] = "conversation.item.retrieved"
    item: Item


class ItemTruncated(ServerEvent):
    """A reply ends where it was stopped playing."""

    type: Literal["conversation.item.truncated"] = "conversation.item.truncated"
    item_id: str
    content_index: int = 0
    audio_end_ms: int


class ItemDeleted(ServerEvent):
    """An item is forgotten."""

    type: Literal["conversation.item.deleted"] = "conversation.item.deleted"
    item_id: str


StatusReason = Literal["turn_detected", "client_cancelled", "max_output_tokens"]


class StatusError(BaseModel):
    """Why a response failed."""

    type: str
    code: ErrorCode


class StatusDetails(BaseModel):
    """Why a response ended early."""

    type: Status
    reason: StatusReason | None = None
    error: StatusError | None = None


class Facts(BaseModel):
    """What a response came to (ours): its length, and seconds spent by part (`exomni.pipeline.results.Timings`)."""

    n_samples: int
    n_frames: int
    timings: dict[str, float]


class Response(BaseModel):
    """A response as it is now; `exomni` is ours, once it is complete."""

    object: Literal["realtime.response"] = "realtime.response"
    id: str
    status: Status
    status_details: StatusDetails | None = None
    output: tuple[Item, ...] = ()
    output_modalities: Modalities = ("audio",)
    conversation_id: str | None = None
    max_output_tokens: OutputTokens = "inf"
    metadata: Metadata | None = None
    exomni: Facts | None = None


class ResponseEvent(ServerEvent):
    """A response begins (`response.created`) or has ended, however it ended (`response.done`)."""

    type: Literal["response.created", "response.done"]
    response: Response


class OutputItem(ServerEvent):
    """A response's item begins or is whole."""

    type: Literal["response.output_item.added", "response.output_item.done"]
    response_id: str
    output_index: int = 0
    item: Item


class Place(ServerEvent):
    """Base of events about a part of a response."""

    response_id: str
    item_id: str
    output_index: int = 0
    content_index: int = 0


class Part(BaseModel):
    """The one part of an item of ours."""

    type: Literal["audio", "text"]
    text: str | None = None
    transcript: str | None = None


class ContentPart(Place):
    """A part begins or is whole."""

    type: Literal["response.content_part.added", "response.content_part.done"]
    part: Part


class Delta(Place):
    """More text (`output_text`), words of the speech, or speech as base64 of PCM16."""

    type: Literal["response.output_text.delta", "response.output_audio_transcript.delta", "response.output_audio.delta"]
    delta: str


class PartDone(Place):
    """The whole text (`output_text`), all words of the speech, or that no more speech comes."""

    type: Literal["response.output_text.done", "response.output_audio_transcript.done", "response.output_audio.done"]
    text: str | None = None
    transcript: str | None = None


class FaceDelta(ServerEvent):
    """A piece of the face, sent before the speech that it belongs to (ours).

    Attributes:
        start_sample: of the first frame, in the response's speech at 24 kHz.
        start_frame: the same in frames.
        fps: frames a second.
        names: of the 52 columns; in a response's first piece only.
        encoding: "float32", or "uint8" where 255 is 1.
        frames: base64 of [N, 52], row by row.
    """

    type: Literal["exomni.face.delta"] = "exomni.face.delta"
    response_id: str
    item_id: str
    start_sample: int
    start_frame: int
    fps: int = FRAME_HZ
    names: tuple[str, ...] | None = None
    encoding: FaceEncoding
    frames: str


class SpokenWord(BaseModel):
    """A word and where it is spoken, in samples of the response's speech at 24 kHz."""

    text: str
    start_sample: int
    end_sample: int


class CaptionDelta(ServerEvent):
    """The words of the next clause with their times, sent before its speech (ours)."""

    type: Literal["exomni.caption.delta"] = "exomni.caption.delta"
    response_id: str
    item_id: str
    start_sample: int
    end_sample: int
    words: tuple[SpokenWord, ...]


AnyServerEvent = Annotated[
    SessionEvent | Error | SpeechStarted | SpeechStopped | Committed | Cleared
    | TranscriptionCompleted | TranscriptionFailed | ItemAdded | ItemRetrieved | ItemTruncated | ItemDeleted
    | ResponseEvent | OutputItem | ContentPart | Delta | PartDone | FaceDelta
    | CaptionDelta,
    Field(discriminator="type"),
]  # fmt: skip
SERVER_EVENTS: TypeAdapter[AnyServerEvent] = TypeAdapter(AnyServerEvent)
