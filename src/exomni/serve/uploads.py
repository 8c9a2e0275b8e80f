"""Audio that clients send: base64, PCM16, and recordings that are looked at before they are opened."""

import base64
import binascii
import tempfile

import numpy as np

from ..core.audio import read_pieces
from ..core.errors import InputError
from ..core.timebase import SAMPLE_HZ
from .refusals import Refusal

_ADTS = (b"\xff\xf0", b"\xff\xf1", b"\xff\xf8", b"\xff\xf9")
_MP3 = tuple(bytes([0xFF, second]) for second in range(0xE2, 0x100) if second & 0xE6 in (0xE2, 0xE4, 0xE6))


def is_recording(data: bytes) -> bool:
    """Whether a file begins as a recording does.

    FFmpeg also opens lists of other files and addresses, which a stranger must not have read: only these are opened.
    """
    head = data[:16]
    known = (head[:4] == b"RIFF" and head[8:12] == b"WAVE", head[:4] in (b"OggS", b"fLaC", b"\x1aE\xdf\xa3"))
    return any(known) or head[4:8] == b"ftyp" or head[:3] == b"ID3" or head[:2] in _ADTS or head[:2] in _MP3


def decode_base64(text: str, param: str = "audio") -> bytes:
    """The bytes that a message holds; `param` is the field at fault.

    Raises:
        Refusal: not base64.
    """
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Refusal("invalid_audio", "the audio is not base64", param) from None


def decode_pcm16(text: str, param: str = "audio") -> np.ndarray:
    """Samples float32 [N] in -1..1 of base64 of PCM16, little-endian; `param` is the field at fault.

    Raises:
        Refusal: not base64, or not whole samples.
    """
    data = decode_base64(text, param)
    if len(data) % 2:
        raise Refusal("invalid_audio", "the audio is not PCM16: it has an odd number of bytes", param)
    return np.frombuffer(data, "<i2").astype(np.float32) / 32768


def decode_recording(data: bytes, most_s: float) -> np.ndarray:
    """The recording in a file as float32 [N] at 24 kHz.

    Raises:
        Refusal: not a recording, empty, damaged, or longer than `most_s`.
    """
    if not is_recording(data):
        raise Refusal("invalid_audio", "the audio is no wav, mp3, m4a, webm, ogg or flac", "audio")
    pieces, n_samples = [], 0
    with tempfile.NamedTemporaryFile(prefix="exomni-") as file:
        file.write(data)
        file.flush()
        try:
            for piece in read_pieces(file.name, SAMPLE_HZ):
                pieces.append(piece)
                n_samples += len(piece)
                if n_samples > most_s * SAMPLE_HZ:
                    raise Refusal("audio_too_long", f"a recording lasts at most {most_s:g} s", "audio")
        except InputError as error:
            reason = str(error).replace(file.name, "the audio")
            raise Refusal("invalid_audio", reason, "audio") from None
    return np.concatenate(pieces)
