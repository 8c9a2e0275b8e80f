"""One model, many people: replies are made a piece at a time, in turns."""

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from ..core.events import SpeechEvent

QUANTUM_S = 0.05
"""A turn lasts as long, or one piece where that takes longer."""
LEAD_S = 1.0
"""A reply whose client has speech for longer than this waits while others have less."""
AHEAD_S = 3.0
IDLE_RATIO = 1.0
"""While every client has speech for longer than `AHEAD_S` and the longest that a piece of speech has taken together,
the thread is idle for `IDLE_RATIO` times as long as its turn was: a browser on the same computer draws the face
meanwhile, and a user who interrupts has had less made in vain."""
USUAL_REPLY_S = 4.0
"""What a reply takes until one has been timed."""


class Job:
    """Something that is being made, a piece at a time.

    Args:
        make: gives the pieces; called, and advanced, on the model's thread.
        on_piece: told each piece, on the event loop.
        on_end: told once that it has ended and of the error that ended it, on the event loop; not after `cancel`.
        is_live: whether the speech is played as it comes; else all of it is wanted as soon as can be.
        can_wait: whether it is done only while no other job needs the thread.
    """

    def __init__(
        self, make: Callable[[], Iterator[Any]], on_piece: Callable[[Any], None],
        on_end: Callable[[Exception | None], None], is_live: bool = False, can_wait: bool = False,
    ) -> None:  # fmt: skip
        self.make, self.on_piece, self.on_end = make, on_piece, on_end
        self.is_live, self.can_wait = is_live, can_wait
        self.cancelled = self.paused = False
        self.made_s = self.slowest_s = self.waits_since = 0.0
        self.first_speech_at: float | None = None
        self.began_at: float | None = None
        self.pieces: Iterator[Any] | None = None

    def lead_s(self, now: float) -> float:
        """Seconds of speech that the client has not played yet, if it plays since the first came."""
        if self.can_wait:
            return math.inf
        return 0.0 if self.first_speech_at is None else self.made_s - (now - self.first_speech_at)


class Scheduler:
    """The model's thread: every job gets a turn, and one whose client has played all that was made comes first."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._jobs: deque[Job] = deque()
        self._changed = threading.Condition()
        self._stopping = self._hurrying = False
        self._idled_s = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)
        self.usual_reply_s = USUAL_REPLY_S

    def start(self) -> None:
        """Begin; called on the event loop that is told of the pieces."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Let a job take part."""
        with self._changed:
            self._jobs.append(job)
            self._changed.notify()

    def cancel(self, job: Job) -> None:
        """End a job; nothing more is told of it, and its work stops after the piece that is being made."""
        with self._changed:
            job.cancelled = True
            self._changed.notify()

    def pause(self, job: Job, paused: bool) -> None:
        """Let a job wait, or go on."""
        with self._changed:
            if job.paused and not paused:
                job.waits_since = self._clock() - self._idled_s
            job.paused = paused
            self._changed.notify()

    def retry_after_s(self) -> int:
        """Whole seconds until a place is likely free."""
        return max(1, min(60, round(self.usual_reply_s)))

    def hurry(self) -> None:
        """Be idle no more: what is being made is to end soon."""
        with self._changed:
            self._hurrying = True
            self._changed.notify()

    def stop(self) -> None:
        """End all jobs and the thread, after the piece that is being made."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._stopping and not any(j.cancelled or not j.paused for j in self._jobs):
                    self._changed.wait()
                if self._stopping:
                    waiting, self._jobs = list(self._jobs), deque()
                    break
                job = self._next()
            began = self._clock()
            goes_on = self._advance(job)
            with self._changed:
                if goes_on:
                    self._jobs.append(job)
                self._idle(IDLE_RATIO * (self._clock() - began))
        for job in waiting:
            _close(job)

    def _next(self) -> Job:
        """Take the next job out of the row: a cancelled one, else the first that is hungry, else the first."""
        now = self._clock()
        able = [job for job in self._jobs if job.cancelled or not job.paused]
        chosen = next((j for j in able if j.cancelled), None) or next(
            (j for j in able if j.lead_s(now) <= LEAD_S), able[0]
        )
        self._jobs.remove(chosen)
        return chosen

    def _idle(self, seconds: float) -> None:
        """Leave the cores to others for a while, or until something is new, if no client may run out of speech."""
        now = self._clock()
        at_work = [job for job in self._jobs if job.cancelled or not job.paused]
        if self._stopping or self._hurrying or any(job.cancelled or not job.is_live for job in at_work):
            return
        spare_s = min((job.lead_s(now) - job.slowest_s - AHEAD_S for job in at_work), default=0.0)
        if spare_s > 0:
            self._changed.wait(min(seconds, spare_s))
            self._idled_s += self._clock() - now

    def _advance(self, job: Job) -> bool:
        """Make pieces for one turn; whether more are to come."""
        began = self._clock()
        if job.began_at is None:
            job.began_at, job.waits_since = began, began - self._idled_s
        try:
            if job.pieces is None:
                job.pieces = iter(()) if job.cancelled else iter(job.make())
            while not job.cancelled:
                piece = next(job.pieces)
                self._count(job, piece)
                self._tell(job, job.on_piece, piece)
                if job.paused or self._clock() - began >= QUANTUM_S:
                    return True
        except StopIteration:
            if job.made_s:
                self.usual_reply_s += 0.2 * (self._clock() - job.began_at - self.usual_reply_s)
            self._tell(job, job.on_end, None)
        except Exception as error:  # whatever a model raises ends this reply, and no other
            self._tell(job, job.on_end, error)
        _close(job)
        return False

    def _count(self, job: Job, piece: object) -> None:
        if isinstance(piece, SpeechEvent):
            now = self._clock()
            if job.first_speech_at is None:
                job.first_speech_at = now
            job.made_s += len(piece.samples) / piece.sample_rate
            # Idle time is taken off: it is not what the next piece must wait for.
            job.slowest_s = max(job.slowest_s, now - self._idled_s - job.waits_since)
            job.waits_since = now - self._idled_s

    def _tell(self, job: Job, callback: Callable[[Any], None], news: object) -> None:
        assert self._loop is not None, "jobs are made once the schedule has begun"
        with suppress(RuntimeError):  # the loop has closed: there is no one to tell
            self._loop.call_soon_threadsafe(lambda: None if job.cancelled else callback(news))


def _close(job: Job) -> None:
    """Stop a job's work where it is."""
    close = getattr(job.pieces, "close", None)
    if close is not None:
        close()
    job.pieces = None
