"""Messages that wait to be sent to one client, in order; those of a reply that was stopped are taken out."""

import asyncio
from collections import deque
from dataclasses import dataclass

from .protocol.server import ServerEvent


@dataclass(frozen=True)
class Letter:
    """A message that waits.

    Attributes:
        text: as it goes over the wire.
        reply_id: the reply whose words, face or speech it holds, or None where it must arrive whatever happens.
        end_sample: for speech, how far into the reply it reaches.
    """

    text: str
    reply_id: str | None = None
    end_sample: int = 0


class Outbox:
    """Letters for one client.

    Attributes:
        n_bytes: that wait.
    """

    def __init__(self) -> None:
        self._letters: deque[Letter] = deque()
        self._filled = asyncio.Event()
        self.n_bytes = 0

    def put(self, event: ServerEvent, reply_id: str | None = None, end_sample: int = 0) -> None:
        """Add a message at the end."""
        letter = Letter(event.to_json(), reply_id, end_sample)
        self._letters.append(letter)
        self.n_bytes += len(letter.text)
        self._filled.set()

    def drop(self, reply_id: str) -> None:
        """Take out what waits of a reply."""
        self._letters = deque(letter for letter in self._letters if letter.reply_id != reply_id)
        self.n_bytes = sum(len(letter.text) for letter in self._letters)

    async def take(self) -> Letter:
        """The next message, as soon as there is one."""
        while not self._letters:
            self._filled.clear()
            await self._filled.wait()
        letter = self._letters.popleft()
        self.n_bytes -= len(letter.text)
        return letter

    def __len__(self) -> int:
        return len(self._letters)
