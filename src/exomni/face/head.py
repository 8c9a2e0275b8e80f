"""A head with the 52 ARKit shapes, which faces are measured and shown on.

The mesh is MakeHuman's (CC0), cut out by `tools/build_head.py`: x to the head's own left, y up, z forward,
millimetres.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from ..core.arkit import K
from ..core.errors import AssetError, InputError

ASSET = Path(__file__).with_name("head.npz")
DELTA_STEP_MM = 0.005
"""Displacements are stored as whole multiples of this."""
PARTS: tuple[str, ...] = ("skin", "eye", "upper_teeth", "lower_teeth", "tongue", "lashes")


@dataclass(frozen=True, eq=False)
class Head:
    """The mesh at rest and what each shape adds to it.

    Attributes:
        vertices_mm: rest positions, float32 [V, 3].
        quads: corners of the faces, int64 [F, 4].
        quad_parts: index into PARTS of each face, uint8 [F].
        deltas_mm: displacement by each shape at weight 1, float32 [K, V, 3].
        upper_lip: loops along the upper lip, int64 [R, N]: from the border of the red (0) inwards, each from the
            right corner of the mouth to the left one.
        lower_lip: the same of the lower lip.
    """

    vertices_mm: np.ndarray
    quads: np.ndarray
    quad_parts: np.ndarray
    deltas_mm: np.ndarray
    upper_lip: np.ndarray
    lower_lip: np.ndarray

    @classmethod
    @cache
    def load(cls) -> "Head":
        """The shipped head; read once.

        Raises:
            AssetError: the file is missing or damaged.
        """
        try:
            with np.load(ASSET, allow_pickle=False) as file:
                raw = {name: file[name] for name in file.files}
            vertices = raw["vertices_mm"]
            deltas = np.zeros((K, len(vertices), 3), np.float32)
            ends = np.cumsum(raw["delta_count"].astype(np.int64))
            for k, (start, end) in enumerate(zip(ends - raw["delta_count"], ends, strict=True)):
                deltas[k, raw["delta_index"][start:end]] = raw["delta_steps"][start:end] * DELTA_STEP_MM
            return cls(
                vertices,
                raw["quads"].astype(np.int64),
                raw["quad_parts"],
                deltas,
                raw["upper_lip"].astype(np.int64),
                raw["lower_lip"].astype(np.int64),
            )
        except (OSError, KeyError, ValueError, IndexError) as error:
            raise AssetError(f"the head asset {ASSET.name} cannot be read ({error}); reinstall exomni") from error

    @property
    def lip_vertices(self) -> np.ndarray:
        """Vertices that lip vertex error is taken over: every loop of both lips, int64 [L], sorted."""
        return np.unique(np.concatenate([self.upper_lip.ravel(), self.lower_lip.ravel()]))

    def apply(self, weights: np.ndarray, vertices: Sequence[int] | np.ndarray | None = None) -> np.ndarray:
        """Move the head.

        Args:
            weights: shape weights in the project's order, [T, K].
            vertices: ids of the vertices that are wanted; all without it.
        Returns:
            Positions in mm, float32 [T, V, 3] or [T, len(vertices), 3].
        Raises:
            InputError: not [T, K].
        """
        weights = np.asarray(weights, np.float32)
        if weights.ndim != 2 or weights.shape[1] != K:
            raise InputError(f"weights have shape {weights.shape}, not [T, {K}]")
        rest, deltas = self.vertices_mm, self.deltas_mm
        if vertices is not None:
            rest, deltas = rest[vertices], deltas[:, vertices]
        moved = weights @ deltas.reshape(K, -1)
        return moved.reshape(len(weights), -1, 3) + rest
