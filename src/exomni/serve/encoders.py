"""Speech as files that grow while it is being made."""

import numpy as np

from ..core.timebase import SAMPLE_HZ
from .protocol.items import pcm16
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
