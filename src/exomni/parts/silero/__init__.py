"""Silero's voice activity model on ONNX Runtime."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from ...core.timebase import ENCODER_SAMPLE_HZ
from ..loading import Parts
from ..onnx import OnnxGraph

WINDOW_SAMPLES = 512
"""What the model judges at once: 32 ms at 16 kHz."""
CONTEXT_SAMPLES = 64
"""The end of the window before, which it reads too."""
STATE_SHAPE = (2, 1, 128)


@dataclass(frozen=True)
class SileroState:
    """What the model keeps between two windows."""

    context: np.ndarray  # the end of the window before, float32 [CONTEXT_SAMPLES]
    hidden: np.ndarray  # float32 [2, 1, 128]


class SileroVoiceActivity:
    """How likely there is speech; one network for all recordings, from any thread (`VoiceActivity`)."""

    window_samples = WINDOW_SAMPLES

    def __init__(self, path: Path):
        self._graph = OnnxGraph(path)
        self._rate = np.array(ENCODER_SAMPLE_HZ, np.int64)

    def start(self) -> SileroState:
        """The state before the first window of a recording."""
        return SileroState(np.zeros(CONTEXT_SAMPLES, np.float32), np.zeros(STATE_SHAPE, np.float32))

    def judge(self, window: np.ndarray, state: SileroState) -> tuple[float, SileroState]:
        """Probability of speech in float32 [WINDOW_SAMPLES] at 16 kHz, and the state after it."""
        samples = np.concatenate([state.context, window])
        inputs = {"input": samples[None], "state": state.hidden, "sr": self._rate}
        probability, hidden = self._graph.run(None, inputs)
        return float(probability[0, 0]), SileroState(samples[-CONTEXT_SAMPLES:], hidden)


@cache
def _shared() -> SileroVoiceActivity:
    from ...assets.table import ASSETS, locate

    return SileroVoiceActivity(locate(ASSETS["silero-vad"])[0])


def build_voice_activity(parts: Parts) -> SileroVoiceActivity:
    """The installed network, loaded once for all models. Raises AssetError where it is not installed."""
    return _shared()
