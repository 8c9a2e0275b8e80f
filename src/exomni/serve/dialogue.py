"""One conversation: what the client says, what it is told, and the replies in between. It knows nothing of sockets."""

from functools import partial
from typing import Any

from pydantic import ValidationError

from ..core.emotion import emotion_vector
from ..core.errors import InputError
from ..core.events import SpeechEvent
from ..core.timebase import SAMPLE_HZ, exact_ratio
from ..core.turns import Turn
from .backend import ReplyOptions
from .conversation import SAMPLES_PER_MS, Conversation, item_of, turns_of, turns_to_answer
from .hub import Bucket, Hub
from .input_audio import InputTurn
from .input_turns import InputTurns
from .live_reply import LiveReply
from .outbox import Letter, Outbox
from .protocol import client, server
from .protocol.items import Status, new_id
from .protocol.session import SessionConfig
from .refusals import Refusal, event_refusal, request_refusal
from .scheduler import Job
from .telemetry import log

MOST_TOKENS = 1_024
"""What "inf" means, and more than it."""
TRUNCATE_SLACK_SAMPLES = exact_ratio(SAMPLE_HZ, 10)
"""How far beyond the end of a reply a client may think that it was played."""


class Dialogue:
    """One client's conversation; its session ends at `expires_at`, in seconds since 1970."""

    def __init__(self, hub: Hub, outbox: Outbox, session_id: str, expires_at: int | None = None) -> None:
        self._hub, self._outbox, self._id, self._expires_at = hub, outbox, session_id, expires_at
        self.config = SessionConfig()
        self.conversation = Conversation(hub.config.limits.items, outbox)
        self._conversation_id = new_id("conv")
        self._input = InputTurns(hub, outbox, self.conversation, session_id, self._on_speech, self._on_transcript)
        self._input.set_up(self.config)
        per_minute = hub.config.limits.replies_per_minute
        self._replies = Bucket(per_minute / 60, max(1.0, per_minute / 6), hub.clock)
        self._reply: LiveReply | None = None
        self._wanted: client.ResponseOptions | None = None  # a reply that waits for the transcript of what it answers
        self._instructions = ""
        self._prefill_job: Job | None = None
        self._prefill_turns: list[Turn] = []

    def greet(self) -> None:
        """Say that the session is there."""
        self._outbox.put(server.SessionEvent(type="session.created", session=self._state()))

    async def receive(self, text: str | bytes) -> None:
        """Do what a message says; what cannot be done is answered with an `error`."""
        event_id = None
        try:
            try:
                event = client.CLIENT_EVENTS.validate_json(text)
            except ValidationError as error:
                raise event_refusal(error) from None
            event_id = event.event_id
            await self._handle(event)
        except Refusal as refusal:
            self.refuse(refusal, event_id)

    def refuse(self, refusal: Refusal, event_id: str | None = None) -> None:
        """Tell the client what is not done."""
        self._hub.metrics.errors.labels(refusal.code).inc()
        self._outbox.put(refusal.event(event_id))

    def sent(self, letter: Letter) -> None:
        """A message has left: note how far the speech is, and let a reply go on that waited for the client."""
        reply = self._reply
        if reply is None:
            return
        if letter.end_sample and reply.id == letter.reply_id:
            reply.sent(letter.end_sample)
        if reply.job and reply.job.paused and self._outbox.n_bytes < self._hub.config.limits.outbox_bytes // 2:
            self._hub.scheduler.pause(reply.job, False)

    def close(self) -> None:
        """End whatever is being made."""
        self._input.close()
        self._cancel_prefill()
        if self._reply is not None:
            self._stop_making(self._reply)

    async def _handle(self, event: client.AnyClientEvent) -> None:
        match event:
            case client.SessionUpdate():
                self._update_session(event)
            case client.InputAudioAppend():
                await self._input.append(event.audio)
            case client.InputAudioCommit():
                self._input.commit()
            case client.InputAudioClear():
                self._input.clear()
                self._outbox.put(server.Cleared())
            case client.ItemCreate():
                self._create_item(event)
            case client.ItemTruncate():
                self._truncate_item(event)
            case client.ItemDelete():
                self.conversation.delete(event.item_id)
            case client.ItemRetrieve():
                self._outbox.put(server.ItemRetrieved(item=self.conversation.get(event.item_id).as_wire()))
            case client.ResponseCreate():
                self._create_response(event)
            case client.ResponseCancel():
                self._cancel_response(event)

    def _update_session(self, event: client.SessionUpdate) -> None:
        try:
            self.config = self.config.updated(event.session)
        except ValidationError as error:
            raise request_refusal(error, "session") from None
        self._input.set_up(self.config)
        self._outbox.put(server.SessionEvent(type="session.updated", session=self._state()))

    def _create_item(self, event: client.ItemCreate) -> None:
        most_s = self._hub.config.limits.turn_s
        item, samples = self.conversation.create(event.item, event.previous_item_id, most_s)
        if samples is not None:
            self._input.transcribe(InputTurn(samples=samples, item_id=item.id))

    def _truncate_item(self, event: client.ItemTruncate) -> None:
        item, played = self.conversation.get(event.item_id), event.audio_end_ms * SAMPLES_PER_MS
        if item.kind != "output_audio" or event.content_index:
            raise Refusal("invalid_event", "only the speech of a reply can be cut short", "item_id")
        if played > item.made_samples + TRUNCATE_SLACK_SAMPLES:
            made_ms = item.made_samples // SAMPLES_PER_MS
            raise Refusal("invalid_event", f"the reply has {made_ms} ms of speech", "audio_end_ms")
        if self._reply is not None and self._reply.item is item and not self._reply.done:
            self._interrupt("client_cancelled")
        self.conversation.truncate(item, played)
        self._prefill()

    def _create_response(self, event: client.ResponseCreate) -> None:
        options = event.response or client.ResponseOptions()
        if not self._input.transcribing or options.input is not None:
            self._answer(options)
        elif self._wanted is None:
            self._wanted = options
        else:
            raise Refusal("response_active", "a reply is waiting for the turn to become words already")

    def _cancel_response(self, event: client.ResponseCancel) -> None:
        live = self._reply if self._reply is not None and not self._reply.done else None
        if live is not None and event.response_id in (None, live.id):
            self._interrupt("client_cancelled")
        elif self._wanted is not None and event.response_id is None:
            self._wanted = None
        else:
            raise Refusal("no_active_response", "no such reply is being made", "response_id" if live else None)

    def _on_speech(self) -> None:
        """The user speaks: a reply that is interrupted falls silent, and half a question is not answered."""
        detection = self.config.audio.input.turn_detection
        if detection is not None and detection.interrupt_response:
            self._interrupt("turn_detected")

    def _on_transcript(self, turn: InputTurn) -> None:
        """A turn has its transcript: answer, where that was asked for or is the server's to decide."""
        if self._input.transcribing:
            return
        wanted, self._wanted = self._wanted, None
        detection = self.config.audio.input.turn_detection
        unasked = turn.detected and detection is not None and detection.create_response and not self._input.speaking
        try:
            if wanted is not None:
                self._answer(wanted)
            elif unasked and turns_to_answer(self.conversation.items):
                self._answer(client.ResponseOptions())
        except Refusal as refusal:
            self.refuse(refusal)

    def _answer(self, options: client.ResponseOptions) -> None:
        """Begin a reply.

        Raises:
            Refusal: one is being made, there is nothing to answer, or there is no place.
        """
        if self._reply is not None and not self._reply.done:
            raise Refusal("response_active", "a reply is being made; cancel it first")
        config, joined = self.config, options.conversation == "auto"
        instructions = config.instructions if options.instructions is None else options.instructions
        turns = self._turns(options, instructions)
        wait_s = self._replies.wait_s()
        if wait_s:
            raise Refusal("rate_limited", "too many replies a minute", retry_after=int(wait_s) + 1)
        most = options.max_output_tokens or config.max_output_tokens
        n_tokens = MOST_TOKENS if most == "inf" else min(most, MOST_TOKENS)
        response = server.Response(
            id=new_id("resp"), status="in_progress", max_output_tokens=most, metadata=options.metadata,
            output_modalities=options.output_modalities or config.output_modalities,
            conversation_id=self._conversation_id if joined else None,
        )  # fmt: skip
        encoding = config.exomni.face_encoding
        reply = LiveReply(self._outbox, self.conversation, response, encoding, self._hub.clock, n_tokens)
        how = ReplyOptions(
            emotion=None if config.exomni.emotion is None else emotion_vector({**config.exomni.emotion}),
            seed=config.exomni.seed,
            speed=options.audio.output.speed or config.audio.output.speed,
            max_tokens=n_tokens,
        )
        self._cancel_prefill()  # it holds the KV cache that the reply goes on from
        make = self._hub.backend.reply if reply.speaks else self._hub.backend.write
        reply.job = self._hub.begin(
            partial(make, turns, how), partial(self._on_piece, reply), partial(self._on_end, reply), is_live=True
        )
        self._reply = reply
        if joined:
            self._instructions = instructions
            self.conversation.add(reply.item)
        reply.begin()
        log("reply begins", session=self._id, reply=reply.id, turns=len(turns), **self._content(turns[-1].content))

    def _turns(self, options: client.ResponseOptions, instructions: str) -> list[Turn]:
        """What a reply answers: the conversation, or what the client gave in its place."""
        items = self.conversation.items
        if options.input is not None:
            made = [item_of(item, self._hub.config.limits.turn_s) for item in options.input]
            if any(samples is not None for _, samples in made):
                raise Refusal("unsupported", "audio belongs into the conversation first", "response.input")
            items = [item for item, _ in made]
        turns = turns_to_answer(items, instructions)
        if not turns:
            raise Refusal("nothing_to_answer", "the conversation does not end with something that the user said")
        return turns

    def _on_piece(self, reply: LiveReply, piece: object) -> None:
        """A piece of a reply has been made."""
        if isinstance(piece, SpeechEvent):
            if not reply.samples:
                self._hub.metrics.first_audio_s.observe(self._hub.clock() - reply.began_at)
            self._hub.metrics.speech_s.inc(len(piece.samples) / piece.sample_rate)
        reply.add(piece)
        if reply.job is not None and self._outbox.n_bytes > self._hub.config.limits.outbox_bytes:
            self._hub.scheduler.pause(reply.job, True)

    def _on_end(self, reply: LiveReply, error: Exception | None) -> None:
        """A reply has ended by itself."""
        # What has words and no sound, such as another script, is whole all the same.
        unspeakable = isinstance(error, InputError) and reply.item.text.strip()
        if error is not None and not unspeakable:
            log("reply failed", level=40, error=error, session=self._id, reply=reply.id)
            self.refuse(Refusal("server_error", "the reply failed; it is logged"))
            self._end(reply, "failed")
        elif reply.full:
            self._end(reply, "incomplete", "max_output_tokens")
        else:
            self._end(reply, "completed")

    def _interrupt(self, reason: server.StatusReason) -> None:
        """Stop the reply that is being made or can still be playing; what was not played was not said."""
        self._wanted = None
        reply = self._reply
        if reply is None or (reply.done and reply.item.played_samples is not None):
            return
        played = reply.played_samples()
        self._stop_making(reply)
        self._outbox.drop(reply.id)
        if played is not None:
            self.conversation.truncate(reply.item, played)
        if not reply.done:
            self._end(reply, "cancelled", reason)
        else:
            self._prefill()

    def _stop_making(self, reply: LiveReply) -> None:
        if reply.job is not None and not reply.done:
            self._hub.cancel(reply.job)

    def _end(self, reply: LiveReply, status: Status, reason: server.StatusReason | None = None) -> None:
        """Tell the client that a reply has ended; keep it for downloads, and be ready for what comes next."""
        reply.end(status, reason)
        reply.job = None
        self._hub.kept.add(reply.id, reply.frames, reply.samples, reply.item.text, reply.item.words)
        reply.frames, reply.samples = [], []
        self._hub.metrics.replies.labels(status).inc()
        self._prefill()
        length_s = round(reply.item.made_samples / SAMPLE_HZ, 2)
        took_s = round(self._hub.clock() - reply.began_at, 3)
        log("reply ends", session=self._id, reply=reply.id, status=status, reason=reason, speech_s=length_s,
            took_s=took_s, **self._content(reply.item.played_text))  # fmt: skip

    def _prefill(self) -> None:
        """Have the LLM prefill the reply that the conversation ends with, as far as it was played, in good time."""
        turns = turns_of(self.conversation.items, self._instructions)
        if self._prefill_job is not None and turns == self._prefill_turns:
            return
        self._cancel_prefill()
        ended = self._reply is not None and self._reply.done
        if self._hub.draining or not ended or len(turns) < 2 or turns[-1].role != "assistant":
            return
        self._prefill_turns = turns
        make = partial(self._hub.backend.prefill, turns)
        self._prefill_job = Job(make, lambda _: None, self._on_prefill_end, can_wait=True)
        self._hub.scheduler.submit(self._prefill_job)

    def _cancel_prefill(self) -> None:
        """What was to be prefilled is not what the next reply goes on from, or that one is wanted now."""
        if self._prefill_job is not None:
            self._hub.scheduler.cancel(self._prefill_job)
            self._prefill_job = None

    def _on_prefill_end(self, error: Exception | None) -> None:
        if error is not None:
            log("reading a reply failed", level=40, error=error, session=self._id)

    def _content(self, text: Any) -> dict[str, Any]:
        return {"text": text} if self._hub.config.log_content else {}

    def _state(self) -> server.SessionState:
        return server.SessionState(id=self._id, expires_at=self._expires_at, **dict(self.config))
