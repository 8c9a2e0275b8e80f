"""One step of Catmull-Clark subdivision, for a picture without corners.

The connections are worked out once; after that smoothing new positions is a few array operations.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Subdivision:
    """How a finer mesh follows from a coarse one.

    Attributes:
        quads: the coarse faces, [F, 4].
        fine_quads: the fine ones, [4 F, 4]: the fine vertices are the coarse ones, then edges, then faces.
        edges: ends of each edge, [E, 2].
        edge_faces: the faces on both its sides, [E, 2]; the same one twice at a border.
        border: edges with one face, bool [E].
    """

    quads: np.ndarray
    fine_quads: np.ndarray
    edges: np.ndarray
    edge_faces: np.ndarray
    border: np.ndarray

    @classmethod
    def of(cls, quads: np.ndarray, n_vertices: int) -> "Subdivision":
        """The subdivision of a mesh of quads [F, 4] over `n_vertices` vertices."""
        sides = np.stack([quads, np.roll(quads, -1, 1)], 2).reshape(-1, 2)
        edges, of_side, count = np.unique(np.sort(sides, 1), axis=0, return_inverse=True, return_counts=True)
        of_side = of_side.reshape(-1)
        owner = np.repeat(np.arange(len(quads)), 4)
        order = np.argsort(of_side, kind="stable")
        first = np.cumsum(count) - count
        edge_faces = np.stack([owner[order[first]], owner[order[first + count - 1]]], 1)
        side = n_vertices + of_side.reshape(-1, 4)
        middle = np.repeat(n_vertices + len(edges) + np.arange(len(quads)), 4).reshape(-1, 4)
        fine = np.stack([quads, side, middle, np.roll(side, 1, 1)], 2).reshape(-1, 4)
        return cls(quads, fine, edges, edge_faces, count == 1)

    def smooth(self, values: np.ndarray) -> np.ndarray:
        """Vertex values [V, C] on the fine mesh, [V + E + F, C]."""
        faces = values[self.quads].mean(1)
        middles = values[self.edges].mean(1)
        edges = np.where(self.border[:, None], middles, (middles + faces[self.edge_faces].mean(1)) / 2)
        n = len(values)
        corner, ends, rim = self.quads.ravel(), self.edges.ravel(), self.edges[self.border].ravel()
        valence = np.bincount(ends, minlength=n).astype(np.float32)
        around = np.maximum(np.bincount(corner, minlength=n), 1)[:, None]
        on_rim = np.bincount(rim, minlength=n) > 0
        face_mean = _sum_by(corner, np.repeat(faces, 4, 0), n) / around
        side_mean = _sum_by(ends, np.repeat(middles, 2, 0), n) / np.maximum(valence, 1)[:, None]
        rim_mean = _sum_by(rim, np.repeat(middles[self.border], 2, 0), n) / 2
        v = np.maximum(valence, 3)[:, None]
        inner = (face_mean + 2 * side_mean + (v - 3) * values) / v
        vertices = np.where(on_rim[:, None], values / 2 + rim_mean / 2, inner)
        return np.concatenate([vertices, edges, faces]).astype(np.float32)

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Vertex values [V, C] on the fine mesh, unsmoothed: the means of their ends and corners."""
        return np.concatenate([values, values[self.edges].mean(1), values[self.quads].mean(1)]).astype(np.float32)


def _sum_by(index: np.ndarray, values: np.ndarray, n: int) -> np.ndarray:
    """Sums of rows [N, C] by index, [n, C]."""
    return np.stack([np.bincount(index, values[:, c], n) for c in range(values.shape[1])], 1)
