"""Smooth random fields in space, the same for the same seed everywhere."""

import numpy as np


def value_noise(places: np.ndarray, cell_mm: float, seed: int) -> np.ndarray:
    """A smooth random field with a mean near 0 and values in -1..1.

    Args:
        places: [..., 3], mm.
        cell_mm: size of its lumps.
        seed: another field for each.
    """
    at = places / cell_mm
    cell = np.floor(at).astype(np.int64)
    t = (at - cell).astype(np.float32)
    t = t * t * (3 - 2 * t)
    total = np.zeros(places.shape[:-1], np.float32)
    for corner in range(8):
        step = np.array([corner & 1, corner >> 1 & 1, corner >> 2])
        weight = np.where(step == 1, t, 1 - t).prod(-1)
        total += weight * _hashed(cell + step, seed)
    return total


def _hashed(cell: np.ndarray, seed: int) -> np.ndarray:
    """A number in -1..1 for each lattice point [..., 3]."""
    x = cell.astype(np.uint64)
    with np.errstate(over="ignore"):
        h = x[..., 0] * np.uint64(0x9E3779B97F4A7C15) ^ x[..., 1] * np.uint64(0xC2B2AE3D27D4EB4F)
        h ^= x[..., 2] * np.uint64(0x165667B19E3779F9) + np.uint64(seed * 0x27D4EB2F165667C5 % 2**64)
        h ^= h >> np.uint64(29)
        h *= np.uint64(0xBF58476D1CE4E5B9)
        h ^= h >> np.uint64(32)
    return (h >> np.uint64(40)).astype(np.float32) / np.float32(2**23) - np.float32(1)
