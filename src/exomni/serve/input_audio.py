"""The listening half of a conversation: turns of speech are found and become words."""

import asyncio
from collections.abc import Callable

import numpy as np

from ..core.timebase import ENCODER_SAMPLE_HZ
from ..pipeline.speech_detector import VadConfig
from .audio_buffer import SHORTEST_COMMIT_SAMPLES, Heard, InvalidAudioError, Microphone, decode_pcm16
from .conversation import Conversation, Entry
from .hub import Hub
from .logs import log
from .outbox import Outbox
from .protocol.items import new_id
from .protocol.server import (
    Committed,
    HeardFor,
    ItemAdded,
    SpeechStarted,
    SpeechStopped,
    TranscriptionCompleted,
    TranscriptionFailed,
)
from .protocol.session import SemanticVad, SessionConfig
from .refusals import Refusal
from .scheduler import Job

MOST_HEARINGS = 4
"""Turns of one session that wait for their words."""


class Listening:
    """What a client says aloud.

    Args:
        hub: the server's shared state.
        outbox: of the client.
        conversation: that turns are added to.
        on_speech: told when the person begins to speak.
        on_words: told whenever a turn has become words: whether the server itself found its end.
    """

    def __init__(
        self, hub: Hub, outbox: Outbox, conversation: Conversation, session_id: str,
        on_speech: Callable[[], None], on_words: Callable[[bool], None],
    ):  # fmt: skip
        self._hub, self._outbox, self._conversation, self._session_id = hub, outbox, conversation, session_id
        self._on_speech, self._on_words = on_speech, on_words
        self._microphone = Microphone(hub.backend.detector, round(hub.config.limits.turn_s * ENCODER_SAMPLE_HZ))
        self._item_id: str | None = None
        self._transcripts = True
        self._hearings: set[Job] = set()

    @property
    def speaking(self) -> bool:
        """Whether the person is speaking right now, as far as can be told."""
        return self._microphone.speaking

    @property
    def hearing(self) -> bool:
        """Whether a turn has not become words yet."""
        return bool(self._hearings)

    def set_up(self, config: SessionConfig) -> None:
        """Listen as a session asks."""
        self._transcripts = config.audio.input.transcription is not None
        detection = config.audio.input.turn_detection
        if isinstance(detection, SemanticVad):
            detection = detection.as_server_vad()
        self._microphone.listen_for(
            detection
            and VadConfig(
                threshold=detection.threshold,
                silence_ms=detection.silence_duration_ms,
                prefix_ms=detection.prefix_padding_ms,
            )
        )

    async def append(self, audio: str) -> None:
        """Hear more.

        Raises:
            Refusal: it is not audio, or a turn that the client ends itself is too long.
        """
        if self._microphone.full():
            raise Refusal("audio_too_long", f"a turn lasts at most {self._hub.config.limits.turn_s:g} s", "audio")
        began = self._hub.clock()
        try:
            work = asyncio.get_running_loop().run_in_executor(self._hub.ears, _listen, self._microphone, audio)
            found = await work
        except InvalidAudioError as error:
            raise Refusal("invalid_audio", str(error), "audio") from None
        for heard in found:
            if heard.turn is None:
                self._started(heard)
                self._hub.metrics.stop_s.observe(self._hub.clock() - began)
            else:
                self._stopped(heard)

    def commit(self) -> None:
        """End a turn here.

        Raises:
            Refusal: less than 0.1 s was heard.
        """
        turn = self._microphone.take()
        if len(turn) < SHORTEST_COMMIT_SAMPLES:
            raise Refusal("buffer_empty", "a turn needs at least 0.1 s of audio")
        self._commit(turn, new_id("item"), found=False)

    def clear(self) -> None:
        """Forget what was heard since the last turn."""
        self._microphone.clear()
        self._item_id = None

    def hear(self, entry: Entry, turn: np.ndarray, found: bool) -> None:
        """Have an item's words written down.

        Args:
            entry: an item that is in the conversation.
            turn: float32 [N] at 16 kHz.
            found: whether the server itself found the turn's end.
        Raises:
            Refusal: too many turns wait already.
        """
        if len(self._hearings) >= MOST_HEARINGS:
            raise Refusal("rate_limited", "wait until the turns before have become words", retry_after=1)
        began, texts = self._hub.clock(), []

        def end(error: Exception | None) -> None:
            self._hearings.discard(job)
            self._hub.metrics.hearing_s.observe(self._hub.clock() - began)
            self._heard(entry.id, "".join(texts), len(turn) / ENCODER_SAMPLE_HZ, error)
            self._on_words(found)

        job = Job(lambda: iter([self._hub.backend.transcribe(turn)]), texts.append, end)
        self._hearings.add(job)
        self._hub.scheduler.submit(job)

    def close(self) -> None:
        """Hear no more."""
        for job in self._hearings:
            self._hub.scheduler.cancel(job)

    def _started(self, heard: Heard) -> None:
        self._item_id = new_id("item")
        started_ms = heard.edge.sample * 1000 // ENCODER_SAMPLE_HZ
        self._outbox.put(SpeechStarted(item_id=self._item_id, audio_start_ms=started_ms))
        self._on_speech()

    def _stopped(self, heard: Heard) -> None:
        item_id, self._item_id = self._item_id or new_id("item"), None
        stopped_ms = heard.edge.sample * 1000 // ENCODER_SAMPLE_HZ
        self._outbox.put(SpeechStopped(item_id=item_id, audio_end_ms=stopped_ms))
        self._commit(heard.turn, item_id, found=True)

    def _commit(self, turn: np.ndarray, item_id: str, found: bool) -> None:
        entry = Entry(item_id, "user", "input_audio")
        before = self._conversation.add(entry)
        self._outbox.put(Committed(item_id=item_id, previous_item_id=before))
        item = entry.as_item()
        self._outbox.put(ItemAdded(type="conversation.item.added", item=item, previous_item_id=before))
        self.hear(entry, turn, found)

    def _heard(self, item_id: str, text: str, seconds: float, error: Exception | None) -> None:
        """Put the words of a turn where they belong, and tell the client."""
        if error is not None:
            log("hearing failed", level=40, error=error, session=self._session_id)
            refusal = Refusal("server_error", "the speech could not be understood")
            self._outbox.put(TranscriptionFailed(item_id=item_id, error=refusal.body()))
        old = self._conversation.find(item_id)
        if old is None:
            return
        whole = "\n".join(filter(None, [old.text, text.strip()]))
        entry = self._conversation.change(item_id, text=whole)
        if self._transcripts and error is None:
            usage = HeardFor(seconds=round(seconds, 3))
            self._outbox.put(TranscriptionCompleted(item_id=item_id, transcript=text.strip(), usage=usage))
        before = self._conversation.before(item_id)
        self._outbox.put(ItemAdded(type="conversation.item.done", item=entry.as_item(), previous_item_id=before))


def _listen(microphone: Microphone, audio: str) -> list[Heard]:
    return microphone.add(decode_pcm16(audio))
