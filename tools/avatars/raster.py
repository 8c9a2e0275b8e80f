"""Which triangle is seen at each pixel, for painting textures: the renderer's depth buffer."""

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
        nearness: above 0, larger is nearer, float [V].
        triangles: int [F, 3]; those that turn their back (clockwise on screen) are left out.
        shape: height and width in pixels.
    Returns:
        The covered pixels.
    """
    from exomni.face.kernels import nearest

    depth, owner = np.zeros(shape, np.float32), np.full(shape, -1, np.int32)
    screen, triangles = screen.astype(np.float32), triangles.astype(np.int64)
    one_side, whole, untextured = (np.zeros(len(triangles), kind) for kind in (bool, np.float32, np.int64))
    no_skin, no_texels, no_places = (
        np.zeros((0, 6), np.float32),
        np.zeros((0, 4), np.float32),
        np.zeros((0, 3), np.int64),
    )
    nearest(screen, nearness.astype(np.float32), triangles, one_side, whole, untextured, no_skin, no_texels, no_places,
            0, 0, depth, owner)  # fmt: skip
    pixel = np.flatnonzero(owner >= 0)
    triangle = owner.ravel()[pixel].astype(np.int64)
    middle = np.stack([pixel % shape[1] + 0.5, pixel // shape[1] + 0.5], 1)
    a, b, c = (screen[triangles[triangle, i]] - middle for i in range(3))
    shares = np.stack([_cross(b, c), _cross(c, a), _cross(a, b)], 1)
    return Seen(pixel, triangle, (shares / shares.sum(1, keepdims=True)).astype(np.float32))


def _cross(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    return p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]
