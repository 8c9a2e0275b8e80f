"""What a live sender sends: one face at a time."""

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from queue import SimpleQueue
from typing import Protocol

import numpy as np

from exomni.core import arkit
from exomni.core.events import Event, FaceEvent

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
    head: np.ndarray
    eyes: np.ndarray

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
    nothing = np.zeros(3), np.zeros((2, 3))
    for i, row in enumerate(track.frames.tolist()):
        head = nothing[0] if track.head is None else track.head[i]
        eyes = nothing[1] if track.eyes is None else track.eyes[i]
        yield LiveFrame(i, track.fps, dict(zip(track.names, row, strict=True)), head, eyes)


def frames_of_events(events: Iterable[object]) -> Iterator[LiveFrame]:
    """Every frame of a stream's face events, as they come; other events are passed over."""
    for event in events:
        if isinstance(event, FaceEvent):
            for i, row in enumerate(np.asarray(event.frames).tolist()):
                weights = dict(zip(arkit.NAMES, row, strict=True))
                index = event.start_frame + i
                yield LiveFrame(index, Fraction(event.fps), weights, np.zeros(3), np.zeros((2, 3)))


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
    """The face at rest."""
    return LiveFrame(index, fps, dict.fromkeys(arkit.NAMES, 0.0), np.zeros(3), np.zeros((2, 3)))
