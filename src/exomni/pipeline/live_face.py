"""A face for a voice while it speaks: the last seconds are decoded again and again, and the newest frames kept.

`animate` waits for the future that its windows want. Here each step looks no more than `LOOKAHEAD_UNITS` beyond the
frames that it gives, so a face is `LATENCY_S` behind the voice, plus what the step takes to compute; a step that comes
late takes more at once, and one that comes much too late leaves out what nobody would still want to see.
"""

from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np

from ..core.audio import resample_pieces
from ..core.events import FaceEvent
from ..core.timebase import ENCODER_SAMPLE_HZ, SAMPLES_PER_FRAME, UNIT_HZ, exact_ratio, units_to_frames
from ..face.eyes import EyeMovements
from ..parts.loading import Parts
from .speech_stream import with_eyes

SAMPLES_PER_UNIT = exact_ratio(ENCODER_SAMPLE_HZ, UNIT_HZ)
CONTEXT_UNITS = 20
"""What is read before the frames that a step gives: 1.6 s."""
LOOKAHEAD_UNITS = 3
"""What is read beyond them. The jaw then follows that of `animate` with a correlation of 0.98; two units: 0.95."""
HOP_UNITS = 2
"""A step waits until so much is new."""
LATENCY_S = float((HOP_UNITS + LOOKAHEAD_UNITS) / UNIT_HZ)
MAX_UNITS = 25
"""More than that is not caught up with: 2 s."""


class LiveFace:
    """Gives the face of a voice that comes in pieces.

    Args:
        parts: of the model.
        emotion: float32 [5] in 0..1, or None to leave it open.
        seed: of blinks and glances.
    """

    def __init__(self, parts: Parts, emotion: np.ndarray | None = None, seed: int = 0):
        self._tokenizer, self._face = parts.recording_tokenizer, parts.face_maker
        self._emotion, self._eyes = emotion, EyeMovements(seed)
        self._multiple = self._face.unit_multiple
        self._samples = np.zeros(0, np.float32)
        self._first_unit = self._next_unit = 0

    def add(self, samples: np.ndarray) -> FaceEvent | None:
        """Take the next samples, float32 [n] at 16 kHz; the face that is certain now, or None.

        Frames that are missing between two events were left out.
        """
        self._samples = np.concatenate([self._samples, samples])
        known = self._first_unit + len(self._samples) // SAMPLES_PER_UNIT
        stop = known - LOOKAHEAD_UNITS
        if stop - self._next_unit < HOP_UNITS:
            return None
        start = max(self._next_unit, stop - MAX_UNITS)
        self._forget(start - CONTEXT_UNITS)
        n_samples = (known - self._first_unit) * SAMPLES_PER_UNIT
        units = self._tokenizer.units(self._samples[:n_samples])
        frames = self._face.recording_frames(units, self._first_unit, self._emotion)
        self._next_unit = stop
        before, first = units_to_frames(self._first_unit), units_to_frames(start)
        kept = with_eyes(frames[first - before : units_to_frames(stop) - before], self._eyes)
        return FaceEvent(first * SAMPLES_PER_FRAME, first, kept)

    def _forget(self, unit: int) -> None:
        """Let go of what came before a unit, on a boundary that the decoder knows."""
        first = max(self._first_unit, unit // self._multiple * self._multiple)
        self._samples = self._samples[(first - self._first_unit) * SAMPLES_PER_UNIT :]
        self._first_unit = first


def live_faces(
    parts: Parts, pieces: Iterable[np.ndarray], sample_hz: int, emotion: np.ndarray | None = None
) -> Iterator[FaceEvent]:
    """The face of a voice that comes in pieces, as it comes.

    Args:
        parts: of the model.
        pieces: mono float32 [n] each, in -1..1.
        sample_hz: theirs.
        emotion: float32 [5] in 0..1, or None to leave it open.
    """
    face = LiveFace(parts, emotion)
    end = np.zeros(LOOKAHEAD_UNITS * SAMPLES_PER_UNIT, np.float32)
    for samples in chain(resample_pieces(pieces, sample_hz, ENCODER_SAMPLE_HZ), [end]):
        event = face.add(samples)
        if event is not None:
            yield event
