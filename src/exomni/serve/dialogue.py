"""One conversation: what the client says, what it is told, and the replies in between. It knows nothing of sockets."""

from functools import singledispatchmethod

from pydantic import ValidationError

from ..core.emotion import emotion_vector
from ..core.errors import InputError
from ..core.events import SpeechEvent
from ..core.timebase import SAMPLE_HZ, exact_ratio
from .backend import ReplyOptions, Said
from .conversation import Conversation, Entry, ms_of_samples, said_in, samples_of_ms, turns_of
from .hub import Hub
from .input_audio import Listening
from .items import entry_of
from .logs import log
from .outbox import Outbox
from .protocol.client import (
    CLIENT_EVENTS,
    InputAudioAppend,
    InputAudioClear,
    InputAudioCommit,
    ItemCreate,
    ItemDelete,
    ItemRetrieve,
    ItemTruncate,
    ResponseCancel,
    ResponseCreate,
    ResponseOptions,
    SessionUpdate,
)
from .protocol.items import new_id
from .protocol.server import (
    Cleared,
    ItemAdded,
    ItemDeleted,
    ItemRetrieved,
    ItemTruncated,
    Response,
    SessionCreated,
    SessionState,
    SessionUpdated,
)
from .protocol.session import SessionConfig
from .rates import Bucket
from .refusals import Refusal, event_refusal, session_refusal
from .replying import Replying
from .scheduler import Job

MOST_TOKENS = 1_024
"""What "inf" means, and more than it."""
TRUNCATE_SLACK_SAMPLES = exact_ratio(SAMPLE_HZ, 10)
"""How far beyond the end of a reply a client may think that it was heard."""


class Dialogue:
    """One client's conversation.

    Args:
        hub: the server's shared state.
        outbox: where messages for the client go.
        session_id: for logs.
        expires_at: when the session ends, in seconds since 1970.
    """

    def __init__(self, hub: Hub, outbox: Outbox, session_id: str, expires_at: int | None = None):
        self._hub, self._outbox, self._id, self._expires_at = hub, outbox, session_id, expires_at
        self.config = SessionConfig()
        self.conversation = Conversation(hub.config.limits.items)
        self._conversation_id = new_id("conv")
        self._listening = Listening(hub, outbox, self.conversation, session_id, self._on_speech, self._on_words)
        self._listening.set_up(self.config)
        per_minute = hub.config.limits.replies_per_minute
        self._replies = Bucket(per_minute / 60, max(1.0, per_minute / 6), hub.clock)
        self._reply: Replying | None = None
        self._job: Job | None = None
        self._reading: Job | None = None
        self._read_turns: list[Said] = []
        self._instructions = ""
        self._wanted: ResponseOptions | None = None

    def greet(self) -> None:
        """Say that the session is there."""
        self._outbox.put(SessionCreated(session=self._state()))

    async def hear(self, text: str | bytes) -> None:
        """Do what a message says; what cannot be done is answered with an `error`."""
        event_id = None
        try:
            try:
                event = CLIENT_EVENTS.validate_json(text)
            except ValidationError as error:
                raise event_refusal(error) from None
            event_id = event.event_id
            if isinstance(event, InputAudioAppend):
                await self._listening.append(event.audio)
            else:
                self._do(event)
        except Refusal as refusal:
            self.refuse(refusal, event_id)

    def refuse(self, refusal: Refusal, event_id: str | None = None) -> None:
        """Tell the client what is not done."""
        self._hub.metrics.errors.labels(refusal.code).inc()
        self._outbox.put(refusal.event(event_id))

    def ease(self) -> None:
        """Let the reply go on where it waited for the client to take what was made."""
        if self._job and self._job.paused and self._outbox.n_bytes < self._hub.config.limits.outbox_bytes // 2:
            self._hub.scheduler.pause(self._job, False)

    def sent(self, reply_id: str, end_sample: int) -> None:
        """A piece of a reply has left; `end_sample` is above 0 for speech."""
        if end_sample and self._reply is not None and self._reply.id == reply_id:
            self._reply.sent(end_sample)

    def close(self) -> None:
        """End whatever is being made."""
        self._listening.close()
        self._read_no_more()
        if self._job is not None:
            self._hub.cancel(self._job)

    # --- what the client says ---------------------------------------------------------------------------------------

    @singledispatchmethod
    def _do(self, event) -> None:
        raise AssertionError(f"nobody does {event.type}")

    @_do.register
    def _(self, event: SessionUpdate) -> None:
        try:
            self.config = self.config.updated(event.session)
        except ValidationError as error:
            raise session_refusal(error) from None
        self._listening.set_up(self.config)
        self._outbox.put(SessionUpdated(session=self._state()))

    @_do.register
    def _(self, _: InputAudioCommit) -> None:
        self._listening.commit()

    @_do.register
    def _(self, _: InputAudioClear) -> None:
        self._listening.clear()
        self._outbox.put(Cleared())

    @_do.register
    def _(self, event: ItemCreate) -> None:
        after = event.previous_item_id
        if after not in (None, "root") and self.conversation.find(after) is None:
            raise Refusal("item_not_found", f"there is no item {after}", "previous_item_id")
        if event.item.id is not None and self.conversation.find(event.item.id):
            raise Refusal("item_exists", f"there is an item {event.item.id} already", "item.id")
        entry, spoken = entry_of(event.item, self._hub.config.limits.turn_s)
        before = self.conversation.add(entry, after)
        item = entry.as_item()
        self._outbox.put(ItemAdded(type="conversation.item.added", item=item, previous_item_id=before))
        if spoken is not None:
            self._listening.hear(entry, spoken, found=False)
        else:
            self._outbox.put(ItemAdded(type="conversation.item.done", item=item, previous_item_id=before))

    @_do.register
    def _(self, event: ItemTruncate) -> None:
        entry = self._found(event.item_id)
        heard = samples_of_ms(event.audio_end_ms)
        if entry.kind != "output_audio" or event.content_index:
            raise Refusal("invalid_event", "only the speech of a reply can be cut short", "item_id")
        if heard > entry.made_samples + TRUNCATE_SLACK_SAMPLES:
            made_ms = ms_of_samples(entry.made_samples)
            raise Refusal("invalid_event", f"the reply has {made_ms} ms of speech", "audio_end_ms")
        if self._reply is not None and self._reply.entry.id == entry.id:
            if not self._reply.done:
                self._interrupt("client_cancelled")
            self._reply.change(heard_samples=heard)
        self.conversation.change(entry.id, heard_samples=heard)
        if self._reply is not None:
            self._read()
        self._outbox.put(ItemTruncated(item_id=entry.id, audio_end_ms=event.audio_end_ms))

    @_do.register
    def _(self, event: ItemDelete) -> None:
        self.conversation.remove(self._found(event.item_id).id)
        self._outbox.put(ItemDeleted(item_id=event.item_id))

    @_do.register
    def _(self, event: ItemRetrieve) -> None:
        self._outbox.put(ItemRetrieved(item=self._found(event.item_id).as_item()))

    @_do.register
    def _(self, event: ResponseCreate) -> None:
        options = event.response or ResponseOptions()
        if self._listening.hearing and options.input is None:
            if self._wanted is not None:
                raise Refusal("response_active", "a reply is waiting for the turn to become words already")
            self._wanted = options
        else:
            self._answer(options)

    @_do.register
    def _(self, event: ResponseCancel) -> None:
        live = self._reply is not None and not self._reply.done
        if live and event.response_id in (None, self._reply.id):
            self._interrupt("client_cancelled")
        elif self._wanted is not None and event.response_id is None:
            self._wanted = None
        else:
            raise Refusal("no_active_response", "no such reply is being made", "response_id" if live else None)

    def _found(self, item_id: str) -> Entry:
        entry = self.conversation.find(item_id)
        if entry is None:
            raise Refusal("item_not_found", f"there is no item {item_id}", "item_id")
        return entry

    # --- turns ------------------------------------------------------------------------------------------------------

    def _on_speech(self) -> None:
        """The person speaks: whoever is interrupted falls silent, and nobody answers half a question."""
        detection = self.config.audio.input.turn_detection
        if detection is not None and detection.interrupt_response:
            self._interrupt("turn_detected")

    def _on_words(self, found: bool) -> None:
        """A turn has become words: answer, where somebody waits for it."""
        if self._listening.hearing:
            return
        wanted, self._wanted = self._wanted, None
        detection = self.config.audio.input.turn_detection
        unasked = found and detection is not None and detection.create_response and not self._listening.speaking
        try:
            if wanted is not None:
                self._answer(wanted)
            elif unasked and self.conversation.turns():
                self._answer(ResponseOptions())
        except Refusal as refusal:
            self.refuse(refusal)

    # --- replies ----------------------------------------------------------------------------------------------------

    def _answer(self, options: ResponseOptions) -> None:
        """Begin a reply.

        Raises:
            Refusal: one is being made, there is nothing to answer, or there is no place.
        """
        if self._reply is not None and not self._reply.done:
            raise Refusal("response_active", "a reply is being made; cancel it first")
        instructions = self.config.instructions if options.instructions is None else options.instructions
        turns = self._turns(options, instructions)
        wait_s = self._replies.wait_s()
        if wait_s:
            raise Refusal("rate_limited", "too many replies a minute", retry_after=int(wait_s) + 1)
        config = self.config
        most = options.max_output_tokens or config.max_output_tokens
        n_tokens = MOST_TOKENS if most == "inf" else min(most, MOST_TOKENS)
        modalities = options.output_modalities or config.output_modalities
        how = ReplyOptions(
            emotion=None if config.exomni.emotion is None else emotion_vector(config.exomni.emotion),
            seed=config.exomni.seed,
            speed=options.audio.output.speed or config.audio.output.speed,
            max_tokens=n_tokens,
        )
        backend = self._hub.backend
        make = backend.reply if modalities == ("audio",) else backend.write
        joined = options.conversation == "auto"
        response = Response(
            id=new_id("resp"), status="in_progress", output_modalities=modalities, max_output_tokens=most,
            conversation_id=self._conversation_id if joined else None, metadata=options.metadata,
        )  # fmt: skip
        self._read_no_more()  # it has the memory that the reply goes on from
        self._job = self._hub.begin(
            lambda: make(turns, how), self._on_piece, lambda e: self._on_end(e, n_tokens), heard_live=True
        )
        last = self.conversation.entries[-1].id if joined and self.conversation.entries else None
        self._reply = Replying(self._outbox, response, config.exomni.face_encoding, self._hub.clock, last)
        if joined:
            self._instructions = instructions
            self.conversation.add(self._reply.entry)
        self._reply.begin()
        log("reply begins", session=self._id, reply=response.id, turns=len(turns), **self._content(turns[-1].text))

    def _turns(self, options: ResponseOptions, instructions: str) -> list[Said]:
        if options.input is None:
            turns = self.conversation.turns(instructions)
        else:
            made = [entry_of(item, self._hub.config.limits.turn_s) for item in options.input]
            if any(spoken is not None for _, spoken in made):
                raise Refusal("unsupported", "audio belongs into the conversation first", "response.input")
            turns = turns_of([entry for entry, _ in made], instructions)
        if not turns:
            raise Refusal("nothing_to_answer", "the conversation does not end with something that the user said")
        return turns

    def _on_piece(self, piece: object) -> None:
        reply = self._reply
        first = isinstance(piece, SpeechEvent) and not reply.samples
        reply.add(piece)
        self._keep()
        if first:
            self._hub.metrics.first_audio_s.observe(self._hub.clock() - reply.began_at)
        if isinstance(piece, SpeechEvent):
            self._hub.metrics.speech_s.inc(len(piece.samples) / piece.sample_rate)
        if self._outbox.n_bytes > self._hub.config.limits.outbox_bytes:
            self._hub.scheduler.pause(self._job, True)

    def _on_end(self, error: Exception | None, most_pieces: int) -> None:
        """A reply has ended by itself."""
        reply = self._reply
        # What has words and no sound, such as another script, is whole all the same.
        unspeakable = isinstance(error, InputError) and reply.entry.text.strip()
        if error is not None and not unspeakable:
            log("reply failed", level=40, error=error, session=self._id, reply=reply.id)
            self.refuse(Refusal("server_error", "the reply failed; it is logged"))
            self._end("failed", code="server_error")
        elif reply.n_pieces >= most_pieces:
            self._end("incomplete", "max_output_tokens")
        else:
            self._end("completed")

    def _read(self) -> None:
        """Have the model read the reply that the conversation ends with, as far as it was heard, in good time."""
        turns = said_in(self.conversation.entries, self._instructions)
        if self._reading is not None and turns == self._read_turns:
            return
        self._read_no_more()
        if self._hub.draining or not self._reply.done or len(turns) < 2 or turns[-1].role != "assistant":
            return
        self._read_turns = turns
        backend = self._hub.backend

        def end(error: Exception | None) -> None:
            if error is not None:
                log("reading a reply failed", level=40, error=error, session=self._id)

        self._reading = Job(lambda: backend.remember(turns), lambda _: None, end, can_wait=True)
        self._hub.scheduler.submit(self._reading)

    def _read_no_more(self) -> None:
        """What was to be read is not what the next reply goes on from, or that one is wanted now."""
        if self._reading is not None:
            self._hub.scheduler.cancel(self._reading)
            self._reading = None

    def _interrupt(self, reason: str) -> None:
        """Stop the reply that is being made or can still be heard; what was not heard was not said."""
        self._wanted = None
        reply = self._reply
        if reply is None or (reply.done and reply.entry.heard_samples is not None):
            return
        heard = reply.playing_sample()
        if not reply.done:
            self._hub.cancel(self._job)
        self._outbox.drop(reply.id)
        if heard is not None:
            reply.change(heard_samples=heard)
            self._keep()
            if self.conversation.find(reply.entry.id):
                self._outbox.put(ItemTruncated(item_id=reply.entry.id, audio_end_ms=ms_of_samples(heard)))
        if not reply.done:
            self._end("cancelled", reason)
        else:
            self._read()

    def _end(self, status: str, reason: str | None = None, code: str | None = None) -> None:
        reply = self._reply
        reply.end(status, reason, code)
        self._keep()
        self._job = None
        self._hub.kept.add(reply.id, reply.frames, reply.samples, reply.entry.text, reply.entry.words)
        reply.frames, reply.samples = [], []
        self._hub.metrics.replies.labels(status).inc()
        self._read()
        length_s = round(reply.entry.made_samples / SAMPLE_HZ, 2)
        took_s = round(self._hub.clock() - reply.began_at, 3)
        log("reply ends", session=self._id, reply=reply.id, status=status, reason=reason, speech_s=length_s,
            took_s=took_s, **self._content(reply.entry.heard_text))  # fmt: skip

    def _keep(self) -> None:
        """The conversation's item is the reply's."""
        entry = self._reply.entry
        self.conversation.change(entry.id, **{k: v for k, v in vars(entry).items() if k != "id"})

    def _content(self, text: str) -> dict[str, str]:
        return {"text": text} if self._hub.config.log_content else {}

    def _state(self) -> SessionState:
        return SessionState(id=self._id, expires_at=self._expires_at, **dict(self.config))
