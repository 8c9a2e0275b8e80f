"""Where the skin lies on its texture: MakeHuman's own layout, packed so that the face gets most of the room."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt

from .raster import rasterize
from .skin import Mesh

# Pieces of MakeHuman's layout and ours, as left, top, right, bottom from the upper left corner.
PIECES = {
    "body": ((0.0, 0.0, 0.63, 0.35), (0.01, 0.815, 0.55, 0.99)),
    "ears": ((0.0, 0.355, 0.16, 0.47), (0.57, 0.815, 0.78, 0.99)),
    "mouth": ((0.74, 0.862, 0.94, 1.0), (0.80, 0.815, 0.99, 0.99)),
}
DOWN_FROM, DOWN_TO = (0.638, 0.76, 0.96, 0.996), (0.005, 0.12, 0.70, 0.80)
"""From the crown down to the throat: the face is enlarged."""
ACROSS_FROM, ACROSS_TO = (0.18, 0.42, 0.62, 0.86), (0.005, 0.16, 0.84, 0.995)


def packed(uv: np.ndarray) -> np.ndarray:
    """MakeHuman's texture places (origin lower left) on our texture (origin upper left), [N, 2]."""
    x, y = uv[:, 0], 1.0 - uv[:, 1]
    out = np.stack([np.interp(y, ACROSS_FROM, ACROSS_TO), np.interp(x, DOWN_FROM, DOWN_TO)], axis=1)
    for (left, top, right, bottom), (to_left, to_top, to_right, to_bottom) in PIECES.values():
        inside = (x >= left) & (x <= right) & (y >= top) & (y <= bottom)
        out[inside, 0] = to_left + (x[inside] - left) / (right - left) * (to_right - to_left)
        out[inside, 1] = to_top + (y[inside] - top) / (bottom - top) * (to_bottom - to_top)
    return out


@dataclass(frozen=True, eq=False)
class Texels:
    """What lies under each pixel of a texture; pixels beside the skin repeat the nearest one on it.

    Attributes:
        size: height and width in pixels.
        values: of the vertices, blended, [size, size, C].
    """

    size: int
    values: np.ndarray

    @classmethod
    def of(cls, mesh: Mesh, values: np.ndarray, size: int) -> "Texels":
        """Spread values of a mesh's final vertices [N, C] over its texture."""
        places = packed(mesh.uv) * size
        a, b, c = (places[mesh.triangles[:, i]] for i in range(3))
        clockwise = np.cross(b - a, c - a) > 0
        facing = np.where(clockwise[:, None], mesh.triangles[:, ::-1], mesh.triangles)
        seen = rasterize(places, np.ones(len(places)), facing, (size, size))
        flat = np.zeros((size * size, values.shape[1]), np.float32)
        covered = np.zeros(size * size, bool)
        flat[seen.pixel] = seen.blend(values.astype(np.float32), facing)
        covered[seen.pixel] = True
        row, column = distance_transform_edt(~covered.reshape(size, size), return_distances=False, return_indices=True)
        return cls(size, flat.reshape(size, size, -1)[row, column])
