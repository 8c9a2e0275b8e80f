"""A picture of the head: perspective, smooth shading, no GPU."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from ..core.arkit import K
from ..core.errors import InputError
from .head import PARTS, Head
from .materials import LASH, TONGUE, Surface, eye_colour, lash_cover, skin_colour, surface, teeth_colour
from .raster import Seen, rasterize
from .subdivide import Subdivision

CAMERA_MM = 900.0
"""Distance of the camera from the middle of the picture."""


def _lamp(direction: tuple[float, float, float], colour: tuple[float, float, float]):
    """A far light: unit vector towards it, and its colour."""
    towards = np.array(direction, np.float32)
    return towards / np.linalg.norm(towards), np.array(colour, np.float32)


LIGHTS = (
    _lamp((-0.45, 0.55, 0.70), (1.26, 1.20, 1.11)),
    _lamp((0.75, 0.10, 0.65), (0.31, 0.35, 0.41)),
    _lamp((0.50, 0.35, -0.80), (0.66, 0.63, 0.59)),
)
"""Key, fill and rim light: direction, colour."""
SKY, GROUND = np.array([0.34, 0.37, 0.42], np.float32), np.array([0.20, 0.17, 0.15], np.float32)
SKIN_WRAP = np.array([0.42, 0.20, 0.14], np.float32)
"""How far light creeps round the skin, by colour: red goes deepest."""


@dataclass(frozen=True)
class View:
    """What the picture shows.

    Attributes:
        middle_mm: point that is in the middle of the picture.
        height_mm: what fits from the bottom to the top.
        yaw_deg: how far the head is turned to its left.
    """

    middle_mm: tuple[float, float, float] = (0.0, 712.0, 90.0)
    height_mm: float = 262.0
    yaw_deg: float = 0.0


TEETH_PARTS = [PARTS.index(name) for name in ("upper_teeth", "lower_teeth")]
HEAD_VIEW = View()
MOUTH_VIEW = View((0.0, 660.0, 140.0), 105.0)


def render(
    weights: np.ndarray, size: int | tuple[int, int] = 512, view: View = HEAD_VIEW, samples: int = 2
) -> np.ndarray:
    """Draw one face.

    Args:
        weights: [K].
        size: height and width in pixels, or both at once.
        view: what to show.
        samples: samples a pixel in each direction; 1 is quick, 2 smooth.
    Returns:
        RGB picture, uint8 [H, W, 3].
    Raises:
        InputError: `weights` is not [K].
    """
    weights = np.asarray(weights)
    if weights.shape != (K,):
        raise InputError(f"weights have shape {weights.shape}, not [{K}]")
    height, width = (size, size) if isinstance(size, int) else size
    shape = height * samples, width * samples
    mesh = _mesh()
    positions = mesh.fine(Head.load().apply(weights[None])[0])
    turn = _turn(view.yaw_deg)
    normals = _normals(positions) @ turn
    positions = (positions - _PIVOT_MM) @ turn - (np.array(view.middle_mm) - _PIVOT_MM) @ turn
    away = CAMERA_MM - positions[:, 2]
    zoom = shape[0] * CAMERA_MM / view.height_mm / away
    screen = np.stack([shape[1] / 2 + positions[:, 0] * zoom, shape[0] / 2 - positions[:, 1] * zoom], 1)
    seen = rasterize(screen, 1.0 / away, mesh.solid, shape)
    picture = _background(shape)
    flat = picture.reshape(-1, 3)
    flat[seen.pixel] = _shade(seen, positions, normals)
    _draw_lashes(flat, seen, rasterize(screen, 1.0 / away, mesh.lashes, shape), 1.0 / away)
    picture = picture.reshape(height, samples, width, samples, 3).mean((1, 3))
    return np.rint(255 * np.clip(picture, 0, 1) ** (1 / 2.2)).astype(np.uint8)


_PIVOT_MM = np.array([0.0, 0.0, 40.0])


@dataclass(frozen=True, eq=False)
class _Mesh:
    """The finer mesh that is drawn.

    Attributes:
        subdivision: how it follows from the head's.
        swell_mm: added to the head's vertices first, because subdivision shrinks: at rest the fine mesh then
            passes close to the coarse one's vertices and the lips still touch, [V, 3].
        hard: fine vertices that are not smoothed (the teeth's edges would melt), bool.
        solid: triangles but for the lashes, teeth with both sides, [F, 3].
        lashes: triangles of the lashes, both sides, [L, 3].
        surface: what it is made of.
    """

    subdivision: Subdivision
    swell_mm: np.ndarray
    hard: np.ndarray
    solid: np.ndarray
    lashes: np.ndarray
    surface: Surface

    def fine(self, positions: np.ndarray) -> np.ndarray:
        """The head's vertices [V, 3] as the fine mesh's."""
        smooth = self.subdivision.smooth(positions + self.swell_mm)
        smooth[self.hard] = self.subdivision.spread(positions)[self.hard]
        return smooth


@cache
def _mesh() -> _Mesh:
    head = Head.load()
    rest = head.vertices_mm
    subdivision = Subdivision.of(head.quads, len(rest))
    q, part = subdivision.fine_quads, np.tile(np.repeat(head.quad_parts, 4), 2)
    front = np.concatenate([q[:, [0, 1, 2]], q[:, [0, 2, 3]]])
    teeth = np.isin(part, TEETH_PARTS)
    lash = part == PARTS.index("lashes")
    solid = np.concatenate([front[~lash], front[teeth][:, ::-1]])
    lashes = np.concatenate([front[lash], front[lash][:, ::-1]])
    look = surface(subdivision)
    swell = rest - subdivision.smooth(rest)[: len(rest)]
    return _Mesh(subdivision, swell, np.isin(look.part, TEETH_PARTS), solid, lashes, look)


def _normals(positions: np.ndarray) -> np.ndarray:
    """Unit normals of the fine mesh's vertices, [V, 3]."""
    quads = _mesh().subdivision.fine_quads
    corners = positions[quads]
    across = np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
    index = quads.T.ravel()
    sums = np.stack([np.bincount(index, np.tile(across[:, i], 4), len(positions)) for i in range(3)], 1)
    return (sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)).astype(np.float32)


def _turn(yaw_deg: float) -> np.ndarray:
    """Turns row vectors about the upright axis, [3, 3]."""
    angle = np.deg2rad(yaw_deg)
    return np.array([[np.cos(angle), 0, -np.sin(angle)], [0, 1, 0], [np.sin(angle), 0, np.cos(angle)]], np.float32)


def _background(shape: tuple[int, int]) -> np.ndarray:
    """A grey wall, lighter towards the middle, float32 [H, W, 3]."""
    y, x = np.linspace(-1, 1, shape[0])[:, None], np.linspace(-1, 1, shape[1])[None]
    fall = (1.0 - 0.45 * (x**2 + y**2)).clip(0.1)
    return (fall[..., None] * np.array([0.26, 0.29, 0.33])).astype(np.float32)


def _shade(seen: Seen, positions: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Linear colour of the covered pixels, [N, 3]."""
    skin, triangles = _mesh().surface, _mesh().solid
    part = skin.part[triangles[seen.triangle, 0]]
    fields = np.concatenate([normals, positions, skin.rest_mm, skin.eye_mm, skin.red[:, None], skin.cavity[:, None]], 1)
    pixel = seen.blend(fields.astype(np.float32), triangles)
    normal, place, rest, eye = pixel[:, :3], pixel[:, 3:6], pixel[:, 6:9], pixel[:, 9:12]
    red, cavity = pixel[:, 12], pixel[:, 13]
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-6)
    look = np.array([0, 0, CAMERA_MM], np.float32) - place
    look /= np.linalg.norm(look, axis=1, keepdims=True)
    normal *= np.where((normal * look).sum(1, keepdims=True) < 0, -1.0, 1.0)
    colour = np.empty_like(normal)
    gloss = np.full(len(part), 0.10, np.float32)
    sharp = np.full(len(part), 18.0, np.float32)
    is_skin = part == PARTS.index("skin")
    colour[is_skin] = skin_colour(rest[is_skin], red[is_skin], cavity[is_skin])
    gloss[is_skin] += 0.30 * np.clip(red[is_skin], 0, 1)
    is_eye = part == PARTS.index("eye")
    colour[is_eye] = eye_colour(eye[is_eye])
    gloss[is_eye], sharp[is_eye] = 1.6, 260.0
    for name in ("upper_teeth", "lower_teeth"):
        chosen = part == PARTS.index(name)
        colour[chosen], gloss[chosen], sharp[chosen] = (
            teeth_colour(rest[chosen], name == "upper_teeth"),
            0.12,
            40.0,
        )
    chosen = part == PARTS.index("tongue")
    colour[chosen], gloss[chosen], sharp[chosen] = TONGUE, 0.35, 40.0
    lit = _light(normal, look, gloss, sharp, np.where((is_skin & (cavity < 0.5))[:, None], SKIN_WRAP, np.float32(0.05)))
    return (colour * lit[0] + lit[1]) * _reach(part, rest, cavity, eye)[:, None]


def _draw_lashes(flat: np.ndarray, solid: Seen, lashes: Seen, nearness: np.ndarray) -> None:
    """Blend the lashes that nothing solid hides into the picture [H * W, 3]."""
    mesh = _mesh()
    depth = np.zeros(len(flat), np.float32)
    depth[solid.pixel] = solid.blend(nearness[:, None], mesh.solid)[:, 0]
    front = lashes.blend(nearness[:, None], mesh.lashes)[:, 0] > depth[lashes.pixel]
    cover = lash_cover(lashes.blend(mesh.surface.eye_mm, mesh.lashes)[front])[:, None]
    pixel = lashes.pixel[front]
    flat[pixel] += (LASH - flat[pixel]) * cover


def _light(
    normal: np.ndarray, look: np.ndarray, gloss: np.ndarray, sharp: np.ndarray, wrap: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Diffuse light [N, 3] and shine [N, 3] on surfaces that look along `normal` and are seen along `look`."""
    up = 0.5 + 0.5 * normal[:, 1:2]
    diffuse = GROUND + (SKY - GROUND) * up
    shine = np.zeros_like(normal)
    for direction, colour in LIGHTS:
        cos = normal @ direction
        diffuse += np.maximum((cos[:, None] + wrap) / (1 + wrap) ** 2, 0) * colour
        half = look + direction
        toward = np.einsum("nk,nk->n", normal, half) / np.sqrt(np.einsum("nk,nk->n", half, half))
        glint = np.maximum(toward, 0) ** sharp * gloss * (cos > 0)
        shine += glint[:, None] * colour
    return diffuse, shine


def _reach(part: np.ndarray, rest: np.ndarray, cavity: np.ndarray, eye: np.ndarray) -> np.ndarray:
    """How much light gets there, 0..1, [N]: little into the mouth and under the lids."""
    reach = np.ones(len(part), np.float32)
    inner = (cavity > 0.5) | np.isin(part, [PARTS.index(p) for p in ("upper_teeth", "lower_teeth", "tongue")])
    depth = np.clip((rest[:, 2] - 108.0) / 36.0, 0, 1) * (1.0 - 0.9 * np.clip((np.abs(rest[:, 0]) - 13) / 11, 0, 1))
    reach[inner] = (0.06 + 0.94 * depth)[inner]
    is_eye = part == PARTS.index("eye")
    reach[is_eye] = np.clip(1.0 - 0.09 * np.clip(eye[is_eye, 1] - 0.0, 0, 8), 0.3, 1) * 0.95
    return reach
