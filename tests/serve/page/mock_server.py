"""A server that serves the committed page and answers like the real one, with a reply that the tests know exactly."""

import asyncio
import base64
import json
import mimetypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from exomni.core import arkit
from exomni.core.timebase import FRAME_HZ, SAMPLE_HZ, SAMPLES_PER_FRAME
from exomni.serve.protocol.client import CLIENT_EVENTS
from exomni.serve.protocol.items import pack_frames, pack_pcm16
from exomni.serve.protocol.session import SessionConfig

WEB = Path(__file__).parents[3] / "src" / "exomni" / "serve" / "web"
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
FORMATS = [{"name": "glb", "suffix": ".glb", "what": "a head"}, {"name": "srt", "suffix": ".srt", "what": "captions"}]
WORDS = "This is what the machine has to say about it today, slowly and clearly.".split()
N_FRAMES = 150
PIECE_FRAMES = 15
RAMP = "cheekPuff"
"""Goes from 0 to 1 over the reply in a straight line, so that its weight tells which frame is shown."""
LOUD = 0.02


@dataclass
class MockServer:
    """What it was asked, and how it answers.

    Attributes:
        url: of the page.
        received: every event of the page, checked against the protocol.
        heard: all audio that the page sent, int16.
        piece_s: between two pieces of a reply.
        linger_s: between the last piece and the reply's end.
        head: what `/heads/*.glb` is.
    """

    head: bytes
    url: str = ""
    received: list[dict] = field(default_factory=list)
    heard: list[np.ndarray] = field(default_factory=list)
    piece_s: float = 0.02
    linger_s: float = 0.0
    n_replies: int = 0

    def types(self) -> list[str]:
        """Types of the events so far, without the audio."""
        return [event["type"] for event in self.received if event["type"] != "input_audio_buffer.append"]


@contextmanager
def serving(head: bytes) -> Iterator[MockServer]:
    """A mock server in a thread of its own, on a free port."""
    mock = MockServer(head)
    loop = asyncio.new_event_loop()
    ready = threading.Event()
    stop = asyncio.Event()

    async def main() -> None:
        handler = lambda socket: Talk(mock, socket).run()  # noqa: E731
        async with serve(handler, "127.0.0.1", 0, process_request=lambda s, r: _answer(mock, r)) as server:
            mock.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(main(),), daemon=True)
    thread.start()
    assert ready.wait(10)
    yield mock
    loop.call_soon_threadsafe(stop.set)
    thread.join(10)


def _answer(mock: MockServer, request: Request) -> Response | None:
    """Files over HTTP; None where a WebSocket is asked for."""
    path = request.path.partition("?")[0]
    if path == "/v1/realtime":
        return None
    if path.startswith("/heads/"):
        return _file("model/gltf-binary", mock.head)
    if path == "/v1/exports":
        return _file("application/json", json.dumps(FORMATS).encode())
    if path.startswith("/v1/exports/"):
        return _file("application/octet-stream", path.encode())
    file = WEB / ("index.html" if path == "/" else path.lstrip("/"))
    if not file.is_file() or WEB not in file.resolve().parents:
        return Response(404, "Not Found", Headers({"Content-Length": "0"}))
    return _file(mimetypes.guess_type(file)[0] or "application/octet-stream", file.read_bytes())


def _file(kind: str, body: bytes) -> Response:
    headers = {"Content-Type": kind, "Content-Length": str(len(body)), "Content-Security-Policy": CONTENT_POLICY}
    return Response(200, "OK", Headers(headers), body)


class Talk:
    """One connection."""

    def __init__(self, mock: MockServer, socket: ServerConnection) -> None:
        self.mock = mock
        self.socket = socket
        self.config = SessionConfig()
        self.reply: asyncio.Task | None = None
        self.reply_id = ""
        self.hears_speech = False
        self.loud_pieces = 0

    async def run(self) -> None:
        """Answers until the page goes."""
        try:
            await self.say("session.created", session={"id": "sess_1"})
            async for text in self.socket:
                event = CLIENT_EVENTS.validate_json(text)
                self.mock.received.append(json.loads(text))
                await self.take(event)
        except ConnectionClosed:
            pass
        finally:
            if self.reply:
                self.reply.cancel()

    async def take(self, event: object) -> None:
        """Does what one event asks for."""
        match event.type:
            case "session.update":
                self.config = self.config.updated(event.session)
                await self.say("session.updated", session=self.config.model_dump(mode="json"))
            case "input_audio_buffer.append":
                await self.hear(event.audio)
            case "input_audio_buffer.commit":
                await self.heard()
            case "response.create":
                self.reply = asyncio.create_task(self.answer())
            case "response.cancel":
                await self.cancel("client_cancelled")

    async def hear(self, audio: str) -> None:
        """Keeps audio; with voice activity detection, loud pieces are speech."""
        samples = np.frombuffer(base64.b64decode(audio), "<i2")
        self.mock.heard.append(samples)
        if self.config.audio.input.turn_detection is None or self.hears_speech:
            return
        self.loud_pieces += np.sqrt(np.mean((samples / 32768.0) ** 2)) > LOUD
        if self.loud_pieces >= 3:
            self.hears_speech = True
            await self.say("input_audio_buffer.speech_started", item_id="item_voice", audio_start_ms=0)
            await self.cancel("turn_detected")

    async def heard(self) -> None:
        """A turn of speech became an item, and is written down."""
        await self.say("input_audio_buffer.committed", item_id="item_voice", previous_item_id=None)
        await self.say(
            "conversation.item.input_audio_transcription.completed",
            item_id="item_voice",
            content_index=0,
            transcript="What did I say?",
            usage={"type": "duration", "seconds": 1.0},
        )

    async def answer(self) -> None:
        """The reply that the tests know: a ramp on one shape, a tone as the voice."""
        self.mock.n_replies += 1
        self.reply_id = f"resp_{self.mock.n_replies}"
        place = {
            "response_id": self.reply_id,
            "item_id": f"item_{self.reply_id}",
            "output_index": 0,
            "content_index": 0,
        }
        await self.say("response.created", response={"id": self.reply_id, "status": "in_progress"})
        await self.say("response.output_audio_transcript.delta", **place, delta=" ".join(WORDS))
        n_samples = N_FRAMES * SAMPLES_PER_FRAME
        edges = np.linspace(0, n_samples, len(WORDS) + 1).astype(int).tolist()
        words = [
            {"text": word, "start_sample": start, "end_sample": end}
            for word, start, end in zip(WORDS, edges, edges[1:], strict=False)
        ]
        await self.say("exomni.caption.delta", **place, start_sample=0, end_sample=n_samples, words=words)
        for first in range(0, N_FRAMES, PIECE_FRAMES):
            await self.piece(place, first)
            await asyncio.sleep(self.mock.piece_s)
        await asyncio.sleep(self.mock.linger_s)
        await self.say("response.output_audio.done", **place)
        await self.say("response.done", response={"id": self.reply_id, "status": "completed"})

    async def piece(self, place: dict, first: int) -> None:
        """Half a second of face and, after it, of voice."""
        frames = np.zeros((PIECE_FRAMES, arkit.K), np.float32)
        frames[:, arkit.INDEX[RAMP]] = np.arange(first, first + PIECE_FRAMES) / N_FRAMES
        frames[:, arkit.INDEX["jawOpen"]] = 0.3
        await self.say(
            "exomni.face.delta",
            response_id=place["response_id"],
            item_id=place["item_id"],
            start_sample=first * SAMPLES_PER_FRAME,
            start_frame=first,
            fps=FRAME_HZ,
            encoding="float32",
            frames=pack_frames(frames, "float32"),
            **({"names": list(arkit.NAMES)} if first == 0 else {}),
        )
        times_s = np.arange(first * SAMPLES_PER_FRAME, (first + PIECE_FRAMES) * SAMPLES_PER_FRAME) / SAMPLE_HZ
        voice = 0.2 * np.sin(2 * np.pi * 220 * times_s)
        await self.say("response.output_audio.delta", **place, delta=pack_pcm16(voice))

    async def cancel(self, reason: str) -> None:
        """Ends the reply that is being made."""
        if self.reply is None or self.reply.done():
            return
        self.reply.cancel()
        details = {"type": "cancelled", "reason": reason}
        await self.say(
            "response.done", response={"id": self.reply_id, "status": "cancelled", "status_details": details}
        )

    async def say(self, kind: str, **fields: object) -> None:
        """Sends an event."""
        await self.socket.send(json.dumps({"type": kind, "event_id": "event_0", **fields}))
