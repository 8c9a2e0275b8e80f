"""One reply on its way to one client: the model's events become messages of the protocol."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.arkit import NAMES
from ..core.events import DoneEvent, FaceEvent, SpeechEvent, TextEvent
from ..core.timebase import FRAME_HZ, SAMPLE_HZ, SAMPLES_PER_FRAME, exact_ratio
from .conversation import Conversation, ConversationItem
from .outbox import Outbox
from .protocol import server
from .protocol.items import Status, new_id, pack_frames, pack_pcm16
from .protocol.session import FaceEncoding
from .scheduler import Job
from .word_times import WordTimer

CHUNK_FRAMES = exact_ratio(FRAME_HZ, 2)
"""Faces and speech leave in pieces of half a second, so that they can be stopped soon."""
CHUNK_SAMPLES = CHUNK_FRAMES * SAMPLES_PER_FRAME


class LiveReply:
    """One reply, from `response.created` to `response.done`.

    Args:
        conversation: whose item the reply is; one that does not belong to it is not added to it.
        response: as it begins.
        max_pieces: so many pieces of text are the longest reply.
    Attributes:
        job: makes the reply, once it was begun.
        frames, samples: what was made of it, float32.
        began_at: when it was asked for, by the clock.
        first_sent_at: when the first speech left, by the clock.
        sent_samples: how much speech has left.
        done: whether `response.done` has been said.
    """

    def __init__(
        self, outbox: Outbox, conversation: Conversation, response: server.Response, encoding: FaceEncoding,
        clock: Callable[[], float], max_pieces: int,
    ) -> None:  # fmt: skip
        self._outbox, self._conversation, self._clock = outbox, conversation, clock
        self._encoding: FaceEncoding = encoding
        self.response, self._max_pieces = response, max_pieces
        self.began_at = clock()
        self.speaks = response.output_modalities == ("audio",)
        kind = "output_audio" if self.speaks else "output_text"
        self.item = ConversationItem(new_id("item"), "assistant", kind, status="in_progress")
        self._place: dict[str, Any] = {"response_id": self.id, "item_id": self.item.id}
        self.job: Job | None = None
        self.frames: list[np.ndarray] = []
        self.samples: list[np.ndarray] = []
        self.first_sent_at: float | None = None
        self.sent_samples = 0
        self.done = False
        self._made_frames = self._n_pieces = 0
        self._timer = WordTimer()
        self._facts: server.Facts | None = None
        self._face: FaceEvent | None = None

    @property
    def id(self) -> str:
        """Of the response."""
        return self.response.id

    @property
    def full(self) -> bool:
        """Whether it is as long as a reply may be."""
        return self._n_pieces >= self._max_pieces

    def begin(self) -> None:
        """Say that the reply begins."""
        self._outbox.put(server.ResponseEvent(type="response.created", response=self.response))
        item = self.item.as_wire(has_content=False)
        self._outbox.put(server.OutputItem(type="response.output_item.added", response_id=self.id, item=item))
        self._conversation.announce_added(self.item)
        self._outbox.put(server.ContentPart(type="response.content_part.added", part=self._part(""), **self._place))

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
                self._facts = server.Facts(n_samples=piece.n_samples, n_frames=piece.n_frames, timings=piece.timings)

    def end(self, status: Status, reason: server.StatusReason | None = None) -> None:
        """Say that the reply has ended, and how; nothing is sent of it afterwards."""
        error = server.StatusError(type="server_error", code="server_error") if status == "failed" else None
        details = server.StatusDetails(type=status, reason=reason, error=error)
        self.item.status = "completed" if status == "completed" else "incomplete"
        item, text = self.item.as_wire(), self.item.played_text
        if self.speaks:
            self._outbox.put(server.PartDone(type="response.output_audio.done", **self._place))
            done = server.PartDone(type="response.output_audio_transcript.done", transcript=text, **self._place)
        else:
            done = server.PartDone(type="response.output_text.done", text=text, **self._place)
        self._outbox.put(done)
        self._outbox.put(server.ContentPart(type="response.content_part.done", part=self._part(text), **self._place))
        self._outbox.put(server.OutputItem(type="response.output_item.done", response_id=self.id, item=item))
        self._conversation.announce_done(self.item)
        changes = {"status": status, "status_details": details, "output": (item,), "exomni": self._facts}
        self.response = self.response.model_copy(update=changes)
        self._outbox.put(server.ResponseEvent(type="response.done", response=self.response))
        self.done = True

    def sent(self, end_sample: int) -> None:
        """Speech has left, up to this sample."""
        if self.first_sent_at is None:
            self.first_sent_at = self._clock()
        self.sent_samples = end_sample

    def played_samples(self) -> int | None:
        """How much can have been played by now, or None where that is all of what was made."""
        if self.first_sent_at is None:
            return 0 if self.speaks and not self.done else None
        played = min(self.sent_samples, round((self._clock() - self.first_sent_at) * SAMPLE_HZ))
        return None if self.done and played >= self.item.made_samples else played

    def _write(self, text: str) -> None:
        self._n_pieces += 1
        self._conversation.append(self.item, text)
        kind = "response.output_audio_transcript.delta" if self.speaks else "response.output_text.delta"
        if text:
            self._outbox.put(server.Delta(type=kind, delta=text, **self._place), self.id)

    def _say(self, speech: SpeechEvent) -> None:
        words = self._timer.place(speech)
        stop = speech.start_sample + len(speech.samples)
        self._conversation.append(self.item, words=words, end_sample=stop)
        self.samples.append(speech.samples)
        if words:
            start = speech.start_sample
            caption = server.CaptionDelta(start_sample=start, end_sample=stop, words=words, **self._place)
            self._outbox.put(caption, self.id)
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
            delta = server.Delta(type="response.output_audio.delta", delta=pack_pcm16(sound), **self._place)
            self._outbox.put(delta, self.id, end_sample)

    def _send_face(self, frames: np.ndarray, start_frame: int) -> None:
        if not len(frames):
            return
        delta = server.FaceDelta(
            **self._place,
            start_sample=start_frame * SAMPLES_PER_FRAME,
            start_frame=start_frame,
            names=NAMES if start_frame == 0 else None,
            encoding=self._encoding,
            frames=pack_frames(frames, self._encoding),
        )
        self._outbox.put(delta, self.id)

    def _part(self, text: str) -> server.Part:
        return server.Part(type="audio", transcript=text) if self.speaks else server.Part(type="text", text=text)
