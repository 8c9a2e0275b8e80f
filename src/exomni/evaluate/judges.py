"""Judges that listen: Whisper base writes down what it hears, DistillMOS says how good it sounds."""

import contextlib
import sys
import types
from collections.abc import Iterator

import numpy as np

from ..core.audio import resample
from ..core.errors import AssetError
from ..core.timebase import ENCODER_SAMPLE_HZ

CROP_SAMPLES = 122_880
"""What DistillMOS hears at once: 7.68 s at 16 kHz."""
INSTALL_WHISPER = "pip install exomni[evaluate]"
INSTALL_MOS = "pip install --no-deps distillmos==0.9.1 xls-r-sqa==0.1.0"


class Transcriber:
    """Whisper base as a judge of what was said; the same sound gives the same words."""

    def __init__(self):
        from ..parts.whisper.conversion import WHISPER

        try:
            from ctranslate2 import set_random_seed
            from faster_whisper import WhisperModel
        except ImportError as error:
            raise AssetError(f"faster-whisper is needed to judge speech; install it: {INSTALL_WHISPER}") from error
        self._model = WhisperModel(str(WHISPER.folder()), device="cpu", compute_type="int8")
        self._seed = set_random_seed

    def __call__(self, samples: np.ndarray, sample_rate: int) -> str:
        """Write down what is said.

        Args:
            samples: float32 [N].
            sample_rate: of the samples.
        """
        heard = resample(samples, sample_rate, ENCODER_SAMPLE_HZ)
        # Where the likeliest words go round in circles Whisper tries again with chance: seeded, the same each time.
        self._seed(0)
        # Without the text before, one slip does not breed others.
        segments, _ = self._model.transcribe(heard, language="en", beam_size=5, condition_on_previous_text=False)
        return " ".join(segment.text.strip() for segment in segments)


class OpinionScore:
    """DistillMOS: the mean opinion that listeners would have, 1 to 5."""

    def __init__(self):
        try:
            with _without_torchaudio():
                from distillmos import ConvTransformerSQAModel
        except ImportError as error:
            raise AssetError(f"distillmos is needed to judge how speech sounds; install it: {INSTALL_MOS}") from error
        with contextlib.redirect_stdout(sys.stderr):
            self._model = ConvTransformerSQAModel(segmenting_in_forward=False).eval()

    def __call__(self, samples: np.ndarray, sample_rate: int) -> float:
        """Score a clip: the mean over pieces of 7.68 s that cover it evenly.

        Args:
            samples: float32 [N].
            sample_rate: of the samples.
        """
        import torch

        heard = resample(samples, sample_rate, ENCODER_SAMPLE_HZ)
        with torch.inference_mode():
            scores = [float(self._model(torch.from_numpy(crop)[None])) for crop in crops(heard)]
        return float(np.mean(scores))


def crops(samples: np.ndarray) -> Iterator[np.ndarray]:
    """Pieces of `CROP_SAMPLES` from the first to the last sample, as few as cover all; a short clip is padded."""
    if len(samples) < CROP_SAMPLES:
        samples = np.pad(samples, (0, CROP_SAMPLES - len(samples)))
    count = -(-len(samples) // CROP_SAMPLES)
    for start in np.linspace(0, len(samples) - CROP_SAMPLES, count).round().astype(int):
        yield np.ascontiguousarray(samples[start : start + CROP_SAMPLES])


@contextlib.contextmanager
def _without_torchaudio() -> Iterator[None]:
    """Let distillmos be imported where torchaudio is not there.

    It imports torchaudio for the file reading of its own command line only, and torchaudio has no build for every
    PyTorch that we run on.
    """
    if "torchaudio" in sys.modules or "distillmos" in sys.modules:
        yield
        return
    sys.modules["torchaudio"] = types.ModuleType("torchaudio")
    try:
        yield
    finally:
        del sys.modules["torchaudio"]
