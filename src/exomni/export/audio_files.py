"""Sound files: read as mono samples, written as WAV."""

import io
import os

import numpy as np

from ..core.atomic import atomic_path
from ..core.errors import FormatError
from .reading import read_bytes
from .track import FaceTrack


def read_audio(path: str | os.PathLike[str]) -> tuple[np.ndarray, int]:
    """Mono samples, float32 [N] in -1..1, and their rate.

    Raises:
        InputError: the file cannot be read.
        FormatError: it is no sound file.
    """
    import soundfile

    data = read_bytes(path)
    try:
        samples, sample_hz = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise FormatError(f"{path}: {error.error_string}") from None
    return samples.mean(axis=1), sample_hz


def write_wav(track: FaceTrack, path: str | os.PathLike[str]) -> None:
    """Write the track's audio, 16 bit.

    Raises:
        FormatError: the track has none.
        OutputError: the place cannot be written.
    """
    import soundfile

    if track.audio is None or track.sample_hz is None:
        raise FormatError("this source has no audio")
    with atomic_path(path) as part:
        try:
            soundfile.write(part, np.clip(track.audio, -1, 1), track.sample_hz, subtype="PCM_16")
        except soundfile.LibsndfileError as error:
            raise OSError(error.error_string) from error
