"""From durations of phonemes to the clock of speech units, in integers throughout."""

import math

import torch
from torch import Tensor

from ..core.timebase import DURATION_HZ, UNIT_HZ, exact_ratio, rescale_ceil

GRID_HZ = math.lcm(DURATION_HZ, UNIT_HZ.numerator)
"""The slowest clock on which both duration ticks and units begin on a tick."""
GRID_PER_TICK = exact_ratio(GRID_HZ, DURATION_HZ)
GRID_PER_UNIT = exact_ratio(GRID_HZ, UNIT_HZ)


def ticks_to_units(n_ticks: int) -> int:
    """Units that cover `n_ticks` duration ticks."""
    return rescale_ceil(n_ticks, DURATION_HZ, UNIT_HZ)


def pacing(durations: Tensor, n_units: int) -> Tensor:
    """Which phonemes sound during each unit, and how much of it each takes.

    Args:
        durations: ticks [B, T_text], 0 for padding, which comes last; each row has a phoneme.
        n_units: T_unit; units after a row's end belong to its last phoneme.
    Returns:
        Weights [B, T_unit, T_text], each row of T_text summing to 1.
    """
    ends = durations.long().cumsum(dim=1) * GRID_PER_TICK
    starts = ends - durations.long() * GRID_PER_TICK
    begins = torch.arange(n_units, device=durations.device)[None, :, None] * GRID_PER_UNIT
    latest_start = torch.maximum(starts[:, None], begins)
    earliest_end = torch.minimum(ends[:, None], begins + GRID_PER_UNIT)
    overlap = (earliest_end - latest_start).clamp(min=0)
    total = overlap.sum(dim=2, keepdim=True)
    columns = torch.arange(durations.shape[1], device=durations.device)
    last = (columns * (durations > 0)).amax(dim=1)
    after_the_end = (columns == last[:, None])[:, None] & (total == 0)
    return torch.where(after_the_end, 1.0, overlap / total.clamp(min=1))


def round_durations(durations: Tensor, mask: Tensor) -> Tensor:
    """Whole ticks, at least one a phoneme, whose running total stays with the true one.

    Args:
        durations: ticks, real-valued, [B, T_text].
        mask: True where there is a phoneme, [B, T_text].
    Returns:
        Ticks, int64 [B, T_text], 0 where the mask is False.
    """
    rounded = torch.zeros_like(durations, dtype=torch.long)
    for row, (wanted, kept) in enumerate(zip(durations.double().tolist(), mask.tolist(), strict=True)):
        owed = 0.0
        for column, (ticks, keep) in enumerate(zip(wanted, kept, strict=True)):
            if keep:
                owed += ticks
                rounded[row, column] = max(round(owed), 1)
                owed -= int(rounded[row, column])
    return rounded
