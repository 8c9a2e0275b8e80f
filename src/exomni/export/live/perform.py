"""Sends every frame at its moment of the clock, and the neutral face when it is over."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction

from exomni.core.errors import ServiceError
from exomni.core.timebase import FRAME_HZ

from .clock import LONGEST_NAP_S, Clock
from .frames import LiveFrame, Sender, neutral

N_NEUTRAL = 3
"""The last face is sent so often, because a packet may be lost."""


@dataclass(frozen=True)
class Performance:
    """How a performance went.

    Attributes:
        n_sent: frames that were sent.
        n_skipped: frames that were left out, because their successor was due already.
        latest_s: the furthest that a sent frame was behind its moment.
        drift_s: by how much the last sent frame was behind its moment.
    """

    n_sent: int
    n_skipped: int
    latest_s: float
    drift_s: float


def perform(
    frames: Iterable[LiveFrame],
    senders: Sequence[Sender],
    clock: Clock | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> Performance:
    """Send frames to all senders, each when the clock has come to it; end with the neutral face.

    The moment of a frame is counted from the beginning, so that nothing adds up; a frame whose successor is due
    is skipped, so that a slow network does not delay the face behind the voice. However it ends, by its last
    frame, `stopped`, an error or Ctrl-C, the neutral face is sent last. The clock is first looked at when the
    first frame is there.

    Args:
        frames: in order; may come slowly, as from a stream.
        senders: one at least.
        clock: where the performance is; without it each frame is due as it comes, from a sender that keeps time.
        stopped: asked before each frame; True ends it.
    Raises:
        ServiceError: the other side is not there.
    """
    n_sent, n_skipped, latest_s, late_s = 0, 0, 0.0, 0.0
    index, fps = -1, Fraction(FRAME_HZ)
    try:
        for frame in frames:
            index, fps = frame.index, frame.fps
            if clock is not None:
                if not _wait_for(frame.time_s, clock, stopped):
                    break
                late_s = clock.position_s() - frame.time_s
                if late_s >= 1 / frame.fps:
                    n_skipped += 1
                    continue
                latest_s = max(latest_s, late_s)
            for sender in senders:
                sender.send(frame)
            n_sent += 1
    finally:
        for sender in senders:
            with suppress(ServiceError):
                for _ in range(N_NEUTRAL):
                    sender.send(neutral(index + 1, fps))
    return Performance(n_sent, n_skipped, latest_s, late_s)


def _wait_for(time_s: float, clock: Clock, stopped: Callable[[], bool]) -> bool:
    """Sleep until the clock is at `time_s`; False if stopped before."""
    while not stopped():
        left_s = time_s - clock.position_s()
        if left_s <= 0:
            return True
        clock.sleep(min(left_s, LONGEST_NAP_S))
    return False
