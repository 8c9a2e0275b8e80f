"""The HTTP endpoints, and their description: as OpenAPI, and as a page that needs no script and no network."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import numpy as np
from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.utils import get_openapi
from jinja2 import Environment, PackageLoader
from pydantic import BaseModel, ValidationError
from starlette.datastructures import UploadFile
from starlette.requests import ClientDisconnect
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse

from ..core.arkit import NAMES
from ..core.audio import resample
from ..core.errors import UserError
from ..core.events import DoneEvent, Event, FaceEvent, SpeechEvent, TextEvent
from ..core.timebase import ENCODER_SAMPLE_HZ, FRAME_HZ, SAMPLE_HZ
from ..export import FORMATS
from ..pipeline.results import wav_bytes
from . import requests as bodies
from .backend import ReplyOptions
from .conversation import ConversationItem, turns_to_answer
from .downloads import write_download
from .hub import Hub
from .protocol.items import new_id, pack_frames
from .protocol.server import SpokenWord
from .refusals import STATUSES, Refusal, busy, request_refusal
from .sound_files import MEDIA_TYPES, SpeechFileEncoder, decode_base64, decode_recording
from .word_times import WordTimer

REFERENCE = "#/components/schemas/"
_BODIES = (
    bodies.RespondRequest, bodies.RespondOptions, bodies.AnimateRequest, bodies.FaceRequest, bodies.SpeechRequest,
    bodies.Refused,
)  # fmt: skip
router = APIRouter()
Options = TypeVar("Options", bound=BaseModel)


def _hub(request: Request) -> Hub:
    return request.app.state.hub


def request_body(json_model: type[BaseModel], form_options: type[BaseModel] | None = None) -> dict[str, Any]:
    """How a request's body is described; it is read by us, so that every mistake gets the same kind of answer."""
    content: dict[str, Any] = {"application/json": {"schema": {"$ref": REFERENCE + json_model.__name__}}}
    if form_options is not None:
        parts = {
            "audio": {"type": "string", "format": "binary", "description": "A recording."},
            "options": {"type": "string", "description": f"JSON of {form_options.__name__}."},
        }
        form = {"type": "object", "properties": parts, "required": ["audio"]}
        content["multipart/form-data"] = {"schema": form}
    return {"requestBody": {"required": True, "content": content}}


@router.post(
    "/v1/respond", openapi_extra=request_body(bodies.RespondRequest, bodies.RespondOptions),
    response_model=bodies.ReplyAnswer,
)  # fmt: skip
async def respond(request: Request) -> Response:
    """Answer a question, typed or spoken, with words, a voice and a face."""
    hub = _hub(request)
    options, upload = await _read(request, bodies.RespondRequest, bodies.RespondOptions)
    text, transcript = getattr(options, "text", None), None
    if text is None:
        samples = await _recording(options, upload, hub.config.limits.turn_s)
        text = transcript = await _transcribe(hub, resample(samples, SAMPLE_HZ, ENCODER_SAMPLE_HZ))
    turns = turns_to_answer([ConversationItem("", "user", "input_text", text)], options.instructions)
    if not turns:
        raise Refusal("nothing_to_answer", "the question is empty", "text")
    how = ReplyOptions(options.emotion_vector(), options.seed, options.speed, options.max_output_tokens)
    made = await _gather(request, partial(hub.backend.reply, turns, how))
    return _answer(request, made, options, transcript)


@router.post(
    "/v1/animate", openapi_extra=request_body(bodies.AnimateRequest, bodies.FaceRequest),
    response_model=bodies.ReplyAnswer,
)  # fmt: skip
async def animate(request: Request) -> Response:
    """A face for a recording of anybody's speech."""
    hub = _hub(request)
    options, upload = await _read(request, bodies.AnimateRequest, bodies.FaceRequest)
    samples = await _recording(options, upload, hub.config.limits.recording_s)
    made = await _gather(request, partial(hub.backend.animate, samples, SAMPLE_HZ, options.emotion_vector()))
    return _answer(request, made, options, None)


@router.post(
    "/v1/audio/speech", openapi_extra=request_body(bodies.SpeechRequest), response_class=StreamingResponse,
    responses={200: {"content": {kind: {} for kind in MEDIA_TYPES.values()}, "description": "The sound."}},
)  # fmt: skip
async def speech(request: Request) -> Response:
    """Say a text, as OpenAI's speech endpoint does; the sound arrives as it is made."""
    hub = _hub(request)
    wanted, _ = await _read(request, bodies.SpeechRequest)
    speed = min(3.0, max(0.3, wanted.speed))
    pieces = hub.pieces(partial(hub.backend.say, wanted.input, ReplyOptions(speed=speed)))
    sounds = (piece.samples async for piece in pieces if isinstance(piece, SpeechEvent))
    # The first piece is waited for, so that what cannot be said gets its own status.
    first = await anext(sounds, None)
    if first is None:
        raise Refusal("nothing_to_answer", "there is nothing in the text to say", "input")

    async def body() -> AsyncIterator[bytes]:
        encoder = SpeechFileEncoder(wanted.response_format)
        async with aclosing(pieces):
            yield encoder.add(first)
            async for samples in sounds:
                yield encoder.add(samples)
            yield encoder.finish()

    return StreamingResponse(body(), media_type=MEDIA_TYPES[wanted.response_format])


@router.get("/v1/exports", response_model=list[bodies.FormatAnswer])
async def formats() -> list[bodies.FormatAnswer]:
    """The formats in which a reply can be had."""
    return [bodies.FormatAnswer(name=row.name, suffix=row.suffix, what=row.what) for row in FORMATS.values()]


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
        name, data = await work
    except UserError as error:
        raise Refusal("unsupported", str(error), "format_name") from None
    finally:
        hub.exporting -= 1
    headers = {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}
    return Response(data, media_type="application/octet-stream", headers=headers)


@router.get("/healthz", response_model=bodies.HealthAnswer)
async def health(request: Request) -> JSONResponse:
    """Whether the server takes anybody in."""
    hub = _hub(request)
    status = "draining" if hub.draining else "ok"
    answer = bodies.HealthAnswer(status=status, sessions=len(hub.sessions), replies=hub.n_replies)
    return JSONResponse(answer.model_dump(), 503 if hub.draining else 200)


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(request: Request) -> Response:
    """What the server counts, for Prometheus."""
    return Response(_hub(request).metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get("/docs", include_in_schema=False)
async def docs(request: Request) -> HTMLResponse:
    """The endpoints, to read."""
    return HTMLResponse(docs_page(request.app.openapi()))


async def _read(
    request: Request, json_model: type[Options], form_options: type[Options] | None = None
) -> tuple[Options, bytes | None]:
    """A request's options, and the recording of a form."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        return _parsed(json_model, await request.body()), None
    if kind != "multipart/form-data" or form_options is None:
        raise Refusal("unsupported", "send application/json" + (" or multipart/form-data" if form_options else ""))
    async with request.form(max_files=1, max_fields=1, max_part_size=1 << 16) as form:
        upload, text = form.get("audio"), form.get("options", "{}")
        if not isinstance(upload, UploadFile) or not isinstance(text, str):
            raise Refusal("invalid_event", "a form has a file 'audio', and 'options' as JSON", "audio")
        return _parsed(form_options, text), await upload.read()


def _parsed(model: type[Options], text: str | bytes) -> Options:
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        raise request_refusal(error) from None


async def _recording(options: BaseModel, upload: bytes | None, most_s: float) -> np.ndarray:
    """The recording of a form, or else that of the JSON, float32 [N] at 24 kHz."""
    data = decode_base64(getattr(options, "audio", "")) if upload is None else upload
    return await asyncio.to_thread(decode_recording, data, most_s)


async def _transcribe(hub: Hub, samples: np.ndarray) -> str:
    """The words of a recording, float32 [N] at 16 kHz."""

    def make() -> Iterator[str]:
        yield hub.backend.transcribe(samples, trimmed=False)

    text = "".join([piece async for piece in hub.pieces(make)]).strip()
    if not text:
        raise Refusal("invalid_audio", "nobody speaks in the recording", "audio")
    return text


@dataclass
class _Made:
    """A reply, gathered."""

    text: str = ""
    frames: list[np.ndarray] = field(default_factory=list)
    samples: list[np.ndarray] = field(default_factory=list)
    words: tuple[SpokenWord, ...] = ()
    timings: dict[str, float] = field(default_factory=dict)


async def _gather(request: Request, make: Callable[[], Iterator[Event]]) -> _Made:
    """A whole reply; its making stops where the client has gone."""
    made, timer = _Made(), WordTimer()
    async with aclosing(_hub(request).pieces(make)) as pieces:
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
    return made


def _answer(request: Request, made: _Made, options: bodies.FaceRequest, transcript: str | None) -> Response:
    """A reply as JSON, or in parts where the client asks for those."""
    reply_id, text = new_id("resp"), made.text.strip()
    _hub(request).kept.add(reply_id, made.frames, made.samples, text, made.words)
    frames, samples = np.concatenate(made.frames), np.concatenate(made.samples)
    wav, packed = wav_bytes(samples), pack_frames(frames, options.face_encoding)
    in_parts = "multipart/mixed" in request.headers.get("accept", "")
    answer = bodies.ReplyAnswer(
        id=reply_id, text=text, transcript=transcript, timings=made.timings,
        audio=bodies.SoundAnswer(
            sample_rate=SAMPLE_HZ, n_samples=len(samples), data=None if in_parts else base64.b64encode(wav).decode()
        ),
        face=bodies.FaceAnswer(
            fps=FRAME_HZ, n_frames=len(frames), names=NAMES, encoding=options.face_encoding,
            frames=None if in_parts else packed,
        ),
    )  # fmt: skip
    told = answer.model_dump_json(exclude_none=True).encode()
    if not in_parts:
        return Response(told, media_type="application/json")
    parts = (("application/json", told), ("audio/wav", wav), ("application/octet-stream", base64.b64decode(packed)))
    boundary = new_id("part")
    body = b"".join(
        f"--{boundary}\r\nContent-Type: {kind}\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data + b"\r\n"
        for kind, data in parts
    )
    return Response(body + f"--{boundary}--\r\n".encode(), media_type=f"multipart/mixed; boundary={boundary}")


def describe(app: FastAPI) -> dict[str, Any]:
    """The description of all endpoints."""
    if app.openapi_schema is None:
        made = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        schemas = made.setdefault("components", {}).setdefault("schemas", {})
        for model in _BODIES:
            schema = model.model_json_schema(ref_template=REFERENCE + "{model}")
            schemas |= schema.pop("$defs", {}) | {model.__name__: schema}
        refused = {"application/json": {"schema": {"$ref": REFERENCE + bodies.Refused.__name__}}}
        for path, methods in made["paths"].items():
            for about in methods.values():
                kept = {} if path == "/healthz" else STATUSES
                about["responses"] |= {str(s): {"description": r["means"], "content": refused} for s, r in kept.items()}
        app.openapi_schema = made
    return app.openapi_schema


def docs_page(description: dict[str, Any]) -> str:
    """HTML of an OpenAPI description."""
    environment = Environment(loader=PackageLoader("exomni", "serve"), autoescape=True)
    environment.filters["indented"] = partial(json.dumps, indent=1)
    return environment.get_template("docs.html").render(description)
