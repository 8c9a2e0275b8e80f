"""What a stream yields: typed events, keyed to sample positions of the reply and not to wall time."""

from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from .timebase import FRAME_HZ, SAMPLE_HZ


@dataclass(frozen=True)
class TextEvent:
    """Text that was just written.

    Attributes:
        text: the new characters; joined, the events' texts are the reply.
    """

    text: str


@dataclass(frozen=True)
class TranscriptEvent:
    """The transcript of a spoken turn, before the reply to it; for display.

    Attributes:
        text: the user's turn in words, typed parts included.
    """

    text: str


@dataclass(frozen=True)
class FaceEvent:
    """A piece of the face; it comes before the speech that it belongs to.

    Attributes:
        start_sample: position of the first frame in the reply's speech, at 24 kHz.
        start_frame: the same in frames.
        frames: blendshapes, float32 [n, 52] in 0..1, the project's ARKit order.
        fps: frames a second.
    """

    start_sample: int
    start_frame: int
    frames: np.ndarray
    fps: int = FRAME_HZ


@dataclass(frozen=True)
class SpeechEvent:
    """A piece of the speech.

    Attributes:
        start_sample: position of the first sample in the reply's speech.
        samples: float32 [n] in -1..1.
        units: the speech units that it was made from, int64 [n_units].
        text: the words that are spoken in the clause it belongs to.
        sample_rate: samples a second.
        phonemes: the clause in the voice's alphabet, one symbol a character ("" for a recording).
        ticks: how long each phoneme lasts, in ticks of 25 ms, int64 [1 + len(phonemes) + 1]: the first and the last
            are the silence at both ends (empty for a recording).
    """

    start_sample: int
    samples: np.ndarray
    units: np.ndarray
    text: str
    sample_rate: int = SAMPLE_HZ
    phonemes: str = ""
    ticks: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def start_s(self) -> Fraction:
        """Position in seconds, exactly."""
        return Fraction(self.start_sample, self.sample_rate)


@dataclass(frozen=True)
class DoneEvent:
    """The end of a reply.

    Attributes:
        n_samples: length of the speech.
        n_frames: length of the face.
        timings: seconds since the request, by name (see `exomni.pipeline.results.Timings`).
    """

    n_samples: int
    n_frames: int
    timings: dict[str, float]


Event = TranscriptEvent | TextEvent | FaceEvent | SpeechEvent | DoneEvent
