"""One reply on its way to one client: the model's events become messages of the protocol."""

from collections.abc import Callable

import numpy as np

from ..core.arkit import NAMES
from ..core.events import DoneEvent, FaceEvent, SpeechEvent, TextEvent
from ..core.timebase import FRAME_HZ, SAMPLE_HZ, SAMPLES_PER_FRAME, exact_ratio
from .conversation import Entry
from .outbox import Outbox
from .protocol.items import Status, new_id, pack_frames, pack_pcm16
from .protocol.server import (
    AudioDone,
    CaptionDelta,
    ContentPart,
    Delta,
    ErrorCode,
    FaceDelta,
    Facts,
    ItemAdded,
    OutputItem,
    Part,
    Response,
    ResponseEvent,
    SpokenWord,
    StatusDetails,
    StatusError,
    TextDone,
    TranscriptDone,
)
from .protocol.session import FaceEncoding
from .word_times import WordTimer

CHUNK_FRAMES = exact_ratio(FRAME_HZ, 2)
"""Faces and speech leave in pieces of half a second, so that they can be stopped soon."""
CHUNK_SAMPLES = CHUNK_FRAMES * SAMPLES_PER_FRAME


class Replying:
    """One reply, from `response.created` to `response.done`.

    Args:
        outbox: of the client.
        response: as it begins.
        encoding: of the face.
        clock: seconds that only go forward.
        before_item: id of the item before the reply's, or None.
    Attributes:
        entry: the reply's item as it is now.
        frames, samples: what was made of it, float32.
        first_sent_at: when the first speech left, by the clock.
        sent_samples: how much speech has left.
        done: whether `response.done` has been said.
    """

    def __init__(
        self, outbox: Outbox, response: Response, encoding: FaceEncoding, clock: Callable[[], float],
        before_item: str | None,
    ):  # fmt: skip
        self._outbox, self._encoding, self._clock, self._before = outbox, encoding, clock, before_item
        self.response = response
        self.began_at = clock()
        self.speaks = response.output_modalities == ("audio",)
        kind = "output_audio" if self.speaks else "output_text"
        self.entry = Entry(new_id("item"), "assistant", kind, status="in_progress")
        self.frames: list[np.ndarray] = []
        self.samples: list[np.ndarray] = []
        self.first_sent_at: float | None = None
        self.sent_samples = 0
        self.done = False
        self._made_frames = self.n_pieces = 0
        self._timer = WordTimer()
        self._facts: Facts | None = None
        self._face: FaceEvent | None = None

    @property
    def id(self) -> str:
        """Of the response."""
        return self.response.id

    def begin(self) -> None:
        """Say that the reply begins."""
        self._outbox.put(ResponseEvent(type="response.created", response=self.response))
        item = self.entry.as_item().model_copy(update={"content": ()})
        self._outbox.put(OutputItem(type="response.output_item.added", response_id=self.id, item=item))
        self._outbox.put(ItemAdded(type="conversation.item.added", item=item, previous_item_id=self._before))
        self._outbox.put(ContentPart(type="response.content_part.added", part=self._part(""), **self._place()))

    def add(self, piece: object) -> None:
        """Send what the model made: an event, or text where the reply is not spoken."""
        match piece:
            case str() | TextEvent():
                self._write(piece if isinstance(piece, str) else piece.text)
            case FaceEvent():
                self._face = piece
            case SpeechEvent():
                self._say(piece)
            case DoneEvent():
                self._facts = Facts(n_samples=piece.n_samples, n_frames=piece.n_frames, timings=piece.timings)

    def end(self, status: Status, reason: str | None = None, code: ErrorCode | None = None) -> None:
        """Say that the reply has ended, and how; nothing is sent of it afterwards."""
        error = StatusError(type="server_error", code=code) if code else None
        details = StatusDetails(type=status, reason=reason, error=error)
        item_status = "completed" if status == "completed" else "incomplete"
        self.change(status=item_status)
        item, text = self.entry.as_item(), self.entry.heard_text
        if self.speaks:
            self._outbox.put(AudioDone(**self._place()))
            self._outbox.put(TranscriptDone(transcript=text, **self._place()))
        else:
            self._outbox.put(TextDone(text=text, **self._place()))
        self._outbox.put(ContentPart(type="response.content_part.done", part=self._part(text), **self._place()))
        self._outbox.put(OutputItem(type="response.output_item.done", response_id=self.id, item=item))
        self._outbox.put(ItemAdded(type="conversation.item.done", item=item, previous_item_id=self._before))
        changes = {"status": status, "status_details": details, "output": (item,), "exomni": self._facts}
        self.response = self.response.model_copy(update=changes)
        self._outbox.put(ResponseEvent(type="response.done", response=self.response))
        self.done = True

    def sent(self, end_sample: int) -> None:
        """Speech has left, up to this sample."""
        if self.first_sent_at is None:
            self.first_sent_at = self._clock()
        self.sent_samples = end_sample

    def playing_sample(self) -> int | None:
        """How far the listener can have heard, or None where all of what was made has been."""
        if self.first_sent_at is None:
            return 0 if self.speaks and not self.done else None
        heard = min(self.sent_samples, round((self._clock() - self.first_sent_at) * SAMPLE_HZ))
        return None if self.done and heard >= self.entry.made_samples else heard

    def change(self, **changes: object) -> None:
        """Change the reply's item."""
        self.entry = Entry(**{**vars(self.entry), **changes})

    def _write(self, text: str) -> None:
        self.n_pieces += 1
        self.change(text=self.entry.text + text)
        kind = "response.output_audio_transcript.delta" if self.speaks else "response.output_text.delta"
        if text:
            self._outbox.put(Delta(type=kind, delta=text, **self._place()), self.id)

    def _say(self, speech: SpeechEvent) -> None:
        words = self._timer.place(speech)
        stop = speech.start_sample + len(speech.samples)
        self.change(words=self.entry.words + words, made_samples=stop)
        self.samples.append(speech.samples)
        if words:
            self._send_words(words, speech.start_sample, stop)
        frames, first = np.zeros((0, len(NAMES)), np.float32), self._made_frames
        if self._face is not None:
            frames, first = self._face.frames, self._face.start_frame
            self.frames.append(frames)
            self._made_frames, self._face = first + len(frames), None
        n_chunks = max(1, -(-len(speech.samples) // CHUNK_SAMPLES), -(-len(frames) // CHUNK_FRAMES))
        for i in range(n_chunks):
            # A recording need not end with a frame: its last piece takes what is left.
            last = i == n_chunks - 1
            face = frames[i * CHUNK_FRAMES : None if last else (i + 1) * CHUNK_FRAMES]
            sound = speech.samples[i * CHUNK_SAMPLES : None if last else (i + 1) * CHUNK_SAMPLES]
            self._send_face(face, first + i * CHUNK_FRAMES)
            end_sample = speech.start_sample + i * CHUNK_SAMPLES + len(sound)
            delta = Delta(type="response.output_audio.delta", delta=pack_pcm16(sound), **self._place())
            self._outbox.put(delta, self.id, end_sample)

    def _send_words(self, words: tuple[SpokenWord, ...], start: int, stop: int) -> None:
        caption = CaptionDelta(
            response_id=self.id, item_id=self.entry.id, start_sample=start, end_sample=stop, words=words
        )
        self._outbox.put(caption, self.id)

    def _send_face(self, frames: np.ndarray, start_frame: int) -> None:
        if not len(frames):
            return
        delta = FaceDelta(
            response_id=self.id,
            item_id=self.entry.id,
            start_sample=start_frame * SAMPLES_PER_FRAME,
            start_frame=start_frame,
            names=NAMES if start_frame == 0 else None,
            encoding=self._encoding,
            frames=pack_frames(frames, self._encoding),
        )
        self._outbox.put(delta, self.id)

    def _place(self) -> dict[str, str]:
        return {"response_id": self.id, "item_id": self.entry.id}

    def _part(self, text: str) -> Part:
        return Part(type="audio", transcript=text) if self.speaks else Part(type="text", text=text)
