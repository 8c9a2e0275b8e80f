"""The items of a conversation. Whatever adds, changes, shortens or announces one of them does so here."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..core.audio import resample
from ..core.timebase import ENCODER_SAMPLE_HZ, SAMPLE_HZ, exact_ratio
from ..core.turns import Turn
from .outbox import Outbox
from .protocol.items import Content, ContentKind, Item, ItemStatus, Role, new_id
from .protocol.server import ItemAdded, ItemDeleted, ItemTruncated, SpokenWord
from .refusals import Refusal
from .sound_files import decode_pcm16

SAMPLES_PER_MS = exact_ratio(SAMPLE_HZ, 1000)
_KINDS: dict[Role, tuple[ContentKind, ...]] = {
    "user": ("input_text", "input_audio"),
    "assistant": ("output_text", "output_audio"),
    "system": ("input_text",),
}


@dataclass
class ConversationItem:
    """An item as the server keeps it; `Conversation` changes it.

    Attributes:
        kind: of its one part.
        text: what it says; for a reply, all that was written.
        words: of a spoken reply with their times, as far as it was made.
        made_samples: length of a spoken reply so far.
        played_samples: how much of it was played before it was stopped, or None for all.
        previous_id: of the item before it when it was added, or None.
    """

    id: str
    role: Role
    kind: ContentKind
    text: str = ""
    words: tuple[SpokenWord, ...] = ()
    made_samples: int = 0
    played_samples: int | None = None
    status: ItemStatus = "completed"
    previous_id: str | None = None

    @property
    def played_text(self) -> str:
        """Its text, as far as it was played: a word counts once its middle has been."""
        if self.played_samples is None:
            return self.text
        return " ".join(w.text for w in self.words if (w.start_sample + w.end_sample) / 2 < self.played_samples)

    def as_wire(self, has_content: bool = True) -> Item:
        """The item as it goes over the wire; a reply that begins has no content yet."""
        text, spoken = self.played_text, self.kind in ("input_audio", "output_audio")
        content = Content(type=self.kind, transcript=text) if spoken else Content(type=self.kind, text=text)
        return Item(role=self.role, id=self.id, status=self.status, content=(content,) if has_content else ())


class Conversation:
    """The items in order; where there are too many, the older half is dropped.

    Dropping one item a turn would change the beginning every time, and with it all that the LLM's KV cache holds.

    Args:
        most: items that are kept; at least 2.
        outbox: of the client, who is told of every change.
    """

    def __init__(self, most: int, outbox: Outbox) -> None:
        self._most, self._outbox = most, outbox
        self.items: list[ConversationItem] = []

    def find(self, item_id: str) -> ConversationItem | None:
        """The item of that id."""
        return next((item for item in self.items if item.id == item_id), None)

    def get(self, item_id: str, param: str = "item_id") -> ConversationItem:
        """The item of that id; `param` is the client's field that names it.

        Raises:
            Refusal: there is none.
        """
        item = self.find(item_id)
        if item is None:
            raise Refusal("item_not_found", f"there is no item {item_id}", param)
        return item

    def add(self, item: ConversationItem, after: str | None = None) -> None:
        """Put an item after another ("root": first; None: last), and note which one is before it."""
        place = len(self.items)
        if after == "root":
            place = 0
        elif after is not None:
            place = [each.id for each in self.items].index(after) + 1
        if len(self.items) >= self._most:
            n_dropped = len(self.items) - self._most // 2
            del self.items[:n_dropped]
            place = max(0, place - n_dropped)
        self.items.insert(place, item)
        item.previous_id = self.items[place - 1].id if place else None

    def create(self, wire_item: Item, after: str | None, most_s: float) -> tuple[ConversationItem, np.ndarray | None]:
        """Add an item of a client's, as `item_of` reads it; one with audio is done once that has a transcript.

        Raises:
            Refusal: as `item_of`; there is an item of that id, or none to put it after.
        """
        if after not in (None, "root"):
            self.get(after, "previous_item_id")
        if wire_item.id is not None and self.find(wire_item.id):
            raise Refusal("item_exists", f"there is an item {wire_item.id} already", "item.id")
        item, samples = item_of(wire_item, most_s)
        self.add(item, after)
        self.announce_added(item)
        if samples is None:
            self.announce_done(item)
        return item, samples

    def announce_added(self, item: ConversationItem) -> None:
        """Tell the client that an item is in the conversation."""
        wire_item, before = item.as_wire(has_content=item.status != "in_progress"), item.previous_id
        self._outbox.put(ItemAdded(type="conversation.item.added", item=wire_item, previous_item_id=before))

    def announce_done(self, item: ConversationItem) -> None:
        """Tell the client that an item is whole."""
        ids = [each.id for each in self.items]
        before = item.previous_id
        if item.id in ids:
            place = ids.index(item.id)
            before = ids[place - 1] if place else None
        self._outbox.put(ItemAdded(type="conversation.item.done", item=item.as_wire(), previous_item_id=before))

    def append(
        self, item: ConversationItem, text: str = "", words: tuple[SpokenWord, ...] = (), end_sample: int = 0
    ) -> None:
        """A reply goes on by some text, or by words that were spoken up to a sample."""
        item.text += text
        item.words += words
        item.made_samples = max(item.made_samples, end_sample)

    def set_transcript(self, item: ConversationItem, transcript: str) -> None:
        """The words of an item's audio have come; they stand after the text that came with it."""
        item.text = "\n".join(filter(None, [item.text, transcript]))

    def truncate(self, item: ConversationItem, played_samples: int) -> None:
        """A reply was played only so far: what comes after was never said."""
        item.played_samples = played_samples
        if self.find(item.id) is item:
            self._outbox.put(ItemTruncated(item_id=item.id, audio_end_ms=played_samples // SAMPLES_PER_MS))

    def delete(self, item_id: str) -> None:
        """Drop an item; raises as `get`."""
        self.items.remove(self.get(item_id))
        self._outbox.put(ItemDeleted(item_id=item_id))


def item_of(wire_item: Item, most_s: float) -> tuple[ConversationItem, np.ndarray | None]:
    """An item of a client's as the server keeps it, and its audio that has no transcript yet, float32 [N] at 16 kHz.

    Raises:
        Refusal: parts that do not belong to its role or are empty, or audio that is longer than `most_s`.
    """
    if not wire_item.content:
        raise Refusal("invalid_event", "an item has at least one part", "item.content")
    texts: list[str] = []
    pieces: list[np.ndarray] = []
    for i, part in enumerate(wire_item.content):
        where, allowed = f"item.content.{i}", _KINDS[wire_item.role]
        if part.type not in allowed:
            message = f"{where}.type: {wire_item.role} says {' or '.join(allowed)}"
            raise Refusal("invalid_event", message, f"{where}.type")
        is_text = part.type.endswith("text")
        text = part.text if is_text else part.transcript
        if text is not None:
            texts.append(text)
        elif part.type == "input_audio" and part.audio is not None:
            pieces.append(decode_pcm16(part.audio, f"{where}.audio"))
            if not len(pieces[-1]):
                raise Refusal("invalid_audio", "the audio is empty", f"{where}.audio")
        else:
            missing = "text" if is_text else "audio" if wire_item.role == "user" else "transcript"
            raise Refusal("invalid_event", f"{where}.{missing} is missing", f"{where}.{missing}")
    if sum(map(len, pieces)) > most_s * SAMPLE_HZ:
        raise Refusal("audio_too_long", f"a turn lasts at most {most_s:g} s", "item.content")
    # Words that a client says were spoken have no times: such an item is text.
    kind = "output_text" if wire_item.role == "assistant" else "input_audio" if pieces else "input_text"
    item = ConversationItem(wire_item.id or new_id("item"), wire_item.role, kind, "\n".join(texts))
    return item, resample(np.concatenate(pieces), SAMPLE_HZ, ENCODER_SAMPLE_HZ) if pieces else None


def turns_to_answer(items: Sequence[ConversationItem], instructions: str = "") -> list[Turn]:
    """Turns that end with the user's; empty where there is nothing to answer. See `turns_of`."""
    turns = turns_of(items, instructions)
    return turns if turns and turns[-1].role == "user" else []


def turns_of(items: Sequence[ConversationItem], instructions: str = "") -> list[Turn]:
    """The conversation as the LLM reads it: items of one role that follow each other are one turn.

    The LLM knows no system turns: instructions stand before what the user says next.
    """
    turns: list[Turn] = []
    waiting = [instructions.strip()] if instructions.strip() else []
    for item in items:
        text = item.played_text.strip()
        if not text:
            continue
        if item.role == "system":
            waiting.append(text)
            continue
        if item.role == "user":
            text, waiting = "\n\n".join([*waiting, text]), []
        if turns and turns[-1].role == item.role:
            between = "\n" if item.role == "user" else " "
            text = f"{turns.pop().content}{between}{text}"
        turns.append(Turn(item.role, text))
    return turns
