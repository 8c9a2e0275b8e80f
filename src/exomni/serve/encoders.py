"""Speech as files that grow while it is being made."""

import struct
from typing import Protocol

import numpy as np

from ..core.timebase import SAMPLE_HZ
from .requests import SpeechFormat

MEDIA_TYPES: dict[SpeechFormat, str] = {
    "mp3": "audio/mpeg", "opus": "audio/ogg", "aac": "audio/aac", "flac": "audio/flac", "wav": "audio/wav",
    "pcm": "audio/pcm",
}  # fmt: skip
_CODECS = {"mp3": ("mp3", "libmp3lame"), "opus": ("ogg", "libopus"), "aac": ("adts", "aac"), "flac": ("flac", "flac")}
_ENDLESS = 0xFFFFFFFF - 36
"""Length that a WAV file states while nobody knows it."""


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


class Encoder(Protocol):
    """Turns samples into a file's bytes."""

    def add(self, samples: np.ndarray) -> bytes:
        """Bytes that these samples, float32 [N] at 24 kHz, make certain."""

    def finish(self) -> bytes:
        """The rest."""


class PcmEncoder:
    """PCM16, little-endian, with a WAV header or without."""

    def __init__(self, has_header: bool):
        self._head = wav_header(_ENDLESS) if has_header else b""

    def add(self, samples: np.ndarray) -> bytes:
        """See `Encoder`."""
        head, self._head = self._head, b""
        return head + pcm16(samples)

    def finish(self) -> bytes:
        """See `Encoder`."""
        head, self._head = self._head, b""
        return head


class CodecEncoder:
    """A format of FFmpeg's libraries."""

    def __init__(self, container: str, codec: str):
        import av

        self._sink = _Sink()
        self._container = av.open(self._sink, "w", format=container)
        self._stream = self._container.add_stream(codec, rate=SAMPLE_HZ, layout="mono")
        self._frame = av.AudioFrame.from_ndarray
        self._n_samples = 0

    def add(self, samples: np.ndarray) -> bytes:
        """See `Encoder`."""
        frame = self._frame(np.frombuffer(pcm16(samples), np.int16)[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts = SAMPLE_HZ, self._n_samples
        self._n_samples += len(samples)
        self._container.mux(self._stream.encode(frame))
        return self._sink.take()

    def finish(self) -> bytes:
        """See `Encoder`."""
        self._container.mux(self._stream.encode(None))
        self._container.close()
        return self._sink.take()


def encoder(name: SpeechFormat) -> Encoder:
    """An encoder for a format."""
    return PcmEncoder(name == "wav") if name in ("wav", "pcm") else CodecEncoder(*_CODECS[name])


def pcm16(samples: np.ndarray) -> bytes:
    """float32 [N] in -1..1 as PCM16, little-endian."""
    return (np.clip(samples, -1, 1) * 32767).round().astype("<i2").tobytes()


def wav_header(n_bytes: int) -> bytes:
    """What stands before so many bytes of PCM16, 24 kHz, mono."""
    head = struct.pack("<4sI4s4sI", b"RIFF", n_bytes + 36, b"WAVE", b"fmt ", 16)
    return head + struct.pack("<HHIIHH4sI", 1, 1, SAMPLE_HZ, SAMPLE_HZ * 2, 2, 16, b"data", n_bytes)
