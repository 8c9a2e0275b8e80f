"""What was said: the items of a conversation, and how much of each reply was heard."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ..core.timebase import SAMPLE_HZ
from .backend import Said
from .protocol.items import Content, Item
from .protocol.server import SpokenWord


@dataclass(frozen=True)
class Entry:
    """An item as the server keeps it.

    Attributes:
        id: of the item.
        role: "user", "assistant" or "system".
        kind: of its one part, such as "input_audio".
        text: what it says; for a reply, what was written.
        words: of a spoken reply with their times, as far as it was made.
        made_samples: length of a spoken reply so far.
        heard_samples: what was heard of it, or None for all.
        status: as in `Item`.
    """

    id: str
    role: str
    kind: str
    text: str = ""
    words: tuple[SpokenWord, ...] = ()
    made_samples: int = 0
    heard_samples: int | None = None
    status: str = "completed"

    @property
    def heard_text(self) -> str:
        """What was heard of it: a word counts once its middle has been."""
        if self.heard_samples is None:
            return self.text
        return " ".join(w.text for w in self.words if (w.start_sample + w.end_sample) / 2 < self.heard_samples)

    def as_item(self) -> Item:
        """The item as it goes over the wire."""
        spoken = self.kind in ("input_audio", "output_audio")
        words = {"transcript": self.heard_text} if spoken else {"text": self.heard_text}
        return Item(role=self.role, id=self.id, status=self.status, content=(Content(type=self.kind, **words),))


@dataclass
class Conversation:
    """The items in order; where there are too many, the older half is forgotten.

    One item a turn would change the beginning every time, and with it all that the LLM has read of the conversation.

    Attributes:
        most: items that are remembered; at least 2.
        entries: the items.
    """

    most: int
    entries: list[Entry] = field(default_factory=list)

    def find(self, item_id: str) -> Entry | None:
        """The item of that id."""
        return next((entry for entry in self.entries if entry.id == item_id), None)

    def before(self, item_id: str) -> str | None:
        """Id of the item before another."""
        ids = [entry.id for entry in self.entries]
        place = ids.index(item_id) if item_id in ids else len(ids)
        return ids[place - 1] if place else None

    def add(self, entry: Entry, after: str | None = None) -> str | None:
        """Put an item after another ("root": first; None: last), and return the id of the one before it."""
        place = len(self.entries)
        if after == "root":
            place = 0
        elif after is not None:
            place = [e.id for e in self.entries].index(after) + 1
        if len(self.entries) >= self.most:
            n_forgotten = len(self.entries) - self.most // 2
            del self.entries[:n_forgotten]
            place = max(0, place - n_forgotten)
        self.entries.insert(place, entry)
        return self.before(entry.id)

    def change(self, item_id: str, **changes: object) -> Entry | None:
        """Replace fields of an item; None where it was forgotten."""
        for i, entry in enumerate(self.entries):
            if entry.id == item_id:
                self.entries[i] = replace(entry, **changes)
                return self.entries[i]
        return None

    def remove(self, item_id: str) -> None:
        """Forget an item."""
        self.entries = [entry for entry in self.entries if entry.id != item_id]

    def turns(self, instructions: str = "") -> list[Said]:
        """The conversation as the model reads it; see `turns_of`."""
        return turns_of(self.entries, instructions)


def turns_of(entries: Sequence[Entry], instructions: str = "") -> list[Said]:
    """Turns that end with the user's; empty where there is nothing to answer. See `said_in`."""
    turns = said_in(entries, instructions)
    return turns if turns and turns[-1].role == "user" else []


def said_in(entries: Sequence[Entry], instructions: str = "") -> list[Said]:
    """Turns as the model reads them.

    The LLM knows no system turns: instructions stand before what the user says next. What the user says several
    times in a row is one turn.
    """
    turns: list[Said] = []
    waiting = [instructions.strip()] if instructions.strip() else []
    for entry in entries:
        text = entry.heard_text.strip()
        if not text:
            continue
        if entry.role == "system":
            waiting.append(text)
        elif entry.role == "user":
            text, waiting = "\n\n".join([*waiting, text]), []
            if turns and turns[-1].role == "user":
                text = f"{turns.pop().text}\n{text}"
            turns.append(Said("user", text))
        elif turns and turns[-1].role == "assistant":
            turns.append(Said("assistant", f"{turns.pop().text} {text}"))
        else:
            turns.append(Said("assistant", text))
    return turns


def samples_of_ms(duration_ms: int) -> int:
    """Samples at 24 kHz of so many milliseconds."""
    return duration_ms * SAMPLE_HZ // 1000


def ms_of_samples(n_samples: int) -> int:
    """Whole milliseconds of so many samples at 24 kHz."""
    return n_samples * 1000 // SAMPLE_HZ
