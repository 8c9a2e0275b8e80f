"""Single frames of a face, made from tracks or from stream events, and the protocol of their senders."""

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from queue import SimpleQueue
from typing import Protocol

import numpy as np

from ...core import arkit
from ...core.events import Event, FaceEvent
from ..track import FaceTrack


@dataclass(frozen=True)
class LiveFrame:
    """One face and its moment.

    Attributes:
        index: of the frame in the performance.
        fps: frames a second.
        weights: shape by ARKit name.
        head: yaw, pitch, roll in radians.
        eyes: [2, 3] left and right eye; yaw, pitch, roll in radians.
    """

    index: int
    fps: Fraction
    weights: dict[str, float]
    head: np.ndarray = field(default_factory=lambda: np.zeros(3))
    eyes: np.ndarray = field(default_factory=lambda: np.zeros((2, 3)))

    @property
    def time_s(self) -> float:
        """When it is due, in seconds of the performance."""
        return float(self.index / self.fps)


class Sender(Protocol):
    """A way out of this machine."""

    def send(self, frame: LiveFrame) -> None:
        """Send one face.

        Raises:
            ServiceError: the other side is not there.
        """
        ...

    def close(self) -> None:
        """Let go of the network."""
        ...


def frames_of(track: FaceTrack) -> Iterator[LiveFrame]:
    """Every frame of a track."""
    head = np.zeros((track.n_frames, 3)) if track.head is None else track.head
    eyes = np.zeros((track.n_frames, 2, 3)) if track.eyes is None else track.eyes
    for i, row in enumerate(track.frames.tolist()):
        yield LiveFrame(i, track.fps, dict(zip(track.names, row, strict=True)), head[i], eyes[i])


def frames_of_events(events: Iterable[object]) -> Iterator[LiveFrame]:
    """Every frame of a stream's face events, as they come; other events are passed over."""
    for event in events:
        if isinstance(event, FaceEvent):
            for i, row in enumerate(np.asarray(event.frames).tolist()):
                weights = dict(zip(arkit.NAMES, row, strict=True))
                yield LiveFrame(event.start_frame + i, Fraction(event.fps), weights)


def ahead(events: Iterable[Event]) -> Iterator[Event]:
    """The same events, made by a thread of their own: the next is worked out while one is being shown.

    Raises:
        Exception: what the events raise.
    """
    made: SimpleQueue[tuple[Event | None, Exception | None]] = SimpleQueue()

    def make() -> None:
        try:
            for event in events:
                made.put((event, None))
            made.put((None, None))
        except Exception as error:  # told to whoever waits, whatever it is
            made.put((None, error))

    threading.Thread(target=make, daemon=True).start()
    while True:
        event, error = made.get()
        if error is not None:
            raise error
        if event is None:
            return
        yield event


def neutral(index: int, fps: Fraction) -> LiveFrame:
    """The neutral face."""
    return LiveFrame(index, fps, dict.fromkeys(arkit.NAMES, 0.0))
