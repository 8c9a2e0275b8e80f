"""The skin of head, neck and shoulders: cut out of the body, finer where the face is, with places on a texture."""

from dataclasses import dataclass

import numpy as np

from exomni.face.subdivide import Subdivision

from .makehuman import Figure
from .parts import Part, same_places, vertex_normals

BUST_Y_MM, BUST_X_MM = 440.0, 215.0
"""Body below this height or further out than this is left away."""
SKIN_Y_MM = 495.0
"""Skin below this height is under the shirt on everybody."""
FACE_Y_MM, FACE_Z_MM, FACE_X_MM = (612.0, 766.0), 90.0, 58.0
"""The face, where the mesh is made finer: between these heights, in front of this, no further out than this."""
COARSE_MM = 3.5
"""Faces without an edge longer than this are fine enough as they are."""
NECK_FROM_MM, NECK_TO_MM, HEAD_FROM_MM, HEAD_TO_MM = 550.0, 606.0, 612.0, 652.0
"""Between which heights chest passes into neck and neck into head, on planes that rise towards the nape."""
PLANE_SLOPE = 0.55


def smoothstep(low: float, high: float, x: np.ndarray) -> np.ndarray:
    """0 below `low`, 1 above `high`, smooth between."""
    t = np.clip((x - low) / (high - low), 0.0, 1.0)
    return t * t * (3 - 2 * t)


@dataclass(frozen=True, eq=False)
class Mesh:
    """A piece of a figure with its finer mesh, before it is dressed.

    Attributes:
        ids: the body's vertices it is made of, [V].
        subdivision: how the finer mesh follows from it.
        corner: vertex of the finer mesh of each final vertex (seams of the texture split vertices), [N].
        uv: [N, 2], or [N, 0].
        triangles: over final vertices, [F, 3].
        swell_mm: added first, because subdivision shrinks, [V, 3].
        body_mm: where on the base mesh each final vertex is, [N, 3].
    """

    ids: np.ndarray
    subdivision: Subdivision
    corner: np.ndarray
    uv: np.ndarray
    triangles: np.ndarray
    swell_mm: np.ndarray
    body_mm: np.ndarray

    @classmethod
    def of(cls, figure: Figure, quads: np.ndarray, quad_uv: np.ndarray, uv: np.ndarray, fine: np.ndarray) -> "Mesh":
        """Make a mesh of some of a figure's quads.

        Args:
            figure: whose.
            quads: vertex ids, [F, 4].
            quad_uv: rows of `uv`, [F, 4].
            uv: texture places, [T, 2].
            fine: quads to make finer, bool [F].
        """
        ids, flat = np.unique(quads, return_inverse=True)
        local = flat.reshape(quads.shape)
        subdivision = Subdivision.of(local, len(ids))
        rows, slots = split_faces(subdivision, fine)
        corners = with_middles(subdivision, local)[rows, slots]
        places = uv[quad_uv]
        middles = (places + np.roll(places, -1, 1)) / 2
        places = np.concatenate([places, middles, places.mean(1, keepdims=True)], axis=1)[rows, slots]
        keys = np.concatenate([corners.reshape(-1, 1), np.rint(places.reshape(-1, 2) * 1e6)], axis=1)
        unique, index = np.unique(keys, axis=0, return_inverse=True)
        corner = unique[:, 0].astype(int)
        rest = figure.vertices_mm[ids]
        swell = rest - subdivision.smooth(rest)[: len(ids)]
        body = subdivision.spread(figure.body.vertices_mm[ids])[corner]
        return cls(ids, subdivision, corner, unique[:, 1:] / 1e6, index.reshape(-1, 3), swell, body)

    def positions(self, vertices_mm: np.ndarray) -> np.ndarray:
        """The body's vertices [all, 3] as final vertices [N, 3]."""
        return self.subdivision.smooth(vertices_mm[self.ids] + self.swell_mm)[self.corner]

    def part(self, figure: Figure, name: str, material: str) -> Part:
        """The mesh at rest with all its morphs."""
        rest = self.positions(figure.vertices_mm)
        normals = vertex_normals(rest, self.triangles, same_places(rest))
        part = Part(name, material, rest, normals, self.triangles, self.uv)
        moved = [self.positions(figure.vertices_mm + delta) - rest for delta in figure.deltas_mm]
        return part.with_morphs(np.stack(moved))


def with_middles(subdivision: Subdivision, quads: np.ndarray) -> np.ndarray:
    """Of each face its corners, the middles of its edges and its own middle, as fine vertices, [F, 9]."""
    quarters = subdivision.fine_quads.reshape(-1, 4, 4)
    return np.concatenate([quads, quarters[:, :, 1], quarters[:, :1, 2]], axis=1)


def split_faces(subdivision: Subdivision, fine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Triangles as faces [T, 1] and columns of `with_middles` [T, 3]: fine faces as quarters, the others whole.

    A whole face beside a fine one gets the middles of the edges that they share, so that no gap opens.
    """
    middle = subdivision.fine_quads.reshape(-1, 4, 4)[:, :, 1]
    split = np.isin(middle, middle[fine])
    rows, slots = [], []
    for pattern in range(16):
        wanted = np.array([bool(pattern >> i & 1) for i in range(4)])
        chosen = np.flatnonzero(~fine & (split == wanted).all(1))
        outline = [slot for i in range(4) for slot in ([i, 4 + i] if wanted[i] else [i])]
        start = outline.index(4 + int(np.argmax(wanted))) if wanted.any() else 0
        outline = outline[start:] + outline[:start]
        for i in range(1, len(outline) - 1):
            rows.append(chosen)
            slots.append(np.tile([outline[0], outline[i], outline[i + 1]], (len(chosen), 1)))
    for i in range(4):
        for second, third in ((4 + i, 8), (8, 4 + (i + 3) % 4)):
            rows.append(np.flatnonzero(fine))
            slots.append(np.tile([i, second, third], (int(fine.sum()), 1)))
    return np.concatenate(rows)[:, None], np.concatenate(slots)


def pull(body_mm: np.ndarray) -> np.ndarray:
    """How far places on the base mesh follow chest, neck and head, [N, 3], rows add up to 1."""
    height = body_mm[:, 1] + PLANE_SLOPE * (body_mm[:, 2] - 40.0)
    neck = smoothstep(NECK_FROM_MM, NECK_TO_MM, height)
    head = smoothstep(HEAD_FROM_MM, HEAD_TO_MM, height)
    return np.stack([1 - neck, neck * (1 - head), neck * head], axis=1)
