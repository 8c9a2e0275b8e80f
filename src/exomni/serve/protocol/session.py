"""What a client may set for its session: OpenAI's fields that mean something here, and our own under `exomni`."""

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

MODEL = "nano"
VOICE = "heart"
MOST_TEXT_CHARS = 8_000
"""Longest text of an item, and longest instructions."""

FaceEncoding = Literal["float32", "uint8"]
EmotionName = Literal["anger", "disgust", "sadness", "joy", "fear"]
Share = Annotated[float, Field(ge=0, le=1)]
Speed = Annotated[float, Field(ge=0.3, le=3)]
Text = Annotated[str, Field(max_length=MOST_TEXT_CHARS)]
Name = Annotated[str, Field(max_length=128)]
Modalities = Annotated[tuple[Literal["audio", "text"], ...], Field(min_length=1, max_length=1, strict=False)]
OutputTokens = Annotated[int, Field(ge=1)] | Literal["inf"]

WITHOUT_EFFECT: dict[tuple[str, ...], tuple[str, ...]] = {
    (): ("tools", "tool_choice", "tracing", "truncation", "include", "prompt", "parallel_tool_calls", "reasoning"),
    ("audio", "input"): ("noise_reduction",),
    ("audio", "input", "transcription"): ("prompt", "delay", "keywords", "languages"),
}
"""Fields of OpenAI's sessions that are accepted, since clients send them, and change nothing; by where they stand."""


class Received(BaseModel):
    """Base of all that is received: unknown fields and numbers in strings are refused, nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class PcmFormat(Received):
    """The only format of audio: PCM16, little-endian, mono, 24 kHz."""

    type: Literal["audio/pcm"] = "audio/pcm"
    rate: Literal[24_000] = 24_000


class ServerVad(Received):
    """The server looks for speech; a turn ends when it has been quiet for `silence_duration_ms`."""

    type: Literal["server_vad"] = "server_vad"
    threshold: Share = 0.5
    prefix_padding_ms: Annotated[int, Field(ge=0, le=2_000)] = 300
    silence_duration_ms: Annotated[int, Field(ge=100, le=5_000)] = 500
    create_response: bool = True
    interrupt_response: bool = True
    idle_timeout_ms: None = None


class SemanticVad(Received):
    """As `ServerVad`, told only how eager to answer."""

    type: Literal["semantic_vad"] = "semantic_vad"
    eagerness: Literal["low", "medium", "high", "auto"] = "auto"
    create_response: bool = True
    interrupt_response: bool = True

    def as_server_vad(self) -> ServerVad:
        """With the silence that this eagerness waits for."""
        return ServerVad(
            silence_duration_ms={"low": 1_000, "medium": 600, "auto": 600, "high": 350}[self.eagerness],
            create_response=self.create_response,
            interrupt_response=self.interrupt_response,
        )


class Transcription(Received):
    """Ask to be told what the person said; our own model writes it down, whichever is named."""

    model: Name = "whisper-base"
    language: Annotated[str, Field(max_length=16)] | None = None


class AudioInput(Received):
    """How the person's voice arrives; without `turn_detection` the client says when a turn ends."""

    format: PcmFormat = PcmFormat()
    turn_detection: Annotated[ServerVad | SemanticVad, Field(discriminator="type")] | None = ServerVad()
    transcription: Transcription | None = Transcription()


class AudioOutput(Received):
    """How the reply's voice leaves; there is one voice, and other names mean it too."""

    format: PcmFormat = PcmFormat()
    voice: Name = VOICE
    speed: Speed = 1.0

    @field_validator("voice", mode="before")
    @classmethod
    def _the_voice(cls, value: Any) -> Any:
        named = value is None or isinstance(value, str) or (isinstance(value, dict) and set(value) == {"id"})
        return VOICE if named else value


class AudioConfig(Received):
    """Both directions."""

    input: AudioInput = AudioInput()
    output: AudioOutput = AudioOutput()


class FaceOptions(Received):
    """Our own options, `session.exomni`.

    Attributes:
        emotion: colour of the face, or null to read it from the words.
        speed: of the voice; another name of `audio.output.speed`, for clients that set all of ours in one place.
        seed: of every random choice.
        face_encoding: how frames are packed; uint8 is a quarter of the size.
    """

    emotion: dict[EmotionName, Share] | None = None
    speed: Speed = 1.0
    seed: Annotated[int, Field(ge=0, le=2**53)] = 0
    face_encoding: FaceEncoding = "float32"


class SessionConfig(Received):
    """All that `session.update` may change, with what holds until then."""

    type: Literal["realtime"] = "realtime"
    model: Annotated[Name, BeforeValidator(lambda named: MODEL if isinstance(named, str) else named)] = MODEL
    output_modalities: Modalities = ("audio",)
    instructions: Text = ""
    max_output_tokens: OutputTokens = 256
    audio: AudioConfig = AudioConfig()
    exomni: FaceOptions = FaceOptions()

    def updated(self, patch: dict[str, Any]) -> "SessionConfig":
        """This session with the fields that a patch names; objects are merged, lists and null replace.

        Raises:
            pydantic.ValidationError: a field is unknown or out of range.
        """
        merged = _merged(self.model_dump(mode="json"), _same_speed(_without(patch)))
        return SessionConfig.model_validate_json(json.dumps(merged))


def _without(patch: Any, where: tuple[str, ...] = ()) -> Any:
    """A patch, any JSON, without the fields that have no effect."""
    if not isinstance(patch, dict):
        return patch
    idle = WITHOUT_EFFECT.get(where, ())
    return {key: _without(value, (*where, key)) for key, value in patch.items() if key not in idle}


def _same_speed(patch: dict[str, Any]) -> dict[str, Any]:
    """A patch that sets both names of the speed where it sets one; ours is the stronger."""
    speed = _found(patch, "exomni", "speed") or _found(patch, "audio", "output", "speed")
    if speed is None:
        return patch
    return _merged(patch, {"exomni": {"speed": speed}, "audio": {"output": {"speed": speed}}})


def _found(patch: Any, *path: str) -> Any:
    for key in path:
        patch = patch.get(key) if isinstance(patch, dict) else None
    return patch


def _merged(old: Any, new: Any) -> Any:
    """`new` laid over `old`, both any JSON; an object of another `type` replaces the old one whole."""
    both = isinstance(old, dict) and isinstance(new, dict)
    if not both or ("type" in new and new["type"] != old.get("type")):
        return new
    return {**old, **{key: _merged(old[key], value) if key in old else value for key, value in new.items()}}
