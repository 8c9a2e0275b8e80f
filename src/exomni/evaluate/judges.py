"""DistillMOS, a judge of speech: it scores how natural it sounds."""

import contextlib
import sys
import types
from collections.abc import Iterator

import numpy as np

from ..core.audio import resample
from ..core.errors import AssetError
from ..core.timebase import ENCODER_SAMPLE_HZ

CROP_SAMPLES = 122_880
"""What DistillMOS scores at once: 7.68 s at 16 kHz."""
INSTALL_MOS = "pip install --no-deps distillmos==0.9.1 xls-r-sqa==0.1.0"


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
        """Score a clip, float32 [N]: the mean over pieces of 7.68 s that cover it evenly."""
        import torch

        clip = resample(samples, sample_rate, ENCODER_SAMPLE_HZ)
        with torch.inference_mode():
            scores = [float(self._model(torch.from_numpy(crop)[None])) for crop in crops(clip)]
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
    """Let distillmos be imported without torchaudio, which has no build for every PyTorch that we run on.

    distillmos imports it for the file reading of its own command line only.
    """
    if "torchaudio" in sys.modules or "distillmos" in sys.modules:
        yield
        return
    sys.modules["torchaudio"] = types.ModuleType("torchaudio")
    try:
        yield
    finally:
        del sys.modules["torchaudio"]
