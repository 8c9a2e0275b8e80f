"""Triangles to pixels in NumPy, row by row, fast enough to film with.

Where `face.raster` looks at every pixel of a triangle's box, here each row of a triangle gets its span, and the
nearest triangle of each pixel is found by one maximum over depth and number packed together.
"""

from dataclasses import dataclass, fields

import numpy as np

Box = tuple[int, int, int, int]
"""Top, left, bottom, right in pixels; the last two are outside."""


@dataclass(frozen=True, eq=False)
class Pixels:
    """The covered pixels, N of them.

    Attributes:
        place: row * width + column, int64 [N].
        triangle: the nearest triangle there, int64 [N].
        near: how near it is there, larger is nearer, float32 [N].
        shares: weights of its three corners, float32 [N, 3].
    """

    place: np.ndarray
    triangle: np.ndarray
    near: np.ndarray
    shares: np.ndarray

    def only(self, chosen: np.ndarray) -> "Pixels":
        """Some of the pixels, by index."""
        return Pixels(*(getattr(self, field.name)[chosen] for field in fields(self)))

    def blend(self, values: np.ndarray, triangles: np.ndarray) -> np.ndarray:
        """Vertex values [V, C] at the pixels, float32 [N, C]."""
        corners = triangles[self.triangle]
        out = self.shares[:, :1] * values[corners[:, 0]]
        out += self.shares[:, 1:2] * values[corners[:, 1]]
        out += self.shares[:, 2:] * values[corners[:, 2]]
        return out


def rasterize(
    screen: np.ndarray, near: np.ndarray, triangles: np.ndarray, both_sides: np.ndarray, width: int, box: Box
) -> Pixels:
    """Find the nearest triangle at each pixel's middle.

    Args:
        screen: vertices in pixels, x right and y down, float32 [V, 2].
        near: of each vertex, above 0, larger is nearer, float32 [V].
        triangles: int64 [F, 3]; those that run clockwise on the screen turn their back.
        both_sides: triangles that are seen from behind too, bool [F].
        width: of the picture in pixels.
        box: the part of the picture to look at.
    """
    top, left, bottom, right = box
    inside = _touching(screen, triangles, box)
    triangles = triangles[inside]
    a, b, c = (screen[triangles[:, i]] for i in range(3))
    double_area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    y_low = np.maximum(np.ceil(np.minimum(np.minimum(a[:, 1], b[:, 1]), c[:, 1]) - 0.5), top)
    y_high = np.minimum(np.floor(np.maximum(np.maximum(a[:, 1], b[:, 1]), c[:, 1]) - 0.5), bottom - 1)
    seen = ((double_area < -1e-4) | (both_sides[inside] & (double_area > 1e-4))) & (y_high >= y_low)
    chosen = np.flatnonzero(seen)
    n_rows = (y_high[chosen] - y_low[chosen]).astype(np.int64) + 1
    edges = _edges(a[chosen], b[chosen], c[chosen], double_area[chosen])
    owner, y = _runs(n_rows, y_low[chosen].astype(np.int64))
    start, end = _spans(edges, owner, y, left, right)
    lengths = np.maximum(end - start + 1, 0)
    row, x = _runs(lengths, start)
    owner, y = owner[row], y[row]
    slopes = _near_slopes(edges, near[triangles[chosen]])
    depth = slopes[owner, 0] * x.astype(np.float32) + slopes[owner, 1] * y.astype(np.float32) + slopes[owner, 2]
    depth = np.maximum(depth, np.float32(1e-6)).view(np.uint32)
    key = (depth.astype(np.uint64) << np.uint64(32)) | owner.astype(np.uint64)
    nearest = np.zeros((bottom - top) * width, np.uint64)
    np.maximum.at(nearest, (y - top) * np.int32(width) + x, key)
    place = np.flatnonzero(nearest)
    owner = (nearest[place] & np.uint64(0xFFFFFFFF)).astype(np.int64)
    x, y = (place % width + 0.5).astype(np.float32), (place // width + top + 0.5).astype(np.float32)
    shares = edges[owner, :, 0] * x[:, None] + edges[owner, :, 1] * y[:, None] + edges[owner, :, 2]
    depth = (nearest[place] >> np.uint64(32)).astype(np.uint32).view(np.float32)
    return Pixels(place + top * width, inside[chosen[owner]], depth, shares)


def _touching(screen: np.ndarray, triangles: np.ndarray, box: Box) -> np.ndarray:
    """Indices of the triangles that may cover a pixel of the box: no side of it has all three corners outside."""
    top, left, bottom, right = box
    x, y = screen.T
    outside = np.stack([x < left, x > right, y < top, y > bottom])
    return np.flatnonzero(~outside[:, triangles].all(axis=2).any(axis=0))


def _edges(a: np.ndarray, b: np.ndarray, c: np.ndarray, double_area: np.ndarray) -> np.ndarray:
    """Each corner's share as a plane over the picture, share = x * [0] + y * [1] + [2]; float32 [F, 3, 3]."""
    out = np.empty((len(a), 3, 3), np.float64)
    for i, (p, q) in enumerate(((b, c), (c, a), (a, b))):
        p, q = p.astype(np.float64), q.astype(np.float64)
        out[:, i, 0] = p[:, 1] - q[:, 1]
        out[:, i, 1] = q[:, 0] - p[:, 0]
        out[:, i, 2] = p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]
    return (out / double_area[:, None, None]).astype(np.float32)


def _near_slopes(edges: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Nearness of whole columns and rows at their middles, as a plane over the picture, float32 [F, 3]."""
    plane = np.einsum("fij,fi->fj", edges, near.astype(np.float32))
    plane[:, 2] += 0.5 * (plane[:, 0] + plane[:, 1])
    return plane


def _spans(edges: np.ndarray, owner: np.ndarray, y: np.ndarray, left: int, right: int) -> tuple[np.ndarray, np.ndarray]:
    """First and last column of each row of a triangle whose middle is inside, int64 [R]; empty if crossed."""
    low = np.full(len(owner), left, np.float64)
    high = np.full(len(owner), right - 1, np.float64)
    middle = y + 0.5
    for i in range(3):
        slope, rest = edges[owner, i, 0].astype(np.float64), edges[owner, i, 1] * middle + edges[owner, i, 2]
        flat = np.abs(slope) < 1e-12
        crossing = -rest / np.where(flat, 1.0, slope) - 0.5
        low = np.where(~flat & (slope > 0), np.maximum(low, np.ceil(crossing - 1e-6)), low)
        high = np.where(~flat & (slope < 0), np.minimum(high, np.floor(crossing + 1e-6)), high)
        high = np.where(flat & (rest < 0), low - 1, high)
    return low.astype(np.int64), high.astype(np.int64)


def _runs(lengths: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which run each element of all runs is in, and its value, counting up from the run's start."""
    owner = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
    first = np.cumsum(lengths) - lengths
    return owner, np.arange(len(owner), dtype=np.int32) - (first - starts).astype(np.int32)[owner]
