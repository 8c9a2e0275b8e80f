"""A recording on its way to a face: read, heard and decoded piece by piece, so that its length costs no memory."""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain, tee
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..core.audio import PIECE_SECONDS, read_pieces, resample_pieces
from ..core.errors import InputError
from ..core.timebase import (
    ENCODER_FRAMES_PER_UNIT,
    ENCODER_SAMPLE_HZ,
    FRAME_HZ,
    SAMPLE_HZ,
    UNIT_HZ,
    rescale_ceil,
    samples_to_frames,
    units_to_frames,
)

if TYPE_CHECKING:
    from torch import Tensor

LOWEST_HZ, HIGHEST_HZ = 1_000, 1_000_000
"""Sample rates that a recording may have."""


class Recording:
    """A recording that is read as it is heard; what was heard waits here until its face is there.

    Args:
        pieces: mono float32 [n] each, in -1..1.
        sample_rate: theirs.
    Attributes:
        n_samples: read so far, at 24 kHz; all of them once `heard` has ended.
        n_taken: how many of them have been taken.
    """

    def __init__(self, pieces: Iterable[np.ndarray], sample_rate: int):
        self.n_samples = self.n_taken = 0
        self._pieces, self._sample_rate = pieces, sample_rate
        self._waiting = np.zeros(0, np.float32)

    @classmethod
    def open(cls, recording: str | Path | np.ndarray, sample_rate: int | None) -> "Recording":
        """A file, which keeps its own rate, or float32 [N] mono samples with theirs.

        Raises:
            InputError: it cannot be read, is empty, or its samples make no sense.
        """
        if isinstance(recording, np.ndarray):
            return cls(*_checked_samples(recording, sample_rate))
        pieces = read_pieces(recording, SAMPLE_HZ)
        return cls(chain([next(pieces)], pieces), SAMPLE_HZ)  # the first is read at once: a wrong file is refused here

    @property
    def n_frames(self) -> int:
        """Face frames of what has been read."""
        return max(1, samples_to_frames(self.n_samples))

    def heard(self) -> Iterator[np.ndarray]:
        """The recording as the speech encoder hears it, float32 [n] pieces at 16 kHz."""
        to_keep, to_hear = tee(self._pieces)
        kept = resample_pieces(to_keep, self._sample_rate, SAMPLE_HZ)
        for samples, heard in zip(kept, resample_pieces(to_hear, self._sample_rate, ENCODER_SAMPLE_HZ), strict=True):
            self._waiting = np.concatenate([self._waiting, samples])
            self.n_samples += len(samples)
            yield heard

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


def hear(nano, features: Iterable["Tensor"]) -> Iterator["Tensor"]:
    """Units of a recording as its features come; they equal those of the whole.

    Args:
        nano: whose tokenizer is used.
        features: of the speech encoder, [T_50hz, D] pieces that follow each other; T_50hz a multiple of 4.
    Yields:
        Units, int64 [n], as soon as all that the tokenizer looks at is there.
    """
    import torch

    reach = nano.unit_tokenizer.reach_units
    held, n_context = None, 0  # features, and how many of their units were given and only lend context
    for piece in features:
        held = piece if held is None else torch.cat([held, piece])
        n_certain = len(held) // ENCODER_FRAMES_PER_UNIT - reach
        if n_certain > n_context:
            yield nano.hear(held)[n_context:n_certain]
            n_gone = max(0, n_certain - reach)
            held, n_context = held[n_gone * ENCODER_FRAMES_PER_UNIT :], n_certain - n_gone
    assert held is not None, "even nothing at all has features"
    if len(held) > n_context * ENCODER_FRAMES_PER_UNIT:
        yield nano.hear(held)[n_context:]


class UnitWindow:
    """Decodes a recording's units in chunks that equal the whole, with as much context as the decoder reaches.

    Args:
        nano: whose decoder is used.
        emotion: float32 [5] in 0..1, or None to leave it open.
    """

    CHUNK_UNITS = 50

    def __init__(self, nano, emotion: np.ndarray | None):
        self.nano, self.emotion = nano, emotion
        self.multiple = nano.blendshape_decoder.chunk_unit_multiple
        reach_frames = nano.blendshape_decoder.receptive_frames
        assert reach_frames is not None, "a decoder of nano looks only so far"
        self.reach_units = -(-rescale_ceil(reach_frames, FRAME_HZ, UNIT_HZ) // self.multiple) * self.multiple
        self.units: deque[int] = deque()
        self.first_unit = 0
        self.next_unit = 0

    def add(self, units) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Take int64 [n] units; frames [T_frame, 52] that are certain now, each piece with its own units."""
        self.units.extend(units.tolist())
        while self.first_unit + len(self.units) >= self.next_unit + self.CHUNK_UNITS + self.reach_units:
            yield self._decode(self.next_unit + self.CHUNK_UNITS)

    def finish(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The rest."""
        end = self.first_unit + len(self.units)
        while self.next_unit < end:
            yield self._decode(min(end, self.next_unit + self.CHUNK_UNITS))

    def _decode(self, stop: int) -> tuple[np.ndarray, np.ndarray]:
        import torch

        known = torch.tensor(list(self.units)[: stop + self.reach_units - self.first_unit])
        frames = self.nano.recording_frames(known, self.first_unit, self.emotion)
        before = units_to_frames(self.first_unit)
        piece = frames[units_to_frames(self.next_unit) - before : units_to_frames(stop) - before]
        own = known[self.next_unit - self.first_unit : stop - self.first_unit].numpy()
        self.next_unit = stop
        keep_from = max(0, (stop - self.reach_units) // self.multiple * self.multiple)
        for _ in range(keep_from - self.first_unit):
            self.units.popleft()
        self.first_unit = max(self.first_unit, keep_from)
        return piece, own
