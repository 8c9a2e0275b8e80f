"""Reading recordings: any format and rate that FFmpeg's libraries know, in pieces, so that length costs no memory."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from .errors import InputError

PIECE_SECONDS = 10


def read_pieces(path: str | Path, sample_rate: int) -> Iterator[np.ndarray]:
    """A recording as mono float32 pieces at `sample_rate`.

    Args:
        path: wav, mp3, m4a, webm, flac, ogg…; the first audio stream of a video.
        sample_rate: wanted.
    Yields:
        float32 [n] in -1..1, about `PIECE_SECONDS` each; at least one.
    Raises:
        InputError: not a file, no audio in it, empty, or damaged from the start.
    """
    import av
    from av.error import FFmpegError

    if not Path(path).is_file():
        raise InputError(f"{path} is not a file")
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise InputError(f"{path} has no audio in it")
            is_empty = True
            for piece in _decode(container, sample_rate):
                is_empty = False
                yield np.clip(np.nan_to_num(piece), -1.0, 1.0).astype(np.float32, copy=False)
            if is_empty:
                raise InputError(f"{path} holds no sound at all")
    except FFmpegError as error:
        raise InputError(f"{path} cannot be read as audio: {error.strerror or error}") from error


def _decode(container, sample_rate: int) -> Iterator[np.ndarray]:
    held: list[np.ndarray] = []
    n_held = 0
    for samples in _mono(_frames(container), sample_rate):
        held.append(samples)
        n_held += len(samples)
        if n_held >= PIECE_SECONDS * sample_rate:
            yield np.concatenate(held)
            held, n_held = [], 0
    if n_held:
        yield np.concatenate(held)


def _frames(container) -> Iterator:
    """Every frame that can be decoded: scratches are skipped, and a recording that is cut off just ends early.

    Raises:
        FFmpegError: not a single frame can be decoded.
    """
    from av.error import FFmpegError

    packets, n_given, damage = container.demux(container.streams.audio[0]), 0, None
    while True:
        try:
            packet = next(packets, None)
        except FFmpegError as error:
            packet, damage = None, error
        if packet is None:
            break
        try:
            frames = packet.decode()
        except FFmpegError as error:
            frames, damage = [], error
        yield from frames
        n_given += len(frames)
    if damage is not None and not n_given:
        raise damage


def _mono(frames: Iterator, sample_rate: int) -> Iterator[np.ndarray]:
    """Frames as float32 at the wanted rate, channels averaged; the frames' own form may change on the way."""
    import av

    resampler, form = None, None
    for frame in frames:
        if resampler is None or form != (frame.sample_rate, frame.layout.name, frame.format.name):
            if resampler is not None:
                yield from (piece.to_ndarray().mean(0) for piece in resampler.resample(None))
            form = (frame.sample_rate, frame.layout.name, frame.format.name)
            # FFmpeg's own mixing to mono would add 3 dB: the layout is kept, and averaged here.
            resampler = av.AudioResampler(format="fltp", layout=frame.layout, rate=sample_rate)
        yield from (piece.to_ndarray().mean(0) for piece in resampler.resample(frame))
    if resampler is not None:
        yield from (piece.to_ndarray().mean(0) for piece in resampler.resample(None))


def read_audio(path: str | Path, sample_rate: int) -> np.ndarray:
    """A whole recording as mono float32 [N] at `sample_rate`.

    Raises:
        InputError: as `read_pieces`.
    """
    return np.concatenate(list(read_pieces(path, sample_rate)))


def resample(samples: np.ndarray, from_hz: int, to_hz: int) -> np.ndarray:
    """float32 mono samples at another rate."""
    import soxr

    if from_hz == to_hz:
        return np.ascontiguousarray(samples, np.float32)
    return soxr.resample(np.ascontiguousarray(samples, np.float32), from_hz, to_hz).astype(np.float32)


def resample_pieces(pieces: Iterable[np.ndarray], from_hz: int, to_hz: int) -> Iterator[np.ndarray]:
    """A recording at another rate, piece by piece and without seams: joined, the pieces equal `resample` of the whole.

    Args:
        pieces: mono float32 [n] each.
        from_hz: their rate.
        to_hz: the rate that is wanted.
    Yields:
        float32 [n], a piece for each that came and one more with what the filter still held; any may be empty.
    """
    import soxr

    stream = soxr.ResampleStream(from_hz, to_hz, 1, dtype="float32")
    for piece in pieces:
        yield stream.resample_chunk(np.ascontiguousarray(piece, np.float32))
    yield stream.resample_chunk(np.zeros(0, np.float32), last=True)
