"""A model that costs nothing, a server with it on a port of its own, and a plain client."""

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from websockets.sync.client import connect

from exomni.core.events import DoneEvent, FaceEvent, SpeechEvent, TextEvent
from exomni.core.timebase import SAMPLES_PER_FRAME
from exomni.pipeline.speech_detector import SpeechDetector
from exomni.serve.app import Server, bind
from exomni.serve.config import ServerConfig
from exomni.serve.protocol.items import pack_pcm16

FIXTURES = Path(__file__).parent / "fixtures"
TICKS_A_LETTER = 2
LOUD = 0.01


class LoudnessModel:
    """Stands in for Silero: what is loud is speech."""

    window_samples = 512

    def start(self) -> None:
        """There is no state."""

    def judge(self, window, state):
        return float(np.abs(window).mean() > LOUD), state


class DummyBackend:
    """A model that says what it is asked to, at once or as slowly as a test wants.

    Attributes:
        answer: words of every reply; None says what the person said.
        clause_words: how many words are spoken at once.
        step_s: what each clause takes to make.
        transcript: what speech is written down as.
        trimmed: of every transcript, whether it was told that the audio is speech alone.
        asked: the turns of every reply.
        prefilled: the turns up to every reply that was prefilled.
        n_clauses: made since the beginning.
        error: raised by the next clause.
    """

    def __init__(self, answer: str | None = None, step_s: float = 0.0):
        self.answer, self.step_s = answer, step_s
        self.clause_words = 4
        self.transcript = "what did you hear"
        self.trimmed: list[bool] = []
        self.asked: list = []
        self.prefilled: list = []
        self.n_clauses = self.n_closed = 0
        self.error: Exception | None = None
        self.held = threading.Event()
        self.held.set()

    def reply(self, turns, options) -> Iterator:
        self.asked.append(list(turns))
        return self.say(self.answer or f"You said {turns[-1].content}", options)

    def prefill(self, turns) -> Iterator[None]:
        self.prefilled.append(list(turns))
        yield

    def write(self, turns, options) -> Iterator[str]:
        self.asked.append(list(turns))
        words = (self.answer or f"You said {turns[-1].content}").split()[: options.max_tokens]
        return (word + " " for word in words)

    def say(self, text, options) -> Iterator:
        words = text.split()[: options.max_tokens]
        n_samples = n_frames = 0
        try:
            for i in range(0, len(words), self.clause_words):
                self.held.wait()
                if self.step_s:
                    time.sleep(self.step_s)
                if self.error is not None:
                    raise self.error
                self.n_clauses += 1
                clause = words[i : i + self.clause_words]
                for word in clause:
                    yield TextEvent(word + " ")
                speech = speech_of(" ".join(clause), n_samples)
                count = len(speech.samples) // SAMPLES_PER_FRAME
                frames = np.full((count, 52), 0.25, np.float32)
                yield FaceEvent(n_samples, n_frames, frames)
                yield speech
                n_samples, n_frames = n_samples + len(speech.samples), n_frames + count
            yield DoneEvent(n_samples, n_frames, {"first_audio_s": 0.0, "total_s": 0.0})
        finally:
            self.n_closed += 1

    def animate(self, samples, sample_rate, emotion) -> Iterator:
        count = max(1, len(samples) // SAMPLES_PER_FRAME)
        yield FaceEvent(0, 0, np.zeros((count, 52), np.float32))
        yield SpeechEvent(0, samples, np.zeros(0, np.int64), "")
        yield DoneEvent(len(samples), count, {})

    def transcribe(self, samples, trimmed=False) -> str:
        self.held.wait()
        self.trimmed.append(trimmed)
        return self.transcript

    def detector(self, config) -> SpeechDetector:
        return SpeechDetector(LoudnessModel(), config)


def speech_of(text: str, start_sample: int) -> SpeechEvent:
    """A tone that lasts as long as a text has letters."""
    n_ticks = TICKS_A_LETTER * (len(text) + 2)
    n_samples = -(-n_ticks * 600 // SAMPLES_PER_FRAME) * SAMPLES_PER_FRAME
    ticks = np.full(len(text) + 2, TICKS_A_LETTER, np.int64)
    tone = (0.3 * np.sin(np.arange(n_samples) * 0.05)).astype(np.float32)
    return SpeechEvent(start_sample, tone, np.zeros(1, np.int64), text, phonemes=text, ticks=ticks)


class Running:
    """A server in a thread.

    Attributes:
        port: where it is.
        hub: what its parts share.
    """

    def __init__(self, config: ServerConfig, backend):
        self.backend = backend
        self._socket = bind(config.host, config.port)
        self.port = self._socket.getsockname()[1]
        ready = threading.Event()
        self.server = Server(config, backend, ready.set)
        self.hub = self.server.hub
        self._thread = threading.Thread(target=self.server.run, args=[self._socket], daemon=True)
        self._thread.start()
        assert ready.wait(10), "the server does not start"

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextmanager
    def client(self, query: str = "?model=nano", **options) -> Iterator["Client"]:
        options.setdefault("max_size", None)
        with connect(f"ws://127.0.0.1:{self.port}/v1/realtime{query}", **options) as socket:
            yield Client(socket)

    def stop(self) -> None:
        if isinstance(self.backend, DummyBackend):
            self.backend.held.set()
        if self._thread.is_alive():
            self.server.end()
        self._thread.join(20)
        assert not self._thread.is_alive(), "the server does not stop"


class Client:
    """A plain client of the protocol."""

    def __init__(self, socket):
        self.socket = socket
        self.seen: list[dict] = []

    def send(self, kind: str, **fields) -> None:
        self.socket.send(json.dumps({"type": kind, **fields}))

    def next(self, timeout: float = 10) -> dict:
        self.seen.append(json.loads(self.socket.recv(timeout)))
        return self.seen[-1]

    def until(self, kind: str, timeout: float = 10) -> dict:
        """The next event of that type; an unexpected error fails the test."""
        while (event := self.next(timeout))["type"] != kind:
            assert event["type"] != "error" or kind == "error", event
        return event

    def set_up(self, **session) -> dict:
        self.send("session.update", session=session)
        return self.until("session.updated")

    def say(self, text: str) -> str:
        """Add what a person types; the item's id."""
        content = [{"type": "input_text", "text": text}]
        self.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
        return self.until("conversation.item.done")["item"]["id"]

    def ask(self, text: str, **response) -> list[dict]:
        """Ask, and hear the whole reply."""
        self.say(text)
        start = len(self.seen)
        self.send("response.create", response=response)
        self.until("response.done")
        return self.seen[start:]

    def append(self, samples: np.ndarray, piece: int = 2400) -> None:
        """Send speech, float32 [N] at 24 kHz."""
        for i in range(0, len(samples), piece):
            self.send("input_audio_buffer.append", audio=pack_pcm16(samples[i : i + piece]))


def wait_until(holds: Callable[[], bool], seconds: float = 10) -> None:
    """Wait for something to become true."""
    ends_at = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends_at, "it never came to be"
        time.sleep(0.01)


def tone(seconds: float) -> np.ndarray:
    """What `LoudnessModel` takes for speech, at 24 kHz."""
    return (0.3 * np.sin(np.arange(round(seconds * 24_000)) * 0.05)).astype(np.float32)


def quiet(seconds: float) -> np.ndarray:
    """What it takes for silence."""
    return np.zeros(round(seconds * 24_000), np.float32)


def of_type(events: list[dict], kind: str) -> list[dict]:
    return [event for event in events if event["type"] == kind]


def post(server: Running, path: str, body: dict | bytes, **headers: str) -> tuple[int, dict, dict | bytes]:
    """Status, headers and body of an answer; JSON is read."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return fetch(server, path, data, **{"content-type": "application/json", **headers})


def fetch(server: Running, path: str, data: bytes | None = None, **headers: str) -> tuple[int, dict, dict | bytes]:
    """As `post`, with GET where there is no body."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(server.http + path, data, names)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            status, found, content = answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        status, found, content = error.code, error.headers, error.read()
    kind = found.get("content-type", "")
    return status, dict(found.items()), json.loads(content) if kind == "application/json" else content
