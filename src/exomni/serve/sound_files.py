"""Audio as clients send it, base64, PCM16 and recordings, and speech as files that grow while it is being made."""

import base64
import binascii
import tempfile

import numpy as np

from ..core.audio import read_pieces
from ..core.errors import InputError
from ..core.timebase import SAMPLE_HZ
from .protocol.items import pcm16
from .refusals import Refusal
from .requests import SpeechFormat

MEDIA_TYPES: dict[SpeechFormat, str] = {
    "mp3": "audio/mpeg", "opus": "audio/ogg", "aac": "audio/aac", "flac": "audio/flac", "wav": "audio/wav",
    "pcm": "audio/pcm",
}  # fmt: skip
_CODECS: dict[SpeechFormat, tuple[str, str]] = {
    "mp3": ("mp3", "libmp3lame"), "opus": ("ogg", "libopus"), "aac": ("adts", "aac"), "flac": ("flac", "flac"),
    "wav": ("wav", "pcm_s16le"), "pcm": ("s16le", "pcm_s16le"),
}  # fmt: skip
"""FFmpeg's names of each format's container and codec."""
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


class _Sink:
    """A file that cannot go back, and whose bytes are taken as they come."""

    def __init__(self) -> None:
        self._held = bytearray()

    def write(self, data: bytes) -> int:
        self._held += data
        return len(data)

    def take(self) -> bytes:
        data = bytes(self._held)
        self._held.clear()
        return data


class SpeechFileEncoder:
    """Turns samples into a file's bytes, by FFmpeg's libraries."""

    def __init__(self, name: SpeechFormat) -> None:
        import av
        from av.audio.stream import AudioStream

        container, codec = _CODECS[name]
        self._sink = _Sink()
        self._container = av.open(self._sink, "w", format=container, options={"fflags": "+bitexact"})
        stream = self._container.add_stream(codec, rate=SAMPLE_HZ, layout="mono")
        assert isinstance(stream, AudioStream)
        self._stream, self._frame = stream, av.AudioFrame.from_ndarray
        self._n_samples = 0

    def add(self, samples: np.ndarray) -> bytes:
        """Bytes that these samples, float32 [N] at 24 kHz, make certain."""
        frame = self._frame(np.frombuffer(pcm16(samples), np.int16)[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts = SAMPLE_HZ, self._n_samples
        self._n_samples += len(samples)
        self._container.mux(self._stream.encode(frame))
        return self._sink.take()

    def finish(self) -> bytes:
        """What is left when no more samples come."""
        self._container.mux(self._stream.encode(None))
        self._container.close()
        return self._sink.take()
