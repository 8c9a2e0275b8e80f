"""Whisper's own decoder on encoder features of real length: speech as text."""

from pathlib import Path

import numpy as np
import torch

from ...core.errors import AssetError
from ...core.timebase import ENCODER_HZ, ENCODER_SAMPLE_HZ
from ...model.speech_encoder import CLIP_S
from ..ports import FeatureEncoder

END_SILENCE = np.zeros(2 * ENCODER_SAMPLE_HZ, np.float32)
"""Silence that speech must end with, or the decoder says it again and again (measured, docs/listening.md)."""
PROMPT = ("<|startoftranscript|>", "<|en|>", "<|transcribe|>", "<|notimestamps|>")
TOKENS_A_SECOND, SPARE_TOKENS = 8, 16
"""Nobody speaks faster; more is a loop."""
NO_SPEECH, UNSURE = 0.6, -1.0
"""Whisper's own rule: speech is unlikely, and the words are (mean log-probability)."""


class WhisperTranscriber:
    """Writes down what is said, in English (`Transcriber`).

    Args:
        folder: the converted Whisper (`exomni.parts.whisper.conversion.WHISPER`).
        encoder: whose features it decodes.
    Raises:
        AssetError: ctranslate2 is not installed.
    """

    def __init__(self, folder: Path, encoder: FeatureEncoder):
        from tokenizers import Tokenizer

        try:
            import ctranslate2
        except ImportError as error:
            raise AssetError("ctranslate2 writes down speech; install it: pip install ctranslate2") from error
        self._encoder = encoder
        threads = torch.get_num_threads()
        self._model = ctranslate2.models.Whisper(str(folder), device="cpu", compute_type="int8", intra_threads=threads)
        self._view = ctranslate2.StorageView.from_array
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._prompt = [self._tokenizer.token_to_id(token) for token in PROMPT]

    def prepare(self) -> None:
        """Decode once: the first call takes several times as long as others."""
        self.decode(self._encoder(END_SILENCE))

    def transcribe(self, samples: np.ndarray) -> str:
        """The words of a piece of speech, float32 [N] at 16 kHz; "" where nothing is said."""
        words = self.decode(self._encoder(np.concatenate([samples, END_SILENCE])))
        if not repeats_itself(words):
            return words
        # In noise the decoder may run in circles on real length; on 30 s, which it was trained on, it hardly does.
        whole = np.zeros(CLIP_S * ENCODER_SAMPLE_HZ, np.float32)
        whole[: len(samples)] = samples
        return self.decode(self._encoder(whole))

    def decode(self, features: torch.Tensor) -> str:
        """The words of a clip, "" where nothing is said.

        Args:
            features: of the speech encoder, float32 [T_50hz, D], `END_SILENCE` at the end included.
        """
        encoded = self._view(np.ascontiguousarray(features.numpy()[None]))
        longest = int(len(features) / ENCODER_HZ * TOKENS_A_SECOND) + SPARE_TOKENS
        (found,) = self._model.generate(
            encoded, [self._prompt], beam_size=1, max_length=len(self._prompt) + longest, return_scores=True,
            return_no_speech_prob=True,
        )  # fmt: skip
        if found.no_speech_prob > NO_SPEECH and found.scores[0] < UNSURE:
            return ""
        return self._tokenizer.decode(found.sequences_ids[0]).strip()


def repeats_itself(text: str) -> bool:
    """Whether a text says three or more words twice in a row."""
    words = "".join(c if c.isalnum() else " " for c in text.lower()).split()
    return any(
        words[i : i + n] == words[i + n : i + 2 * n]
        for n in range(3, len(words) // 2 + 1)
        for i in range(len(words) - 2 * n + 1)
    )
