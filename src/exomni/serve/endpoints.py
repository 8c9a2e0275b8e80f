"""The HTTP endpoints."""

import asyncio
import base64
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from fastapi import APIRouter, Request
from pydantic import BaseModel, ValidationError
from starlette.datastructures import UploadFile
from starlette.requests import ClientDisconnect
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse

from ..core.arkit import NAMES
from ..core.audio import resample
from ..core.emotion import emotion_vector
from ..core.errors import InputError, UserError
from ..core.events import DoneEvent, FaceEvent, SpeechEvent, TextEvent
from ..core.timebase import ENCODER_SAMPLE_HZ, FRAME_HZ, SAMPLE_HZ
from ..export import FORMATS
from .backend import ReplyOptions
from .conversation import Entry, turns_of
from .docs_page import docs_page
from .downloads import write_download
from .encoders import MEDIA_TYPES, encoder, pcm16, wav_header
from .hub import Hub
from .protocol.items import new_id, pack_frames
from .protocol.server import SpokenWord
from .refusals import Refusal, busy, request_refusal
from .requests import (
    AnimateRequest,
    FaceAnswer,
    FaceRequest,
    FormatAnswer,
    HealthAnswer,
    ReplyAnswer,
    RespondOptions,
    RespondRequest,
    SoundAnswer,
    SpeechRequest,
)
from .uploads import decode_base64, decode_recording
from .word_times import WordTimer

router = APIRouter()


def _body(json_model: type[BaseModel], form_options: type[BaseModel] | None = None) -> dict:
    """How a request's body is described; it is read by us, so that every mistake gets the same kind of answer."""
    reference = "#/components/schemas/"
    content = {"application/json": {"schema": {"$ref": reference + json_model.__name__}}}
    if form_options is not None:
        parts = {
            "audio": {"type": "string", "format": "binary", "description": "A recording."},
            "options": {"type": "string", "description": f"JSON of {form_options.__name__}."},
        }
        form = {"type": "object", "properties": parts, "required": ["audio"]}
        content["multipart/form-data"] = {"schema": form}
    return {"requestBody": {"required": True, "content": content}}


def _hub(request: Request) -> Hub:
    return request.app.state.hub


@router.post("/v1/respond", openapi_extra=_body(RespondRequest, RespondOptions), response_model=ReplyAnswer)
async def respond(request: Request) -> Response:
    """Answer a question, typed or spoken, with words, a voice and a face."""
    hub = _hub(request)
    options, upload = await _read(request, RespondRequest, RespondOptions)
    text = transcript = getattr(options, "text", None)
    if text is None:
        samples = await _recording(options, upload, hub.config.limits.turn_s)
        text = transcript = await _transcribe(request, resample(samples, SAMPLE_HZ, ENCODER_SAMPLE_HZ))
    else:
        transcript = None
    turns = turns_of([Entry("", "user", "input_text", text)], options.instructions)
    if not turns:
        raise Refusal("nothing_to_answer", "the question is empty", "text")
    how = ReplyOptions(
        emotion=_emotion(options), seed=options.seed, speed=options.speed, max_tokens=options.max_output_tokens
    )
    made = await _gather(request, lambda: hub.backend.reply(turns, how))
    return _answer(request, made, options, transcript)


@router.post("/v1/animate", openapi_extra=_body(AnimateRequest, FaceRequest), response_model=ReplyAnswer)
async def animate(request: Request) -> Response:
    """A face for a recording of anybody's speech."""
    hub = _hub(request)
    options, upload = await _read(request, AnimateRequest, FaceRequest)
    samples = await _recording(options, upload, hub.config.limits.recording_s)
    emotion = _emotion(options)
    made = await _gather(request, lambda: hub.backend.animate(samples, SAMPLE_HZ, emotion))
    return _answer(request, made, options, None)


@router.post(
    "/v1/audio/speech", openapi_extra=_body(SpeechRequest), response_class=StreamingResponse,
    responses={200: {"content": {kind: {} for kind in MEDIA_TYPES.values()}, "description": "The sound."}},
)  # fmt: skip
async def speech(request: Request) -> Response:
    """Say a text, as OpenAI's speech endpoint does; the sound arrives as it is made."""
    hub = _hub(request)
    wanted, _ = await _read(request, SpeechRequest)
    speed = min(3.0, max(0.3, wanted.speed))
    pieces = _told(hub.pieces(lambda: hub.backend.say(wanted.input, ReplyOptions(speed=speed))))
    sounds = (piece.samples async for piece in pieces if isinstance(piece, SpeechEvent))
    # The first piece is waited for, so that what cannot be said gets its own status.
    first = await anext(sounds, None)
    if first is None:
        raise Refusal("nothing_to_answer", "there is nothing in the text to say", "input")

    async def body() -> AsyncIterator[bytes]:
        made = encoder(wanted.response_format)
        try:
            yield made.add(first)
            async for samples in sounds:
                yield made.add(samples)
            yield made.finish()
        finally:
            await pieces.aclose()

    return StreamingResponse(body(), media_type=MEDIA_TYPES[wanted.response_format])


@router.get("/v1/exports", response_model=list[FormatAnswer])
async def formats() -> list[FormatAnswer]:
    """The formats in which a reply can be had."""
    return [FormatAnswer(name=row.name, suffix=row.suffix, what=row.what) for row in FORMATS.values()]


@router.get(
    "/v1/exports/{reply_id}/{format_name}", response_class=Response,
    responses={200: {"content": {"application/octet-stream": {}}, "description": "The file, or a zip of several."}},
)  # fmt: skip
async def download(request: Request, reply_id: str, format_name: str) -> Response:
    """One of the latest replies as a file."""
    hub = _hub(request)
    kept = hub.kept.get(reply_id)
    if kept is None:
        raise Refusal("item_not_found", "there is no such reply, or it was long ago", "reply_id")
    if format_name not in FORMATS:
        raise Refusal("item_not_found", f"there is no such format; there are {', '.join(FORMATS)}", "format_name")
    if hub.exporting >= hub.config.limits.exports:
        raise busy(hub.scheduler.retry_after_s())
    hub.exporting += 1
    try:
        work = asyncio.get_running_loop().run_in_executor(hub.exporters, write_download, kept, format_name)
        done = await work
    except UserError as error:
        raise Refusal("unsupported", str(error), "format_name") from None
    finally:
        hub.exporting -= 1
    headers = {"content-disposition": f'attachment; filename="{done.name}"', "cache-control": "no-store"}
    return Response(done.data, media_type="application/octet-stream", headers=headers)


@router.get("/healthz", response_model=HealthAnswer)
async def health(request: Request) -> JSONResponse:
    """Whether the server takes anybody in."""
    hub = _hub(request)
    answer = HealthAnswer(
        status="draining" if hub.draining else "ok", sessions=len(hub.sessions), replies=hub.n_replies
    )
    return JSONResponse(answer.model_dump(), 503 if hub.draining else 200)


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(request: Request) -> Response:
    """What the server counts, for Prometheus."""
    return Response(_hub(request).metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get("/docs", include_in_schema=False)
async def docs(request: Request) -> HTMLResponse:
    """The endpoints, to read."""
    return HTMLResponse(docs_page(request.app.openapi()))


# --- requests --------------------------------------------------------------------------------------------------------


async def _read(request: Request, model: type, form_options: type | None = None) -> tuple[BaseModel, bytes | None]:
    """A request's options, and the recording of a form."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        return _parsed(model, await request.body()), None
    if kind != "multipart/form-data" or form_options is None:
        raise Refusal("unsupported", "send application/json" + (" or multipart/form-data" if form_options else ""))
    async with request.form(max_files=1, max_fields=1, max_part_size=1 << 16) as form:
        upload, text = form.get("audio"), form.get("options", "{}")
        if not isinstance(upload, UploadFile) or not isinstance(text, str):
            raise Refusal("invalid_event", "a form has a file 'audio', and 'options' as JSON", "audio")
        return _parsed(form_options, text), await upload.read()


def _parsed(model: type[BaseModel], text: str | bytes) -> BaseModel:
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        raise request_refusal(error) from None


async def _recording(options: BaseModel, upload: bytes | None, most_s: float) -> np.ndarray:
    """The recording of a form, or else that of the JSON."""
    data = decode_base64(options.audio) if upload is None else upload
    return await asyncio.to_thread(decode_recording, data, most_s)


async def _transcribe(request: Request, heard: np.ndarray) -> str:
    backend = _hub(request).backend
    texts = [text async for text in _told(_hub(request).pieces(lambda: iter([backend.transcribe(heard)])))]
    text = "".join(texts).strip()
    if not text:
        raise Refusal("invalid_audio", "nobody speaks in the recording", "audio")
    return text


def _emotion(options: FaceRequest) -> np.ndarray | None:
    return None if options.emotion is None else emotion_vector(options.emotion)


# --- replies ---------------------------------------------------------------------------------------------------------


@dataclass
class _Made:
    """A reply, gathered."""

    text: str = ""
    frames: list[np.ndarray] = field(default_factory=list)
    samples: list[np.ndarray] = field(default_factory=list)
    words: tuple[SpokenWord, ...] = ()
    timings: dict[str, float] = field(default_factory=dict)


async def _told(pieces: AsyncGenerator) -> AsyncGenerator:
    """Pieces of a reply; what the model refuses is refused to the client."""
    try:
        async for piece in pieces:
            yield piece
    except InputError as error:
        raise Refusal("nothing_to_answer", str(error)) from None
    finally:
        await pieces.aclose()


async def _gather(request: Request, make: Callable[[], Iterator]) -> _Made:
    """A whole reply; its making stops where the client has gone."""
    made, timer, pieces = _Made(), WordTimer(), _told(_hub(request).pieces(make))
    try:
        async for piece in pieces:
            match piece:
                case TextEvent():
                    made.text += piece.text
                case FaceEvent():
                    made.frames.append(piece.frames)
                case SpeechEvent():
                    made.samples.append(piece.samples)
                    made.words += timer.place(piece)
                case DoneEvent():
                    made.timings = piece.timings
            if await request.is_disconnected():
                raise ClientDisconnect()
    finally:
        await pieces.aclose()
    return made


def _answer(request: Request, made: _Made, options: FaceRequest, transcript: str | None) -> Response:
    """A reply as JSON, or in parts where the client would rather have those."""
    reply_id, text = new_id("resp"), made.text.strip()
    _hub(request).kept.add(reply_id, made.frames, made.samples, text, made.words)
    frames, sound = np.concatenate(made.frames), pcm16(np.concatenate(made.samples))
    wav = wav_header(len(sound)) + sound
    packed = pack_frames(frames, options.face_encoding)
    in_parts = "multipart/mixed" in request.headers.get("accept", "")
    answer = ReplyAnswer(
        id=reply_id,
        text=text,
        transcript=transcript,
        audio=SoundAnswer(
            sample_rate=SAMPLE_HZ, n_samples=len(sound) // 2, data=None if in_parts else base64.b64encode(wav).decode()
        ),
        face=FaceAnswer(
            fps=FRAME_HZ, n_frames=len(frames), names=NAMES, encoding=options.face_encoding,
            frames=None if in_parts else packed,
        ),
        timings=made.timings,
    )  # fmt: skip
    facts = answer.model_dump_json(exclude_none=True).encode()
    if not in_parts:
        return Response(facts, media_type="application/json")
    parts = (("application/json", facts), ("audio/wav", wav), ("application/octet-stream", base64.b64decode(packed)))
    return _mixed(parts)


def _mixed(parts: Iterable[tuple[str, bytes]]) -> Response:
    """Several things in one answer, each with its media type."""
    boundary = new_id("part")
    body = b"".join(
        f"--{boundary}\r\nContent-Type: {kind}\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data + b"\r\n"
        for kind, data in parts
    )
    return Response(body + f"--{boundary}--\r\n".encode(), media_type=f"multipart/mixed; boundary={boundary}")
