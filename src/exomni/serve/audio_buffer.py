"""What a client's microphone hears: kept while it may belong to a turn, and cut where a turn ends."""

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import soxr

from ..core.errors import InputError
from ..core.timebase import ENCODER_SAMPLE_HZ, SAMPLE_HZ, exact_ratio
from ..pipeline.speech_detector import SpeechDetector, SpeechEdge, VadConfig

TAIL_SAMPLES = exact_ratio(ENCODER_SAMPLE_HZ, 10)
"""How much of the silence after a turn belongs to it."""
SPARE_S = 1.0
"""What is kept while nobody speaks, beyond what a turn may reach back to."""
SHORTEST_COMMIT_SAMPLES = exact_ratio(ENCODER_SAMPLE_HZ, 10)


class InvalidAudioError(InputError):
    """What was sent is not audio as it should be."""


def decode_pcm16(text: str) -> np.ndarray:
    """Samples float32 [N] in -1..1 of base64 of PCM16, little-endian.

    Raises:
        InvalidAudioError: not base64, or not whole samples.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidAudioError("the audio is not base64") from None
    if len(data) % 2:
        raise InvalidAudioError("the audio is not PCM16: it has an odd number of bytes")
    return np.frombuffer(data, "<i2").astype(np.float32) / 32768


@dataclass(frozen=True)
class Heard:
    """Speech began, or ended with a turn.

    Attributes:
        edge: which, and where; counted at 16 kHz from the first sample of the session.
        turn: float32 [N] at 16 kHz where it ended.
    """

    edge: SpeechEdge
    turn: np.ndarray | None = None


class Microphone:
    """The voice of one client at 16 kHz, with the turns in it. Used by one thread at a time.

    Args:
        make_detector: gives something that finds turns.
        max_turn_samples: longest turn, at 16 kHz.
    """

    def __init__(self, make_detector: Callable[[VadConfig], SpeechDetector], max_turn_samples: int):
        self._make_detector, self._max_samples = make_detector, max_turn_samples
        self._resampler = soxr.ResampleStream(SAMPLE_HZ, ENCODER_SAMPLE_HZ, 1, dtype="float32")
        # A good filter is 37 ms late. Whether somebody speaks must be known sooner, and can be told without one.
        self._hasty = soxr.ResampleStream(SAMPLE_HZ, ENCODER_SAMPLE_HZ, 1, dtype="float32", quality="QQ")
        self._pieces: list[np.ndarray] = []
        self._detector: SpeechDetector | None = None
        self._config: VadConfig | None = None
        self._detector_offset = 0
        self.first_sample = self.n_samples = self.turn_sample = self._n_judged = 0

    @property
    def speaking(self) -> bool:
        """Whether somebody is speaking right now, as far as can be told."""
        return self._detector is not None and self._detector.speaking

    def listen_for(self, config: VadConfig | None) -> None:
        """Find turns in this way from now on, or find none."""
        if config == self._config:
            return
        self._config = config
        self._detector = self._make_detector(config) if config else None
        self._detector_offset = self._n_judged

    def add(self, samples: np.ndarray) -> list[Heard]:
        """Hear more, float32 [N] at 24 kHz; a turn that has become too long ends where it is."""
        heard = self._resampler.resample_chunk(samples)
        self._pieces.append(heard)
        self.n_samples += len(heard)
        judged = self._hasty.resample_chunk(samples)
        self._n_judged += len(judged)
        if self._detector is None:
            return []
        found = [self._at(edge) for edge in self._detector.add(judged)]
        now = self._n_judged
        if self.speaking and now - self.turn_sample > self._max_samples:
            self._restart()
            found.append(Heard(SpeechEdge("stopped", now, now), self.take(now)))
        if not self.speaking:
            kept_s = self._config.prefix_ms / 1000 + SPARE_S
            self._forget_before(now - round(kept_s * ENCODER_SAMPLE_HZ))
        return found

    def full(self) -> bool:
        """Whether a turn that the client ends itself has become too long."""
        return self._detector is None and self.n_samples - self.first_sample > self._max_samples

    def take(self, stop_sample: int | None = None) -> np.ndarray:
        """The turn that ends here (None: with all that was heard), float32 [N] at 16 kHz; it is not kept."""
        heard = np.concatenate(self._pieces) if self._pieces else np.zeros(0, np.float32)
        start = self.first_sample if stop_sample is None else max(self.first_sample, self.turn_sample)
        stop = self.n_samples if stop_sample is None else min(self.n_samples, stop_sample + TAIL_SAMPLES)
        turn = heard[start - self.first_sample : stop - self.first_sample]
        if stop_sample is None:
            self.clear()
        else:
            self._forget_before(stop)
        return turn

    def clear(self) -> None:
        """Forget what was heard."""
        self._forget_before(self.n_samples)
        if self._detector is not None:
            self._restart()

    def _restart(self) -> None:
        self._detector.reset()
        self._detector_offset = self._n_judged

    def _at(self, edge: SpeechEdge) -> Heard:
        """An edge in the session's own samples, with the turn that it ends."""
        offset = self._detector_offset
        sample = max(self.first_sample, edge.sample + offset)
        placed = SpeechEdge(edge.kind, sample, edge.n_samples + offset)
        if edge.kind == "stopped":
            return Heard(placed, self.take(sample))
        self.turn_sample = sample
        return Heard(placed)

    def _forget_before(self, sample: int) -> None:
        while self._pieces and self.first_sample + len(self._pieces[0]) <= sample:
            self.first_sample += len(self._pieces.pop(0))
        if self._pieces and sample > self.first_sample:
            self._pieces[0] = self._pieces[0][sample - self.first_sample :]
            self.first_sample = sample
