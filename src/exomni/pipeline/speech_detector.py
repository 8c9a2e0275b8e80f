"""Endpointing: where speech begins and ends in sound that comes in pieces, by a voice activity model."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from ..core.errors import InputError
from ..core.timebase import ENCODER_SAMPLE_HZ
from ..parts.ports import VoiceActivity

RELEASE = 0.15
"""Speech goes on until the probability is so far under the threshold, so that it does not flicker."""


class VadConfig(BaseModel):
    """When speech begins and ends."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    threshold: Annotated[float, Field(ge=0, le=1)] = 0.5  # probability from which a window counts as speech
    # speech for as long begins a turn; shorter sounds are clicks
    min_speech_ms: Annotated[int, Field(ge=0, le=1_000)] = 64
    silence_ms: Annotated[int, Field(ge=32, le=10_000)] = 500  # quiet for as long ends it
    # how much of what came before the first window of speech belongs to the turn
    prefix_ms: Annotated[int, Field(ge=0, le=5_000)] = 300


@dataclass(frozen=True)
class SpeechEdge:
    """Speech has begun or ended."""

    kind: Literal["started", "stopped"]  # which of the two
    sample: int  # where the turn begins (with its prefix) or ends, counted at 16 kHz from the first sample
    n_samples: int  # how many had come when it was certain


class SpeechDetector:
    """Finds the turns of one voice as it arrives, in pieces of any length.

    Args:
        activity: judges each window.
        config: when speech begins and ends.
    """

    def __init__(self, activity: VoiceActivity, config: VadConfig | None = None):
        self.config = config or VadConfig()
        self._activity = activity
        self.reset()

    def reset(self) -> None:
        """Forget everything, as for a new recording."""
        self.n_samples = 0
        self.speaking = False
        self._left = np.zeros(0, np.float32)
        self._state = self._activity.start()
        self._run_samples = 0
        self._earliest = 0

    def add(self, samples: np.ndarray) -> list[SpeechEdge]:
        """Where speech began or ended, as far as these samples tell.

        Args:
            samples: float32 [N] in -1..1 at 16 kHz, any N.
        Raises:
            InputError: they are not mono or not finite.
        """
        if samples.ndim != 1 or not np.isfinite(samples).all():
            raise InputError("a voice is mono samples, float32 [N], all of them finite")
        edges, size = [], self._activity.window_samples
        self._left = np.concatenate([self._left, samples.astype(np.float32, copy=False)])
        n_whole = len(self._left) // size * size
        for start in range(0, n_whole, size):
            edge = self._step(self.probability(self._left[start : start + size]))
            if edge is not None:
                edges.append(edge)
        self._left = self._left[n_whole:]
        return edges

    def probability(self, window: np.ndarray) -> float:
        """Probability of speech in the next window, float32 [window_samples]; the state moves on."""
        probability, self._state = self._activity.judge(window, self._state)
        self.n_samples += len(window)
        return probability

    def _step(self, probability: float) -> SpeechEdge | None:
        """Count how long the other state has lasted, and change to it once that is long enough."""
        config = self.config
        if self.speaking:
            other, needed_ms = probability < config.threshold - RELEASE, config.silence_ms
        else:
            other, needed_ms = probability >= config.threshold, config.min_speech_ms
        self._run_samples = self._run_samples + self._activity.window_samples if other else 0
        if not other or self._run_samples < _samples(needed_ms):
            return None
        began, self._run_samples = self.n_samples - self._run_samples, 0
        self.speaking = not self.speaking
        if not self.speaking:
            self._earliest = began
            return SpeechEdge("stopped", began, self.n_samples)
        return SpeechEdge("started", max(self._earliest, began - _samples(config.prefix_ms)), self.n_samples)


def _samples(duration_ms: int) -> int:
    return duration_ms * ENCODER_SAMPLE_HZ // 1000
