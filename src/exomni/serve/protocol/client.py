"""What clients say."""

from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, TypeAdapter, model_validator

from .items import Id, Item, Metadata
from .session import WITHOUT_EFFECT, Modalities, Name, OutputTokens, PcmFormat, Received, Speed, Text


class ClientEvent(Received):
    """Base of what clients say; an error names the event by this id."""

    event_id: Annotated[str, Field(max_length=512)] | None = None


class SessionUpdate(ClientEvent):
    """Change the session; `session` holds the fields of `SessionConfig` that change."""

    type: Literal["session.update"]
    session: dict[str, JsonValue]


class InputAudioAppend(ClientEvent):
    """More input audio: base64 of PCM16, 24 kHz, mono."""

    type: Literal["input_audio_buffer.append"]
    audio: str


class InputAudioCommit(ClientEvent):
    """The turn ends here."""

    type: Literal["input_audio_buffer.commit"]


class InputAudioClear(ClientEvent):
    """Drop the audio since the last turn."""

    type: Literal["input_audio_buffer.clear"]


class ItemCreate(ClientEvent):
    """Add an item after another, or at the end; "root" is the beginning."""

    type: Literal["conversation.item.create"]
    item: Item
    previous_item_id: Id | None = None


class ItemTruncate(ClientEvent):
    """Only so much of a reply was played; what comes after was never said."""

    type: Literal["conversation.item.truncate"]
    item_id: Id
    content_index: Annotated[int, Field(ge=0)] = 0
    audio_end_ms: Annotated[int, Field(ge=0, le=2**31)]


class ItemDelete(ClientEvent):
    """Forget an item."""

    type: Literal["conversation.item.delete"]
    item_id: Id


class ItemRetrieve(ClientEvent):
    """Ask for an item as the server holds it."""

    type: Literal["conversation.item.retrieve"]
    item_id: Id


class ResponseOutput(Received):
    """`response.audio.output`: how fast to speak this time; format and voice are the session's only ones."""

    format: PcmFormat | None = None
    voice: Annotated[Name | dict[str, str] | None, Field(exclude=True)] = None
    speed: Speed | None = None


class ResponseAudio(Received):
    """`response.audio`."""

    output: ResponseOutput = ResponseOutput()


class ResponseOptions(Received):
    """What differs from the session for one response.

    Attributes:
        conversation: "none" leaves the reply out of the conversation.
        input: a context of its own, in place of the conversation.
    """

    conversation: Literal["auto", "none"] = "auto"
    input: Annotated[tuple[Item, ...], Field(max_length=256, strict=False)] | None = None
    instructions: Text | None = None
    output_modalities: Modalities | None = None
    max_output_tokens: OutputTokens | None = None
    metadata: Metadata | None = None
    audio: ResponseAudio = ResponseAudio()

    @model_validator(mode="before")
    @classmethod
    def _without_idle_fields(cls, value: Any) -> Any:
        idle = WITHOUT_EFFECT[()]
        return {k: v for k, v in value.items() if k not in idle} if isinstance(value, dict) else value


class ResponseCreate(ClientEvent):
    """Answer now."""

    type: Literal["response.create"]
    response: ResponseOptions | None = None


class ResponseCancel(ClientEvent):
    """Stop answering."""

    type: Literal["response.cancel"]
    response_id: Id | None = None


AnyClientEvent = Annotated[
    SessionUpdate
    | InputAudioAppend
    | InputAudioCommit
    | InputAudioClear
    | ItemCreate
    | ItemTruncate
    | ItemDelete
    | ItemRetrieve
    | ResponseCreate
    | ResponseCancel,
    Field(discriminator="type"),
]
CLIENT_EVENTS: TypeAdapter[AnyClientEvent] = TypeAdapter(AnyClientEvent)
