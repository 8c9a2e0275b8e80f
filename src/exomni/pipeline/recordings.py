"""A recording on its way to a face: read, tokenized and decoded piece by piece, so that its length costs no memory."""

from collections import deque
from collections.abc import Iterator
from itertools import chain, tee
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..core.audio import PIECE_SECONDS, read_pieces, resample_pieces
from ..core.errors import InputError
from ..core.events import DoneEvent, Event, FaceEvent, SpeechEvent
from ..core.timebase import ENCODER_SAMPLE_HZ, SAMPLE_HZ, SAMPLES_PER_FRAME, samples_to_frames, units_to_frames
from ..face.eyes import EyeMovements
from ..parts.loading import Parts
from ..parts.ports import FaceMaker
from .speech_stream import Stopwatch, with_eyes

LOWEST_HZ, HIGHEST_HZ = 1_000, 1_000_000
"""Sample rates that a recording may have."""


def open_recording(recording: str | Path | np.ndarray, sample_rate: int | None) -> tuple[Iterator[np.ndarray], int]:
    """A recording as mono float32 [n] pieces, and their rate.

    Args:
        recording: a file in any common format, or floating-point [N] mono samples in -1..1.
        sample_rate: of the samples, where `recording` is an array.
    Raises:
        InputError: it cannot be read, is empty, or its samples make no sense.
    """
    if isinstance(recording, np.ndarray):
        return _checked_samples(recording, sample_rate)
    pieces = read_pieces(recording, SAMPLE_HZ)
    return chain([next(pieces)], pieces), SAMPLE_HZ  # the first is read at once: a wrong file is refused here


class Recording:
    """A recording that is read as it is needed; what was read waits here until its face is there.

    Args:
        recording: as `open_recording` takes it.
        sample_rate: of the samples, where `recording` is an array.
    Attributes:
        n_samples: read so far, at 24 kHz; all of them once `encoder_pieces` has ended.
        n_taken: how many of them have been taken.
    Raises:
        InputError: as `open_recording`.
    """

    def __init__(self, recording: str | Path | np.ndarray, sample_rate: int | None):
        self.n_samples = self.n_taken = 0
        self._pieces, self._sample_rate = open_recording(recording, sample_rate)
        self._waiting = np.zeros(0, np.float32)

    @property
    def n_frames(self) -> int:
        """Face frames of what has been read."""
        return max(1, samples_to_frames(self.n_samples))

    def encoder_pieces(self) -> Iterator[np.ndarray]:
        """The recording as the speech encoder reads it, float32 [n] pieces at 16 kHz."""
        to_keep, to_encode = tee(self._pieces)
        kept = resample_pieces(to_keep, self._sample_rate, SAMPLE_HZ)
        read = resample_pieces(to_encode, self._sample_rate, ENCODER_SAMPLE_HZ)
        for samples, piece in zip(kept, read, strict=True):
            self._waiting = np.concatenate([self._waiting, samples])
            self.n_samples += len(samples)
            yield piece

    def take(self, end_sample: int) -> np.ndarray:
        """The next samples before `end_sample`, float32 [n] at 24 kHz; they are not kept here any longer."""
        n = end_sample - self.n_taken
        taken, self._waiting = self._waiting[:n].copy(), self._waiting[n:]
        self.n_taken = end_sample
        return taken


def _checked_samples(samples: np.ndarray, sample_rate: int | None) -> tuple[Iterator[np.ndarray], int]:
    """An array as pieces, and its rate."""
    if not sample_rate or not LOWEST_HZ <= sample_rate <= HIGHEST_HZ:
        raise InputError(f"samples need their sample_rate, {LOWEST_HZ:,} to {HIGHEST_HZ:,}, not {sample_rate}")
    if samples.dtype.kind != "f":
        raise InputError(f"samples must be floating point in -1..1, not {samples.dtype}")
    if samples.ndim != 1 or not len(samples):
        raise InputError(f"samples must be mono, [N] and not empty; these are {samples.shape}")
    if not np.isfinite(samples).all():
        raise InputError("the samples hold values that are not finite")
    rate = int(sample_rate)
    size = PIECE_SECONDS * rate
    return (samples[i : i + size] for i in range(0, len(samples), size)), rate


class UnitWindow:
    """Decodes a recording's units in chunks that equal the whole, with as much context as the decoder reaches.

    Args:
        face: makes the frames.
        emotion: float32 [5] in 0..1, or None to leave it open.
    """

    CHUNK_UNITS = 50

    def __init__(self, face: FaceMaker, emotion: np.ndarray | None):
        self._face, self._emotion = face, emotion
        self._multiple, self._reach_units = face.unit_multiple, face.reach_units
        self.units: deque[int] = deque()
        self._first_unit = self._next_unit = 0

    def add(self, units: Tensor) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Take int64 [n] units; frames [T_frame, 52] that are certain now, each piece with its own units."""
        self.units.extend(units.tolist())
        while self._first_unit + len(self.units) >= self._next_unit + self.CHUNK_UNITS + self._reach_units:
            yield self._decode(self._next_unit + self.CHUNK_UNITS)

    def finish(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The remaining frames."""
        end = self._first_unit + len(self.units)
        while self._next_unit < end:
            yield self._decode(min(end, self._next_unit + self.CHUNK_UNITS))

    def _decode(self, stop: int) -> tuple[np.ndarray, np.ndarray]:
        known = torch.tensor(list(self.units)[: stop + self._reach_units - self._first_unit])
        frames = self._face.recording_frames(known, self._first_unit, self._emotion)
        before = units_to_frames(self._first_unit)
        piece = frames[units_to_frames(self._next_unit) - before : units_to_frames(stop) - before]
        own = known[self._next_unit - self._first_unit : stop - self._first_unit].numpy()
        self._next_unit = stop
        keep_from = max(0, (stop - self._reach_units) // self._multiple * self._multiple)
        for _ in range(keep_from - self._first_unit):
            self.units.popleft()
        self._first_unit = max(self._first_unit, keep_from)
        return piece, own


def animate(parts: Parts, recording: Recording, watch: Stopwatch, emotion: np.ndarray | None) -> Iterator[Event]:
    """A face for a recording, as a stream of faces and the speech they belong to."""
    n_frames, eyes = 0, EyeMovements(0)
    last = np.zeros((0, 52), np.float32)
    watch.lap()
    for frames, units in _decoded(parts, recording, UnitWindow(parts.face_maker, emotion), watch):
        kept = with_eyes(frames[: recording.n_frames - n_frames], eyes)
        last = frames[-1:]
        yield from _events(kept, n_frames, recording, units, watch)
        n_frames += len(kept)
    if n_frames < recording.n_frames:
        # Units are whole only every 80 ms: the last frame is held to the recording's very end.
        held = with_eyes(np.repeat(last, recording.n_frames - n_frames, 0), eyes)
        yield from _events(held, n_frames, recording, np.zeros(0, np.int64), watch)
    timings = watch.timings(parts.load_s, recording.n_samples / SAMPLE_HZ)
    yield DoneEvent(recording.n_samples, recording.n_frames, timings)


def _decoded(
    parts: Parts, recording: Recording, window: UnitWindow, watch: Stopwatch
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Frames with their units, as a recording is tokenized window by window."""
    for units in parts.recording_tokenizer.stream(recording.encoder_pieces()):
        watch.lap("units_s")
        yield from window.add(units)
    yield from window.finish()


def _events(
    frames: np.ndarray, n_frames: int, recording: Recording, units: np.ndarray, watch: Stopwatch
) -> Iterator[Event]:
    """A piece of a recording's face, of which `n_frames` came before, and the speech it belongs to."""
    watch.lap("face_s")
    if not len(frames) and not len(units):
        return
    watch.first("first_face_s")
    # The recording need not end with a frame: what is left of it belongs to the last one. While it is still being
    # read, more of it is known than there are units.
    n_after, start = n_frames + len(frames), recording.n_taken
    samples = recording.take(recording.n_samples if n_after >= recording.n_frames else n_after * SAMPLES_PER_FRAME)
    yield FaceEvent(n_frames * SAMPLES_PER_FRAME, n_frames, frames)
    watch.first("first_audio_s")
    yield SpeechEvent(start, samples, units, "")
    watch.lap()
