"""The frozen Whisper encoder as published: every clip is padded or cut to 30 seconds."""

import numpy as np
import torch
from torch import Tensor, nn

from ..core.timebase import ENCODER_SAMPLE_HZ
from .config import SpeechEncoderConfig
from .mel import log_mel, mel_filters

CLIP_S = 30
"""What the encoder was trained on, and the only length that it takes."""


def clip_features(samples: np.ndarray, n_mels: int) -> Tensor:
    """Log-mel features of one clip, padded with silence or cut to 30 s.

    Args:
        samples: float32 [N] at 16 kHz.
        n_mels: mel bins.
    Returns:
        float32 [n_mels, 3000].
    """
    length = CLIP_S * ENCODER_SAMPLE_HZ
    padded = torch.zeros(length)
    cut = np.ascontiguousarray(samples[:length], np.float32)
    padded[: len(cut)] = torch.from_numpy(cut)
    return log_mel(padded, mel_filters(n_mels))


class SpeechEncoder(nn.Module):
    """Mel features to encoder frames, 50 a second.

    Args:
        config: sizes.
    """

    def __init__(self, config: SpeechEncoderConfig) -> None:
        super().__init__()
        from transformers import WhisperConfig
        from transformers.models.whisper.modeling_whisper import WhisperEncoder

        self.encoder = WhisperEncoder(
            WhisperConfig(
                num_mel_bins=config.n_mels,
                d_model=config.d_model,
                encoder_layers=config.n_layers,
                encoder_attention_heads=config.n_heads,
                encoder_ffn_dim=config.d_ff,
                max_source_positions=config.max_frames,
                dropout=0.0,
            )
        )

    def forward(self, features: Tensor) -> Tensor:
        """[B, n_mels, 2 * max_frames] -> [B, max_frames, D_encoder]."""
        return self.encoder(features).last_hidden_state
