"""What all sessions and requests share: the model and its schedule, the places, the counts, the latest replies."""

import asyncio
import os
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from ..core.errors import InputError
from .backend import Backend
from .config import ServerConfig
from .downloads import KeptReplies
from .refusals import Refusal, busy
from .scheduler import Job, Scheduler
from .telemetry import Metrics, log

if TYPE_CHECKING:
    from .http_connection import HttpConnection
    from .realtime import Connection

Piece = TypeVar("Piece")
MOST_WAITING_PIECES = 64
"""Pieces that wait for a request's connection before its reply waits too."""
EXPORT_NICENESS = 10
"""Of the thread that writes downloads, so that it takes no time from replies."""


class Hub:
    """One server's shared state. Everything but the two pools' work happens on the event loop.

    Attributes:
        sessions: whoever must be told when the server stops.
        connections: of HTTP; a session's is no longer one of them.
        upload_bytes: of the bodies of requests that are being read or answered.
        detectors: where audio is resampled and searched for speech, off the event loop.
        exporters: where downloads are written.
    """

    def __init__(self, config: ServerConfig, backend: Backend, clock: Callable[[], float] = time.monotonic) -> None:
        self.config, self.backend, self.clock = config, backend, clock
        self.scheduler = Scheduler(clock)
        self.metrics = Metrics()
        self.kept = KeptReplies(config.limits.kept_bytes)
        self.sessions: set[Connection] = set()
        self.connections: set[HttpConnection] = set()
        self.draining = False
        self.exporting = self.upload_bytes = 0
        self.detectors = ThreadPoolExecutor(1, "detectors")
        self.exporters = ThreadPoolExecutor(1, "export", initializer=_be_nice)
        self._places: set[Job] = set()

    @property
    def n_replies(self) -> int:
        """How many replies are being made."""
        return len(self._places)

    def begin(
        self, make: Callable[[], Iterator[Any]], on_piece: Callable[[Any], None],
        on_end: Callable[[Exception | None], None], is_live: bool = False,
    ) -> Job:  # fmt: skip
        """Have a reply made, as in `Job`.

        Raises:
            Refusal: too many are being made, or the server is about to stop.
        """
        if self.draining:
            raise Refusal("shutting_down", "the server is about to stop")
        if len(self._places) >= self.config.limits.replies:
            self.metrics.refused.labels("server_busy").inc()
            raise busy(self.scheduler.retry_after_s())

        def ended(error: Exception | None) -> None:
            self._leave(job)
            on_end(error)

        job = Job(make, on_piece, ended, is_live)
        self._places.add(job)
        self.metrics.replying.set(len(self._places))
        self.scheduler.submit(job)
        return job

    def cancel(self, job: Job) -> None:
        """Stop a reply; nothing more is told of it."""
        self.scheduler.cancel(job)
        self._leave(job)

    async def pieces(self, make: Callable[[], Iterator[Piece]]) -> AsyncGenerator[Piece, None]:
        """What a reply is made of, for a request; who closes the generator stops the work.

        Raises:
            Refusal: as `begin`, or the model refuses what it was given.
        """
        waiting: asyncio.Queue[Any] = asyncio.Queue()

        def put(news: object) -> None:
            waiting.put_nowait(news)
            if waiting.qsize() > MOST_WAITING_PIECES:
                self.scheduler.pause(job, True)

        job = self.begin(make, put, lambda error: waiting.put_nowait(error or StopAsyncIteration()))
        try:
            while not isinstance(piece := await waiting.get(), Exception):
                yield piece
                if job.paused and waiting.qsize() < MOST_WAITING_PIECES // 2:
                    self.scheduler.pause(job, False)
        finally:
            self.cancel(job)
        if isinstance(piece, InputError):
            raise Refusal("nothing_to_answer", str(piece))
        if not isinstance(piece, StopAsyncIteration):
            raise piece

    async def drain(self) -> None:
        """Refuse new sessions and replies, let replies finish for `grace_s`, then close all sessions."""
        if self.draining:
            return
        self.draining = True
        self.scheduler.hurry()
        log("draining", replies=len(self._places), sessions=len(self.sessions))
        ends_at = time.monotonic() + self.config.grace_s
        while self._places and time.monotonic() < ends_at:
            await asyncio.sleep(0.05)
        for session in list(self.sessions):
            session.close(1001, Refusal("shutting_down", "the server stops"))
        for _ in range(100):
            if not self.sessions:
                break
            await asyncio.sleep(0.02)

    def stop(self) -> None:
        """End the model's thread and the pools."""
        self.scheduler.stop()
        self.detectors.shutdown(wait=False, cancel_futures=True)
        self.exporters.shutdown(wait=False, cancel_futures=True)

    def _leave(self, job: Job) -> None:
        self._places.discard(job)
        self.metrics.replying.set(len(self._places))


def _be_nice() -> None:
    with suppress(OSError, AttributeError):  # on Linux the niceness of a thread is its own
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), EXPORT_NICENESS)


class Bucket:
    """How fast a client may go: it fills by `per_s` a second up to its `size`, and is emptied by what is taken."""

    def __init__(self, per_s: float, size: float, clock: Callable[[], float]) -> None:
        self._per_s, self._size, self._clock = per_s, size, clock
        self._level, self._at = size, clock()

    def spend(self, amount: float) -> float:
        """Take so much, even where it is not there; returns the seconds until the debt is paid."""
        self._fill()
        self._level -= amount
        return max(0.0, -self._level / self._per_s)

    def wait_s(self, amount: float = 1.0) -> float:
        """Seconds until so much is there; 0 takes it."""
        self._fill()
        if self._level >= amount:
            self._level -= amount
            return 0.0
        return (amount - self._level) / self._per_s

    def _fill(self) -> None:
        now = self._clock()
        self._level = min(self._size, self._level + (now - self._at) * self._per_s)
        self._at = now
