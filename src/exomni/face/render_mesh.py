"""A head as it is drawn: a triangle mesh with blendshapes, colours and textures; and the project's own head as one.

The head that faces are measured on is coarse. For pictures it is subdivided once and coloured by formula.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from ..core.arkit import NAMES
from .head import PARTS, Head
from .materials import LASH, TONGUE, Surface, eye_colour, lash_cover, skin_colour, surface, teeth_colour
from .subdivide import Subdivision

METRES_PER_MM = 1e-3
MIN_MOVE_MM, MIN_NORMAL_CHANGE = 0.02, 0.01
"""A vertex that moves less, or a normal that turns less, is left out of a blendshape."""
EYE_PIXELS = 256
GAMMA = 2.2
PIVOT_MM = np.array([0.0, 640.0, 40.0], np.float32)
"""Where the neck bears the head, in the coordinates of `Head`."""
NECK_Y_MM, THROAT_Z_MM = (575.0, 645.0), 70.0
"""Heights between which the neck twists, and how far in front the throat is."""
SHINE, SHARPNESS = 0.12, 28.0
"""Of skin, and of everything that is not known."""
EYE_SHINE, EYE_SHARPNESS = 1.0, 220.0
TEETH = [PARTS.index(name) for name in ("upper_teeth", "lower_teeth")]


@dataclass(frozen=True, eq=False)
class RenderMesh:
    """A head at rest, what each ARKit shape does to it, and how it looks.

    Attributes:
        positions: metres, x to its left, y up, looking along z; float32 [V, 3].
        normals: float32 [V, 3].
        deltas: what each shape adds at 1, float32 [52, V, 3].
        normal_deltas: what each shape adds to the normals, float32 [52, V, 3].
        triangles: int64 [F, 3].
        colours: linear RGBA, float32 [V, 4].
        uv: places on a texture, from the top left, float32 [V, 2].
        texture: index into `textures` of each triangle, -1 for none, int64 [F].
        textures: linear RGBA pictures, float32 [h, w, 4].
        blended: triangles that are laid over the others by their opacity, bool [F].
        both_sides: triangles that are seen from behind too, bool [F].
        cutoff: opacity under which there is a hole in a triangle, 0 where there are none, float32 [F].
        shine: how glossy each vertex is, float32 [V].
        sharpness: how small its highlights are, float32 [V].
        turning: how far each vertex follows a rotation of the head, 0..1, float32 [V].
        pivot: what the head turns about, float32 [3].
        shapes: ARKit shapes that it has.
    """

    positions: np.ndarray
    normals: np.ndarray
    deltas: np.ndarray
    normal_deltas: np.ndarray
    triangles: np.ndarray
    colours: np.ndarray
    uv: np.ndarray
    texture: np.ndarray
    textures: tuple[np.ndarray, ...]
    blended: np.ndarray
    both_sides: np.ndarray
    cutoff: np.ndarray
    shine: np.ndarray
    sharpness: np.ndarray
    turning: np.ndarray
    pivot: np.ndarray
    shapes: tuple[str, ...]


@cache
def own_head_mesh() -> RenderMesh:
    """The project's head, subdivided once, its middle at the origin; made once."""
    head = Head.load()
    rest_mm = head.vertices_mm
    subdivision = Subdivision.of(head.quads, len(rest_mm))
    look = surface(subdivision)
    hard = np.isin(look.part, TEETH)
    swell_mm = rest_mm - subdivision.smooth(rest_mm)[: len(rest_mm)]

    def fine(positions_mm: np.ndarray) -> np.ndarray:
        """Subdivided without shrinking; the edges of the teeth stay hard."""
        smooth = subdivision.smooth(positions_mm + swell_mm)
        smooth[hard] = subdivision.spread(positions_mm)[hard]
        return smooth

    quads = subdivision.fine_quads
    triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    part = np.tile(np.repeat(head.quad_parts, 4), 2)
    base_mm = fine(rest_mm)
    normals = smooth_normals(base_mm, triangles)
    moved_mm = [fine(rest_mm + delta) for delta in head.deltas_mm]
    deltas_mm = np.stack([each - base_mm for each in moved_mm])
    normal_deltas = np.stack([smooth_normals(each, triangles) - normals for each in moved_mm])
    deltas_mm[np.abs(deltas_mm).max(axis=2) < MIN_MOVE_MM] = 0
    normal_deltas[np.abs(normal_deltas).max(axis=2) < MIN_NORMAL_CHANGE] = 0
    middle_mm = (base_mm.min(axis=0) + base_mm.max(axis=0)) / 2
    reach = _light_in_the_mouth(look).astype(np.float32)
    colours = _colours(look)
    colours[:, :3] *= reach[:, None]
    eye, lash = part == PARTS.index("eye"), part == PARTS.index("lashes")
    shine, sharpness = np.full((2, len(base_mm)), [[SHINE], [SHARPNESS]], np.float32)
    shine[triangles[eye]], sharpness[triangles[eye]] = EYE_SHINE, EYE_SHARPNESS
    radius_mm = float(np.abs(look.eye_mm[triangles[eye]]).max())
    return RenderMesh(
        positions=(base_mm - middle_mm) * np.float32(METRES_PER_MM),
        normals=normals,
        deltas=deltas_mm * np.float32(METRES_PER_MM),
        normal_deltas=normal_deltas,
        triangles=triangles,
        colours=colours,
        uv=(0.5 + look.eye_mm[:, :2] * [0.5, -0.5] / radius_mm).astype(np.float32),
        texture=np.where(eye, 0, -1),
        textures=(_eye_texture(radius_mm),),
        blended=lash,
        both_sides=lash | np.isin(part, TEETH),
        cutoff=np.zeros(len(part), np.float32),
        shine=shine * reach,
        sharpness=sharpness,
        turning=_follows_the_head(base_mm),
        pivot=(PIVOT_MM - middle_mm) * np.float32(METRES_PER_MM),
        shapes=NAMES,
    )


def smooth_normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Normals of a smooth surface, weighted by area, float32 [V, 3]."""
    a, b, c = (vertices[triangles[:, i]] for i in range(3))
    corner = triangles.ravel()
    each = np.repeat(np.cross(b - a, c - a), 3, axis=0)
    out = np.stack([np.bincount(corner, each[:, i], len(vertices)) for i in range(3)], axis=1)
    lengths = np.linalg.norm(out, axis=1, keepdims=True)
    return np.where(lengths > 0, out / np.maximum(lengths, 1e-12), [0.0, 0.0, 1.0]).astype(np.float32)


def srgb_pixels(linear: np.ndarray) -> np.ndarray:
    """Linear brightness 0..1 as uint8 in (nearly) sRGB."""
    return np.rint(np.clip(linear, 0, 1) ** (1 / GAMMA) * 255).astype(np.uint8)


def _eye_texture(radius_mm: float) -> np.ndarray:
    """The front of an eyeball, seen from afar, linear RGBA, float32 [EYE_PIXELS, EYE_PIXELS, 4]."""
    across_mm = ((np.arange(EYE_PIXELS) + 0.5) / EYE_PIXELS * 2 - 1) * radius_mm
    x, y = np.meshgrid(across_mm, -across_mm)
    front = np.stack([x.ravel(), y.ravel(), np.ones(x.size)], axis=1).astype(np.float32)
    # Through 8 bits, so that the file of this head shows the same picture as the renderer.
    stored = srgb_pixels(eye_colour(front)).reshape(EYE_PIXELS, EYE_PIXELS, 3).astype(np.float32) / 255
    return np.concatenate([stored**GAMMA, np.ones((EYE_PIXELS, EYE_PIXELS, 1), np.float32)], axis=2)


def _follows_the_head(rest_mm: np.ndarray) -> np.ndarray:
    """How far the skin turns with the head, [V]: the chin, as low as the throat but farther in front, wholly."""
    low, high = NECK_Y_MM
    height = rest_mm[:, 1] + 0.8 * np.maximum(rest_mm[:, 2] - THROAT_Z_MM, 0)
    part = np.clip((height - low) / (high - low), 0, 1)
    return (part * part * (3 - 2 * part)).astype(np.float32)


def _colours(look: Surface) -> np.ndarray:
    """Linear RGBA of every vertex, [V, 4]; white where a texture has the colour."""
    out = np.ones((len(look.part), 4), np.float32)
    for name, colour in (
        ("skin", lambda at: skin_colour(look.rest_mm[at], look.red[at], look.cavity[at])),
        ("upper_teeth", lambda at: teeth_colour(look.rest_mm[at], upper=True)),
        ("lower_teeth", lambda at: teeth_colour(look.rest_mm[at], upper=False)),
        ("tongue", lambda at: TONGUE),
        ("lashes", lambda at: LASH),
    ):
        at = look.part == PARTS.index(name)
        out[at, :3] = colour(at)
    lashes = look.part == PARTS.index("lashes")
    out[lashes, 3] = lash_cover(look.eye_mm[lashes])
    return np.clip(out, 0, 1)


def _light_in_the_mouth(look: Surface) -> np.ndarray:
    """How much light gets there, 0..1, [V]: 1 outside; less behind the lips and towards the cheeks."""
    x, z = np.abs(look.rest_mm[:, 0]), look.rest_mm[:, 2]
    depth = np.clip((z - 108.0) / 36.0, 0, 1) * (1 - 0.9 * np.clip((x - 13.0) / 11.0, 0, 1))
    inner = np.isin(look.part, [*TEETH, PARTS.index("tongue")])
    return np.where(inner | (look.cavity > 0.5), 0.015 + 0.985 * depth, 1.0)
