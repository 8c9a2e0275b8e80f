"""Lip measures in millimetres on the head, of weights [T, K]: closure, width, rounding, lip on teeth, vertex error."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from ..core.arkit import K
from .head import PARTS, Head

COLUMNS_MM: tuple[float, ...] = (-12.0, -8.0, -4.0, 0.0, 4.0, 8.0, 12.0)
"""Where across the mouth the lips are compared (the mouth at rest reaches from -26 to +26)."""
TEETH_X_MM = 9.0
"""Half the width of the upper front teeth that a lower lip touches in f and v."""


@dataclass(frozen=True, eq=False)
class _Points:
    """Points that move linearly with the weights: rest float32 [..., 3] and deltas float32 [K, ..., 3]."""

    rest: np.ndarray
    deltas: np.ndarray

    def at(self, weights: np.ndarray) -> np.ndarray:
        """Positions in mm, [T, ..., 3]."""
        moved = np.asarray(weights, np.float32) @ self.deltas.reshape(K, -1)
        return moved.reshape(len(weights), *self.rest.shape) + self.rest


def _lip_points(head: Head, loops: np.ndarray) -> _Points:
    """Each loop of a lip where it crosses COLUMNS_MM at rest: [R, C, 3]."""
    rest, deltas = [], []
    for loop in loops:
        x = head.vertices_mm[loop, 0]
        place = np.interp(COLUMNS_MM, x, np.arange(len(loop)))
        left = np.minimum(place.astype(int), len(loop) - 2)
        part = (place - left).astype(np.float32)[:, None]
        here, there = loop[left], loop[left + 1]
        rest.append(head.vertices_mm[here] * (1 - part) + head.vertices_mm[there] * part)
        deltas.append(head.deltas_mm[:, here] * (1 - part) + head.deltas_mm[:, there] * part)
    return _Points(np.stack(rest), np.stack(deltas, 1))


@cache
def _lips() -> tuple[_Points, _Points, np.ndarray]:
    """Upper lip, lower lip, and the height between their silhouettes at rest, where they touch, [C]."""
    head = Head.load()
    upper, lower = _lip_points(head, head.upper_lip), _lip_points(head, head.lower_lip)
    return upper, lower, upper.rest[..., 1].min(0) - lower.rest[..., 1].max(0)


@cache
def _teeth_edge_y_mm() -> float:
    """Height of the cutting edge of the upper front teeth, which no shape moves."""
    head = Head.load()
    ids = np.unique(head.quads[head.quad_parts == PARTS.index("upper_teeth")])
    front = head.vertices_mm[ids]
    return float(front[np.abs(front[:, 0]) < TEETH_X_MM, 1].min())


def lip_aperture_mm(weights: np.ndarray) -> np.ndarray:
    """Signed height between the lips where COLUMNS_MM cross them, float32 [T, C].

    Seen from the front: from the lowest point of the upper lip to the highest point of the lower lip, less
    the same height at rest, where the lips touch. Below zero the lips overlap.
    """
    upper, lower, contact = _lips()
    return upper.at(weights)[..., 1].min(1) - lower.at(weights)[..., 1].max(1) - contact


def inner_lip_gap_mm(weights: np.ndarray) -> np.ndarray:
    """How far the lips are apart at the widest column, float32 [T]: 0 is closed over the middle half of the mouth."""
    return np.maximum(lip_aperture_mm(weights).max(1), 0.0)


def lip_width_mm(weights: np.ndarray) -> np.ndarray:
    """Distance between the corners of the mouth, float32 [T]; 49 at rest."""
    head = Head.load()
    corners = [head.upper_lip[len(head.upper_lip) // 2, 0], head.upper_lip[len(head.upper_lip) // 2, -1]]
    ends = head.apply(weights, corners)
    return np.linalg.norm(ends[:, 0] - ends[:, 1], axis=-1)


def lip_protrusion_mm(weights: np.ndarray) -> np.ndarray:
    """How far the middle of the red of the upper lip has come forward from rest, float32 [T].

    The upper lip alone, because the jaw carries the lower lip backwards as it drops.
    """
    upper, _, _ = _lips()
    red = slice(0, upper.rest.shape[0] // 2 + 1)
    return (upper.at(weights)[:, red, :, 2] - upper.rest[red, :, 2]).mean((1, 2))


def lip_teeth_gap_mm(weights: np.ndarray) -> np.ndarray:
    """How far the top of the lower lip stays below the edge of the upper front teeth, float32 [T].

    0 where the lip reaches the teeth over the whole width of the front teeth, as f and v need.
    """
    _, lower, _ = _lips()
    near = np.abs(np.array(COLUMNS_MM)) <= TEETH_X_MM
    top = lower.at(weights)[:, :, near, 1].max(1).min(1)
    return np.maximum(_teeth_edge_y_mm() - top, 0.0)


def lip_vertex_error_mm(weights: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Lip vertex error of each frame, float32 [T]: the largest distance over all lip vertices (paper, evaluation).

    Its mean is the LVE of a clip.
    """
    head = Head.load()
    difference = np.asarray(weights, np.float32) - np.asarray(reference, np.float32)
    moved = difference @ head.deltas_mm[:, head.lip_vertices].reshape(K, -1)
    return np.linalg.norm(moved.reshape(len(difference), -1, 3), axis=-1).max(1)
