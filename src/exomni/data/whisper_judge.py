"""Transcribes speech with Whisper base to judge whether the voice said its text."""

import numpy as np

from ..core.audio import resample
from ..core.errors import AssetError
from ..core.timebase import ENCODER_SAMPLE_HZ

INSTALL_WHISPER = "pip install exomni[evaluate]"


class WhisperJudge:
    """Whisper base as a judge of what was said; the same sound gives the same words.

    Args:
        beam_size: hypotheses that the decoder keeps.
        n_threads: that work on one clip; 0 for as many as there are cores.
    Raises:
        AssetError: faster-whisper or the model is not installed.
    """

    def __init__(self, beam_size: int = 5, n_threads: int = 0):
        from ..parts.loading import load_parts

        try:
            from ctranslate2 import set_random_seed
            from faster_whisper import WhisperModel
        except ImportError as error:
            raise AssetError(f"faster-whisper is needed to judge speech; install it: {INSTALL_WHISPER}") from error
        self._model = WhisperModel(
            str(load_parts("nano").judge_folder), device="cpu", compute_type="int8", cpu_threads=n_threads
        )
        self._seed, self._beam_size = set_random_seed, beam_size

    def __call__(self, samples: np.ndarray, sample_rate: int) -> str:
        """Write down what is said in a clip, float32 [N]."""
        clip = resample(samples, sample_rate, ENCODER_SAMPLE_HZ)
        # Where the likeliest words go round in circles Whisper tries again with chance: seeded, the same each time.
        self._seed(0)
        # Without the text before, one slip does not breed others.
        segments, _ = self._model.transcribe(
            clip, language="en", beam_size=self._beam_size, condition_on_previous_text=False
        )
        return " ".join(segment.text.strip() for segment in segments)
