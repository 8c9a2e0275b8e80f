"""Whisper's log-mel spectrogram."""

import torch

from ..core.timebase import ENCODER_SAMPLE_HZ

N_FFT, HOP_SAMPLES = 400, 160
HIGHEST_HZ = 8000.0
"""Where the highest mel filter ends."""


def mel_filters(n_mels: int) -> torch.Tensor:
    """Whisper's mel filters, float32 [201, n_mels]."""
    from transformers.audio_utils import mel_filter_bank

    filters = mel_filter_bank(
        1 + N_FFT // 2, n_mels, 0.0, HIGHEST_HZ, ENCODER_SAMPLE_HZ, norm="slaney", mel_scale="slaney"
    )
    return torch.from_numpy(filters).float()


def log_mel(samples: torch.Tensor, filters: torch.Tensor) -> torch.Tensor:
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
