"""Which triangle is seen at each pixel: a depth buffer in NumPy, all triangles at once."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Seen:
    """The covered pixels, N of them.

    Attributes:
        pixel: row * width + column, int64 [N].
        triangle: the nearest triangle there, int64 [N].
        bary: weights of its three corners, float32 [N, 3].
    """

    pixel: np.ndarray
    triangle: np.ndarray
    bary: np.ndarray

    def blend(self, values: np.ndarray, triangles: np.ndarray) -> np.ndarray:
        """Vertex values [V, C] at the covered pixels, [N, C]."""
        corners = triangles[self.triangle]
        out = self.bary[:, :1] * values[corners[:, 0]]
        out += self.bary[:, 1:2] * values[corners[:, 1]]
        return out + self.bary[:, 2:] * values[corners[:, 2]]


def rasterize(
    screen: np.ndarray, nearness: np.ndarray, triangles: np.ndarray, shape: tuple[int, int]
) -> Seen:
    """Find the nearest triangle at each pixel's middle.

    Args:
        screen: vertex positions in pixels, x right and y down, float [V, 2].
        nearness: larger is nearer, float [V].
        triangles: int [F, 3]; those that turn their back (clockwise on screen) are left out.
        shape: height and width in pixels.
    Returns:
        The covered pixels.
    """
    height, width = shape
    corners = screen[triangles].astype(np.float32)
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    low = np.maximum(np.ceil(corners.min(1) - 0.5), 0).astype(np.int64)
    high = np.minimum(np.floor(corners.max(1) - 0.5), (width - 1, height - 1)).astype(np.int64)
    size = np.maximum(high - low + 1, 0)
    count = np.where(area < -1e-6, size[:, 0] * size[:, 1], 0)
    owner = np.repeat(np.arange(len(triangles)), count)
    place = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    column = low[owner, 0] + place % np.maximum(size[owner, 0], 1)
    row = low[owner, 1] + place // np.maximum(size[owner, 0], 1)
    x, y = (column + 0.5).astype(np.float32), (row + 0.5).astype(np.float32)
    a, b, c, area = a[owner], b[owner], c[owner], area[owner]
    wa = ((b[:, 0] - x) * (c[:, 1] - y) - (b[:, 1] - y) * (c[:, 0] - x)) / area
    wb = ((c[:, 0] - x) * (a[:, 1] - y) - (c[:, 1] - y) * (a[:, 0] - x)) / area
    bary = np.stack([wa, wb, 1.0 - wa - wb], 1)
    inside = (bary >= -1e-5).all(1)
    owner, bary, pixel = owner[inside], bary[inside], (row * width + column)[inside]
    depth = (bary * nearness[triangles[owner]]).sum(1)
    order = np.argsort(depth, kind="stable")
    nearest = np.full(height * width, -1)
    nearest[pixel[order]] = order
    chosen = nearest[nearest >= 0]
    return Seen(pixel[chosen], owner[chosen], bary[chosen].astype(np.float32))
