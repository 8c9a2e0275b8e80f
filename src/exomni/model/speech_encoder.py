"""Whisper's log-mel spectrogram, and its frozen encoder as published: every clip is padded or cut to 30 seconds."""

import numpy as np
import torch
from torch import Tensor, nn

from ..core.timebase import ENCODER_SAMPLE_HZ
from .config import SpeechEncoderConfig

CLIP_S = 30
"""What the encoder was trained on, and the only length that it takes."""
N_FFT, HOP_SAMPLES = 400, 160
HIGHEST_HZ = 8000.0
"""Where the highest mel filter ends."""


def mel_filters(n_mels: int) -> Tensor:
    """Whisper's mel filters, float32 [201, n_mels]."""
    from transformers.audio_utils import mel_filter_bank

    filters = mel_filter_bank(
        1 + N_FFT // 2, n_mels, 0.0, HIGHEST_HZ, ENCODER_SAMPLE_HZ, norm="slaney", mel_scale="slaney"
    )
    return torch.from_numpy(filters).float()


def log_mel(samples: Tensor, filters: Tensor) -> Tensor:
    """Whisper's log-mel spectrogram.

    Args:
        samples: float32 [N] at 16 kHz.
        filters: [201, n_mels], of `mel_filters`.
    Returns:
        float32 [n_mels, N // 160].
    """
    window = torch.hann_window(N_FFT)
    power = torch.stft(samples, N_FFT, HOP_SAMPLES, window=window, return_complex=True)[:, :-1].abs().square()
    mel = (filters.T @ power).clamp_min(1e-10).log10()
    return (torch.maximum(mel, mel.max() - 8.0) + 4.0) / 4.0


def clip_features(samples: np.ndarray, n_mels: int) -> Tensor:
    """Log-mel features [n_mels, 3000] of one clip, float32 [N] at 16 kHz, padded with silence or cut to 30 s."""
    length = CLIP_S * ENCODER_SAMPLE_HZ
    padded = torch.zeros(length)
    cut = np.ascontiguousarray(samples[:length], np.float32)
    padded[: len(cut)] = torch.from_numpy(cut)
    return log_mel(padded, mel_filters(n_mels))


class SpeechEncoder(nn.Module):
    """Mel features to encoder frames, 50 a second."""

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
