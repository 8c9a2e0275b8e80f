"""Who is speaking when: Silero's voice activity model on ONNX Runtime, and the turns that come out of it."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from ...core.errors import InputError
from ...core.timebase import ENCODER_SAMPLE_HZ

WINDOW_SAMPLES = 512
"""What the model judges at once: 32 ms at 16 kHz."""
CONTEXT_SAMPLES = 64
"""The end of the window before, which it hears too."""
STATE_SHAPE = (2, 1, 128)
RELEASE = 0.15
"""Speech goes on until the probability is so far under the threshold, so that it does not flicker."""


class VadConfig(BaseModel):
    """When speech begins and ends.

    Attributes:
        threshold: probability from which a window counts as speech.
        min_speech_ms: speech for as long begins a turn; shorter sounds are clicks.
        silence_ms: quiet for as long ends it.
        prefix_ms: how much of what came before the first window of speech belongs to the turn.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    threshold: Annotated[float, Field(ge=0, le=1)] = 0.5
    min_speech_ms: Annotated[int, Field(ge=0, le=1_000)] = 64
    silence_ms: Annotated[int, Field(ge=32, le=10_000)] = 500
    prefix_ms: Annotated[int, Field(ge=0, le=5_000)] = 300


@dataclass(frozen=True)
class SpeechEdge:
    """Speech has begun or ended.

    Attributes:
        kind: which of the two.
        sample: where the turn begins (with its prefix) or ends, counted at 16 kHz from the first sample heard.
        heard_samples: how many had been heard when it was certain.
    """

    kind: Literal["started", "stopped"]
    sample: int
    heard_samples: int


class VoiceModel:
    """The network; one for all detectors, from any thread.

    Args:
        path: of the ONNX file; the installed one without it.
    """

    def __init__(self, path: Path | None = None):
        import onnxruntime

        from ...assets.table import ASSETS, locate

        options = onnxruntime.SessionOptions()
        options.inter_op_num_threads = options.intra_op_num_threads = 1
        options.log_severity_level = 3
        file = path or locate(ASSETS["silero-vad"])[0]
        self._session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        self._rate = np.array(ENCODER_SAMPLE_HZ, np.int64)

    def judge(self, heard: np.ndarray, state: np.ndarray) -> tuple[float, np.ndarray]:
        """Probability of speech in a window.

        Args:
            heard: float32 [CONTEXT_SAMPLES + WINDOW_SAMPLES] at 16 kHz.
            state: float32 [2, 1, 128]; zeros at the beginning.
        Returns:
            The probability and the state for the next window.
        """
        probability, after = self._session.run(None, {"input": heard[None], "state": state, "sr": self._rate})
        return float(probability[0, 0]), after


@cache
def voice_model() -> VoiceModel:
    """The network, loaded once. Raises AssetError where it is not installed."""
    return VoiceModel()


class SpeechDetector:
    """Finds the turns of one voice as it arrives, in pieces of any length.

    Args:
        config: when speech begins and ends.
        model: the network; the installed one without it.
    """

    def __init__(self, config: VadConfig | None = None, model: VoiceModel | None = None):
        self.config = config or VadConfig()
        self._model = model or voice_model()
        self.reset()

    def reset(self) -> None:
        """Forget everything, as for a new recording."""
        self.heard_samples = 0
        self.speaking = False
        self._rest = np.zeros(0, np.float32)
        self._context = np.zeros(CONTEXT_SAMPLES, np.float32)
        self._state = np.zeros(STATE_SHAPE, np.float32)
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
        edges = []
        self._rest = np.concatenate([self._rest, samples.astype(np.float32, copy=False)])
        n_whole = len(self._rest) // WINDOW_SAMPLES * WINDOW_SAMPLES
        for start in range(0, n_whole, WINDOW_SAMPLES):
            edge = self._step(self.probability(self._rest[start : start + WINDOW_SAMPLES]))
            if edge is not None:
                edges.append(edge)
        self._rest = self._rest[n_whole:]
        return edges

    def probability(self, window: np.ndarray) -> float:
        """Probability of speech in the next window, float32 [WINDOW_SAMPLES]; the state moves on."""
        heard = np.concatenate([self._context, window])
        probability, self._state = self._model.judge(heard, self._state)
        self._context = heard[-CONTEXT_SAMPLES:]
        self.heard_samples += WINDOW_SAMPLES
        return probability

    def _step(self, probability: float) -> SpeechEdge | None:
        """Count how long the other state has lasted, and change to it once that is long enough."""
        config = self.config
        if self.speaking:
            other, needed_ms = probability < config.threshold - RELEASE, config.silence_ms
        else:
            other, needed_ms = probability >= config.threshold, config.min_speech_ms
        self._run_samples = self._run_samples + WINDOW_SAMPLES if other else 0
        if not other or self._run_samples < _samples(needed_ms):
            return None
        began, self._run_samples = self.heard_samples - self._run_samples, 0
        self.speaking = not self.speaking
        if not self.speaking:
            self._earliest = began
            return SpeechEdge("stopped", began, self.heard_samples)
        return SpeechEdge("started", max(self._earliest, began - _samples(config.prefix_ms)), self.heard_samples)


def _samples(duration_ms: int) -> int:
    return duration_ms * ENCODER_SAMPLE_HZ // 1000
