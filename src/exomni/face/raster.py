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


def rasterize(screen: np.ndarray, nearness: np.ndarray, triangles: np.ndarray, shape: tuple[int, int]) -> Seen:
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
    low = np.maximum(np.ceil(corners.min(1) - 0.5), 0).astype(np.int32)
    high = np.minimum(np.floor(corners.max(1) - 0.5), (width - 1, height - 1)).astype(np.int32)
    size = np.maximum(high - low + 1, 0)
    ax, ay, bx, by, cx, cy = corners.reshape(-1, 6).T
    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    kept = np.flatnonzero((area < -1e-6) & (size[:, 0] * size[:, 1] > 0))
    count = size[kept, 0] * size[kept, 1]
    owner = np.repeat(kept, count)
    place = np.arange(len(owner), dtype=np.int32) - np.repeat((np.cumsum(count) - count).astype(np.int32), count)
    down = place // size[owner, 0]
    column, row = low[owner, 0] + place - down * size[owner, 0], low[owner, 1] + down
    # The weights of a and b change linearly over the screen: one slope a triangle, one product a pixel.
    wa_x, wa_y = (by - cy) / area, (cx - bx) / area
    wb_x, wb_y = (cy - ay) / area, (ax - cx) / area
    dx, dy = column + np.float32(0.5) - cx[owner], row + np.float32(0.5) - cy[owner]
    wa = dx * wa_x[owner] + dy * wa_y[owner]
    wb = dx * wb_x[owner] + dy * wb_y[owner]
    inside = np.flatnonzero((wa > -1e-5) & (wb > -1e-5) & (wa + wb < 1.0 + 1e-5))
    owner, wa, wb, pixel = owner[inside], wa[inside], wb[inside], (row * width + column)[inside]
    bary = np.stack([wa, wb, 1.0 - wa - wb], 1)
    near = nearness.astype(np.float32)[triangles[owner]]
    order = np.argsort(np.einsum("nk,nk->n", bary, near), kind="stable")
    nearest = np.full(height * width, -1)
    nearest[pixel[order]] = order
    chosen = nearest[nearest >= 0]
    return Seen(pixel[chosen], owner[chosen], bary[chosen])
