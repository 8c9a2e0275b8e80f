"""The one object that every reader makes and every writer takes: a face over time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np

from exomni.core import arkit
from exomni.core.errors import FormatError

MAX_FPS = 1000
"""No camera or engine runs a face faster; a larger rate is a mistake."""
NTSC = Fraction(1000, 1001)


def as_rate(value: Any) -> Fraction:
    """A frame rate as an exact fraction: 30 is 30, 29.97 is 30000/1001.

    Args:
        value: frames a second, a number or a string that `Fraction` reads, above 0, at most 1000.
    Raises:
        FormatError: it is no such rate.
    """
    try:
        number = float(Fraction(value)) if isinstance(value, str) else float(value)
        if isinstance(value, int | Fraction) or (isinstance(value, str) and "/" in value):
            rate = Fraction(value)
        elif abs(number - round(number)) < 1e-6:
            rate = Fraction(round(number))
        elif abs(number / NTSC - round(number / NTSC)) < 1e-3:
            rate = round(number / NTSC) * NTSC
        else:
            rate = Fraction(number).limit_denominator(1001)
    except (TypeError, ValueError, OverflowError, ZeroDivisionError):
        raise FormatError(f"'{value}' is not a frame rate") from None
    if not 0 < rate <= MAX_FPS:
        raise FormatError(f"a frame rate of {value} is not between 0 and {MAX_FPS}")
    return rate


@dataclass(frozen=True)
class Word:
    """One spoken word and when it sounds, in seconds from the first frame."""

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class FaceTrack:
    """A face over time, with the speech it belongs to. The arrays are checked, float32 and read-only.

    Attributes:
        names: K blendshape names, all different; ARKit's are in camelCase.
        fps: frames a second, exact.
        frames: [T, K], 1 is the whole shape; finite, not clamped.
        head: [T, 3] yaw, pitch, roll in radians, or None.
        eyes: [T, 2, 3] left and right eye; yaw, pitch, roll in radians, or None.
        audio: [N] mono samples in -1..1, or None.
        sample_hz: samples a second, given exactly when `audio` is.
        start_s: timecode of the first frame, in seconds since midnight.
        text: what is said, or None.
        words: the words of `text` with their times, or empty where they are not known.
    """

    names: tuple[str, ...]
    fps: Fraction
    frames: np.ndarray
    head: np.ndarray | None = None
    eyes: np.ndarray | None = None
    audio: np.ndarray | None = field(default=None, repr=False)
    sample_hz: int | None = None
    start_s: Fraction = Fraction(0)
    text: str | None = None
    words: tuple[Word, ...] = ()

    def __post_init__(self) -> None:
        """Bring every field to its type; raises FormatError where one is not what the attributes above promise."""
        put = object.__setattr__
        put(self, "names", _names(self.names))
        put(self, "fps", as_rate(self.fps))
        put(self, "start_s", Fraction(self.start_s))
        put(self, "words", tuple(self.words))
        n_frames = len(self.frames)
        if n_frames == 0:
            raise FormatError("there is not a single frame")
        put(self, "frames", numbers("frames", self.frames, (n_frames, len(self.names)), self.names))
        if self.head is not None:
            put(self, "head", numbers("head rotation", self.head, (n_frames, 3)))
        if self.eyes is not None:
            put(self, "eyes", numbers("eye rotation", self.eyes, (n_frames, 2, 3)))
        if (self.audio is None) != (self.sample_hz is None):
            raise FormatError("audio and its sample rate come together or not at all")
        if self.audio is not None and self.sample_hz is not None:
            if self.sample_hz <= 0:
                raise FormatError(f"a sample rate of {self.sample_hz} is not above 0")
            put(self, "audio", numbers("audio", self.audio, (len(self.audio),)))

    @property
    def n_frames(self) -> int:
        """Number of frames, T."""
        return len(self.frames)

    @property
    def duration_s(self) -> Fraction:
        """Seconds from the first frame's start to the last frame's end, exact."""
        return self.n_frames / self.fps

    @property
    def audio_s(self) -> float | None:
        """Length of the audio in seconds; None without any."""
        return None if self.audio is None or self.sample_hz is None else len(self.audio) / self.sample_hz

    @property
    def times_s(self) -> np.ndarray:
        """Start of each frame in seconds from the first, float64 [T]."""
        return np.arange(self.n_frames) * (self.fps.denominator / self.fps.numerator)

    def column(self, name: str) -> np.ndarray:
        """One shape over time, float32 [T]; zeros where the track does not have it."""
        return self.select([name])[:, 0]

    def select(self, names: Sequence[str]) -> np.ndarray:
        """Shapes in the asked order, float32 [T, len(names)]; zeros where the track does not have one."""
        where = {name: i for i, name in enumerate(self.names)}
        out = np.zeros((self.n_frames, len(names)), np.float32)
        for i, name in enumerate(names):
            if name in where:
                out[:, i] = self.frames[:, where[name]]
        return out

    def arkit(self) -> np.ndarray:
        """The 52 in the project's order, float32 [T, 52]."""
        return self.select(arkit.NAMES)

    def replace(self, **changes: Any) -> "FaceTrack":
        """A copy with other values for the named fields, checked again."""
        return replace(self, **changes)


def audio_mismatch(track: FaceTrack) -> Iterator[str]:
    """Says by how much the audio is longer or shorter than the animation, where that is more than a frame."""
    apart_s = 0.0 if track.audio_s is None else track.audio_s - float(track.duration_s)
    if abs(apart_s) > 1 / track.fps:
        yield f"the audio is {abs(apart_s):.3f} s {'longer' if apart_s > 0 else 'shorter'} than the animation"


def _names(names: Sequence[str]) -> tuple[str, ...]:
    names = tuple(names)
    if not names:
        raise FormatError("there is not a single blendshape name")
    wrong = [n for n in names if not isinstance(n, str) or not n.strip()]
    if wrong:
        raise FormatError(f"not a blendshape name: {wrong[0]!r}")
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise FormatError(f"blendshape names come twice: {', '.join(twice)}")
    return names


def numbers(what: str, values: Any, shape: tuple[int, ...], columns: Sequence[str] | None = None) -> np.ndarray:
    """`values` as a read-only float32 array of just that shape without NaN and infinities.

    Args:
        what: they are, for the message.
        values: anything that is nearly such an array.
        shape: that it must have.
        columns: names of its second axis, for the message.
    Raises:
        FormatError: it is no such array; the message has the place.
    """
    try:
        array = np.array(values, np.float32)
    except (TypeError, ValueError):
        raise FormatError(f"{what}: not an array of numbers, or rows of different length") from None
    if array.shape != shape:
        raise FormatError(f"{what}: shape {list(array.shape)} where {list(shape)} was expected")
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        place = f"index {bad[0][0]}" if columns is None else f"frame {bad[0][0]}, {columns[bad[0][1]]}"
        raise FormatError(f"{what}: {array[tuple(bad[0])]} at {place} ({len(bad)} such values)")
    array.setflags(write=False)
    return array
