"""Reading recordings: any format and rate that FFmpeg's libraries know, in pieces, so that length costs no memory."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .core.errors import InputError

PIECE_SECONDS = 10


def read_pieces(path: str | Path, sample_rate: int) -> Iterator[np.ndarray]:
    """A recording as mono float32 pieces at `sample_rate`.

    Args:
        path: wav, mp3, m4a, webm, flac, ogg…; the first audio stream of a video.
        sample_rate: wanted.
    Yields:
        float32 [n] in -1..1.
    Raises:
        InputError: not a file, no audio in it, or damaged from the start.
    """
    import av

    if not Path(path).is_file():
        raise InputError(f"{path} is not a file")
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise InputError(f"{path} has no audio in it")
            yield from _decode(container, sample_rate)
    except av.FFmpegError as error:
        raise InputError(f"{path} cannot be read as audio: {error.strerror or error}") from error


def _decode(container, sample_rate: int) -> Iterator[np.ndarray]:
    import av

    resampler = av.AudioResampler(format="flt", layout="mono", rate=sample_rate)
    held: list[np.ndarray] = []
    n_held = n_given = 0
    frames = container.decode(container.streams.audio[0])
    while True:
        try:
            frame = next(frames, None)
        except av.FFmpegError:
            # A recording cut off in the middle: what could be read is used. With nothing read it is an error.
            if not held and not n_given:
                raise
            frame = None
        for piece in resampler.resample(frame):
            held.append(piece.to_ndarray().reshape(-1))
            n_held += len(held[-1])
        if held and (frame is None or n_held >= PIECE_SECONDS * sample_rate):
            yield np.concatenate(held)
            n_given += n_held
            held, n_held = [], 0
        if frame is None:
            return


def read_audio(path: str | Path, sample_rate: int) -> np.ndarray:
    """A whole recording as mono float32 [N] at `sample_rate`.

    Raises:
        InputError: as `read_pieces`, or it is empty.
    """
    pieces = list(read_pieces(path, sample_rate))
    samples = np.concatenate(pieces) if pieces else np.zeros(0, np.float32)
    if not len(samples):
        raise InputError(f"{path} holds no sound at all")
    return np.nan_to_num(samples).astype(np.float32)


def resample(samples: np.ndarray, from_hz: int, to_hz: int) -> np.ndarray:
    """float32 mono samples at another rate."""
    import soxr

    if from_hz == to_hz:
        return np.ascontiguousarray(samples, np.float32)
    return soxr.resample(np.ascontiguousarray(samples, np.float32), from_hz, to_hz).astype(np.float32)
