"""Every training loss, as plain functions of what the models give and what the data says."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ..model.tokens import IGNORE_INDEX

EPSILON = 1e-6
"""Keeps a row without a valid frame at a loss of zero."""


def token_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of text tokens or speech units, averaged over all that count.

    Args:
        logits: [B, T, V], aligned with the targets (not shifted).
        targets: ids [B, T]; IGNORE_INDEX is left out. No valid target at all gives 0.
    Source:
        Paper, training objectives.
    """
    summed = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORE_INDEX, reduction="sum")
    return summed / (targets != IGNORE_INDEX).sum().clamp(min=1)


def blendshape_loss(
    predicted: Tensor,
    target: Tensor,
    lengths: Tensor,
    *,
    velocity_weight: float = 0.0,
    channel_weights: Tensor | None = None,
) -> Tensor:
    """Squared error of blendshapes over valid frames, and of their change from frame to frame.

    Args:
        predicted: [B, T_predicted, K]; cut to the target's length, or continued at rest (zero) up to it.
        target: [B, T_target, K].
        lengths: valid frames of each row, [B].
        velocity_weight: of the velocity term; 0 leaves it out, as the published code does.
        channel_weights: of each blendshape, [K]; None weighs all the same. Used as given, not normalised.
    Returns:
        A scalar: mean over channels, then over each row's frames, then over rows.
    Source:
        Paper, training objectives; the velocity term is version 1's.
    """
    n_frames = target.shape[1]
    error = F.pad(predicted[:, :n_frames], (0, 0, 0, max(n_frames - predicted.shape[1], 0))) - target
    loss = _row_mean(error, lengths.clamp(max=n_frames), channel_weights)
    if velocity_weight:
        change = error[:, 1:] - error[:, :-1]
        steps = (lengths.clamp(max=n_frames) - 1).clamp(min=0)
        loss = loss + velocity_weight * _row_mean(change, steps, channel_weights)
    return loss


def _row_mean(error: Tensor, lengths: Tensor, channel_weights: Tensor | None) -> Tensor:
    squared = error.square() if channel_weights is None else error.square() * channel_weights
    frames = squared.mean(dim=2)
    valid = torch.arange(frames.shape[1], device=frames.device)[None] < lengths[:, None]
    return ((frames * valid).sum(dim=1) / (lengths + EPSILON)).mean()


def duration_loss(log_durations: Tensor, durations: Tensor) -> Tensor:
    """Squared error of log-durations over real phonemes.

    Args:
        log_durations: natural log of predicted ticks, [B, T_text].
        durations: true ticks, int [B, T_text], 0 where there is no phoneme.
    Source:
        Our choice (durations pace the `nano` preset).
    """
    valid = durations > 0
    error = log_durations - durations.clamp(min=1).to(log_durations.dtype).log()
    return (error.square() * valid).sum() / valid.sum().clamp(min=1)


def emotion_loss(logits: Tensor, emotion: Tensor) -> Tensor:
    """Cross-entropy of each emotion's strength: logits and true strengths in 0..1, both [B, 5].

    Source:
        Our choice: its minimum is the strength to be expected, which is what the face should show.
    """
    return F.binary_cross_entropy_with_logits(logits, emotion.to(logits.dtype))
