"""Clocks that a live face follows: the audio's where something plays it, else the wall clock."""

import threading
import time
from typing import Protocol

LONGEST_NAP_S = 0.25
"""A sleeper looks at the clock at least this often, so that a clock that stands or jumps is noticed."""


class Clock(Protocol):
    """A position in the performance."""

    def position_s(self) -> float:
        """Seconds of the performance that have been played; may stand still, never runs backwards."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait about so long in the clock's own time."""
        time.sleep(max(0.0, seconds))


class WallClock(Clock):
    """Real time from the first look."""

    def __init__(self) -> None:
        """Not yet running."""
        self._start_s: float | None = None

    def position_s(self) -> float:
        """Seconds since the first call."""
        now_s = time.monotonic()
        if self._start_s is None:
            self._start_s = now_s
        return now_s - self._start_s


class SampleClock(Clock):
    """The time of audio that is played elsewhere, told in samples: exact, however far that crystal is off ours.

    Between tellings it runs on with the wall clock, by no more than the samples that it was told are playing.
    """

    def __init__(self, sample_hz: int) -> None:
        """At zero.

        Args:
            sample_hz: samples a second of the audio.
        """
        self._sample_hz = sample_hz
        self._lock = threading.Lock()
        self._played, self._playing, self._told_s = 0, 0, time.monotonic()

    def played(self, n_samples: int) -> None:
        """Tell that the next `n_samples` have begun to play, and that all before them are over."""
        with self._lock:
            self._played += self._playing
            self._playing, self._told_s = n_samples, time.monotonic()

    def position_s(self) -> float:
        """Seconds of the audio that have been played."""
        with self._lock:
            since = (time.monotonic() - self._told_s) * self._sample_hz
            return (self._played + min(max(since, 0.0), self._playing)) / self._sample_hz
