"""Turns of the user's speech: found in the audio that comes in, added to the conversation, and transcribed."""

import asyncio
from collections.abc import Callable, Iterator
from functools import partial

from ..core.timebase import ENCODER_SAMPLE_HZ
from ..pipeline.speech_detector import VadConfig
from .conversation import Conversation, ConversationItem
from .hub import Hub
from .input_audio import SHORTEST_COMMIT_SAMPLES, InputAudioBuffer, InputTurn, TurnEdge
from .outbox import Outbox
from .protocol import server
from .protocol.session import SemanticVad, SessionConfig
from .refusals import Refusal
from .scheduler import Job
from .sound_files import decode_pcm16
from .telemetry import log

MOST_WAITING_TURNS = 4
"""Turns of one session that wait for their transcript."""


class InputTurns:
    """The turns that a client says aloud.

    Args:
        on_speech: called when the user begins to speak.
        on_transcript: called whenever a turn has its transcript, or failed to get one.
    """

    def __init__(
        self, hub: Hub, outbox: Outbox, conversation: Conversation, session_id: str,
        on_speech: Callable[[], None], on_transcript: Callable[[InputTurn], None],
    ) -> None:  # fmt: skip
        self._hub, self._outbox, self._conversation, self._session_id = hub, outbox, conversation, session_id
        self._on_speech, self._on_transcript = on_speech, on_transcript
        self._buffer = InputAudioBuffer(hub.backend.detector, round(hub.config.limits.turn_s * ENCODER_SAMPLE_HZ))
        self._sends_transcripts = True
        self._waiting: list[InputTurn] = []

    @property
    def speaking(self) -> bool:
        """Whether the user is speaking right now, as far as can be told."""
        return self._buffer.turn is not None

    @property
    def transcribing(self) -> bool:
        """Whether a turn waits for its transcript."""
        return bool(self._waiting)

    def set_up(self, config: SessionConfig) -> None:
        """Find and transcribe turns as a session asks."""
        self._sends_transcripts = config.audio.input.transcription is not None
        detection = config.audio.input.turn_detection
        if isinstance(detection, SemanticVad):
            detection = detection.as_server_vad()
        self._buffer.detect(
            detection
            and VadConfig(
                threshold=detection.threshold,
                silence_ms=detection.silence_duration_ms,
                prefix_ms=detection.prefix_padding_ms,
            )
        )

    async def append(self, audio: str) -> None:
        """Take more audio, base64 of PCM16.

        Raises:
            Refusal: it is not audio, or a turn that the client ends itself is too long.
        """
        if self._buffer.full():
            raise Refusal("audio_too_long", f"a turn lasts at most {self._hub.config.limits.turn_s:g} s", "audio")
        began, loop = self._hub.clock(), asyncio.get_running_loop()
        for edge in await loop.run_in_executor(self._hub.detectors, self._detect, audio):
            turn = edge.turn
            if edge.kind == "started":
                started_ms = turn.start_sample * 1000 // ENCODER_SAMPLE_HZ
                self._outbox.put(server.SpeechStarted(item_id=turn.item_id, audio_start_ms=started_ms))
                self._on_speech()
                self._hub.metrics.stop_s.observe(self._hub.clock() - began)
            else:
                stopped_ms = (turn.stop_sample or 0) * 1000 // ENCODER_SAMPLE_HZ
                self._outbox.put(server.SpeechStopped(item_id=turn.item_id, audio_end_ms=stopped_ms))
                self._commit(turn)

    def commit(self) -> None:
        """End a turn here, as the client asks.

        Raises:
            Refusal: less than 0.1 s of audio has come.
        """
        turn = self._buffer.commit()
        if len(turn.samples) < SHORTEST_COMMIT_SAMPLES:
            raise Refusal("buffer_empty", "a turn needs at least 0.1 s of audio")
        self._commit(turn)

    def clear(self) -> None:
        """Drop the audio since the last turn."""
        self._buffer.clear()

    def transcribe(self, turn: InputTurn) -> None:
        """Have a turn's words written down; its item is in the conversation.

        Raises:
            Refusal: too many turns wait already.
        """
        if len(self._waiting) >= MOST_WAITING_TURNS:
            raise Refusal("rate_limited", "wait until the turns before have become words", retry_after=1)
        turn.committed_at = self._hub.clock()
        turn.job = Job(partial(self._make, turn), partial(self._take, turn), partial(self._end, turn))
        self._waiting.append(turn)
        self._hub.scheduler.submit(turn.job)

    def close(self) -> None:
        """Transcribe no more."""
        for turn in self._waiting:
            if turn.job is not None:
                self._hub.scheduler.cancel(turn.job)

    def _detect(self, audio: str) -> list[TurnEdge]:
        return self._buffer.add(decode_pcm16(audio))

    def _commit(self, turn: InputTurn) -> None:
        item = ConversationItem(turn.item_id, "user", "input_audio")
        self._conversation.add(item)
        self._outbox.put(server.Committed(item_id=item.id, previous_item_id=item.previous_id))
        self._conversation.announce_added(item)
        self.transcribe(turn)

    def _make(self, turn: InputTurn) -> Iterator[str]:
        yield self._hub.backend.transcribe(turn.samples, trimmed=turn.detected)

    def _take(self, turn: InputTurn, transcript: str) -> None:
        turn.transcript = transcript.strip()

    def _end(self, turn: InputTurn, error: Exception | None) -> None:
        """A turn's transcript is there, or will not come: put it where it belongs, and tell the client."""
        self._waiting.remove(turn)
        self._hub.metrics.transcription_s.observe(self._hub.clock() - turn.committed_at)
        if error is not None:
            log("hearing failed", level=40, error=error, session=self._session_id)
            refusal = Refusal("server_error", "the speech could not be understood")
            self._outbox.put(server.TranscriptionFailed(item_id=turn.item_id, error=refusal.body()))
        item = self._conversation.find(turn.item_id)
        if item is not None:
            self._conversation.set_transcript(item, turn.transcript)
            if self._sends_transcripts and error is None:
                usage = server.TranscriptionUsage(seconds=round(len(turn.samples) / ENCODER_SAMPLE_HZ, 3))
                self._outbox.put(
                    server.TranscriptionCompleted(item_id=item.id, transcript=turn.transcript, usage=usage)
                )
            self._conversation.announce_done(item)
        self._on_transcript(turn)
