"""How much of the sky each place on a surface sees: soft shadows that are painted into the skin."""

import numpy as np

from .raster import rasterize

DIRECTIONS = 72
PIXELS = 420
BIAS_MM = 1.5
"""A place is in shadow if something is nearer to the light by more than this."""


def open_sky(places: np.ndarray, normals: np.ndarray, positions: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Share of the light from all around that reaches places, 0..1, [N].

    Args:
        places: [N, 3], mm.
        normals: of the surface there, unit, [N, 3].
        positions: of what casts shadows, [V, 3], mm.
        triangles: of what casts shadows, [F, 3].
    """
    reached, total = np.zeros(len(places)), np.full(len(places), 1e-6)
    for towards in _directions():
        weight = np.maximum(normals @ towards, 0.0)
        total += weight
        reached += weight * _lit(places, positions, triangles, towards)
    return reached / total


def _directions() -> np.ndarray:
    """Evenly spread unit vectors, more than half of them from above, [N, 3]."""
    n = np.arange(DIRECTIONS) + 0.5
    y = 1 - 1.7 * n / DIRECTIONS
    turn = n * np.pi * (3 - np.sqrt(5))
    flat = np.sqrt(1 - y**2)
    return np.stack([np.cos(turn) * flat, y, np.sin(turn) * flat], axis=1)


def _lit(places: np.ndarray, positions: np.ndarray, triangles: np.ndarray, towards: np.ndarray) -> np.ndarray:
    """Which places light from one direction reaches, 0 or 1, [N]."""
    side = np.cross([0.0, 1.0, 0.0] if abs(towards[1]) < 0.95 else [1.0, 0.0, 0.0], towards)
    side /= np.linalg.norm(side)
    axes = np.stack([side, -np.cross(towards, side), towards], axis=1)
    seen, wanted = positions @ axes, places @ axes
    low, span = seen.min(0), np.ptp(seen[:, :2], axis=0).max() + 1.0
    screen = (seen[:, :2] - low[:2]) / span * PIXELS
    nearness = (seen[:, 2:] - low[2] + 1.0).astype(np.float32)
    shown = rasterize(screen, nearness[:, 0], triangles, (PIXELS, PIXELS))
    depth = np.zeros(PIXELS * PIXELS, np.float32)
    depth[shown.pixel] = shown.blend(nearness, triangles)[:, 0]
    pixel = np.clip((wanted[:, :2] - low[:2]) / span * PIXELS, 0, PIXELS - 1).astype(int)
    return depth[pixel[:, 1] * PIXELS + pixel[:, 0]] < wanted[:, 2] - low[2] + 1.0 + BIAS_MM
