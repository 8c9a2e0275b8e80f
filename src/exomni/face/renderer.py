"""The one renderer: pictures of a head that moves, without a GPU, and only where something moves.

Vertices are lit and placed on the picture, a depth buffer finds the nearest triangle of each sample, and the
vertices' colours are blended over it. The loops are compiled (`kernels`).
"""

from dataclasses import dataclass

import numpy as np

from .camera import Viewpoint
from .render_mesh import GAMMA, RenderMesh
from .rotations import matrix, quaternions

Box = tuple[int, int, int, int]
"""Top, left, bottom, right in samples; the last two are outside."""

MARGIN_PX = 3
MOVED_PX = 0.1
"""A vertex that moves less on the picture is held to be still."""
LAMPS = (((-0.45, 0.55, 0.70), (1.26, 1.20, 1.11)), ((0.75, 0.10, 0.65), (0.31, 0.35, 0.41)),
         ((0.50, 0.35, -0.80), (0.66, 0.63, 0.59)))  # fmt: skip
"""Key, fill and rim light: direction to each and its colour."""
SKY, GROUND = (0.34, 0.37, 0.42), (0.20, 0.17, 0.15)
WRAP = 0.25
"""How far light creeps round a surface: skin is not stone."""
LUT_SIZE = 4096


class Renderer:
    """Draws one head from one viewpoint: what never moves in a clip once, and all else for each frame."""

    def __init__(
        self,
        mesh: RenderMesh,
        size: tuple[int, int],
        viewpoint: Viewpoint,
        used: np.ndarray,
        samples: int = 2,
        turned_rad: float = 0.0,
    ) -> None:
        """Set up.

        Args:
            mesh: the head.
            size: width and height in pixels.
            viewpoint: where the picture is taken from.
            used: largest weight of each shape in the clip, [52].
            samples: samples a pixel in each direction; 1 is quick, 2 smooth.
            turned_rad: how far the head turns in the clip at most.
        Raises:
            InputError: no camera shows such a part of the head.
        """
        self._mesh, self._samples = mesh, samples
        self._width, self._height = size[0] * samples, size[1] * samples
        self._projection = viewpoint.projection(mesh, self._width, self._height)
        self._skin = np.concatenate([mesh.colours, mesh.uv], axis=1, dtype=np.float32)
        self._texels, self._places = _one_after_the_other(mesh.textures)
        self._looks = np.empty((len(mesh.positions), 12), np.float32)
        self._light(mesh.positions, mesh.normals, np.arange(len(mesh.positions)))
        self._active = np.flatnonzero(np.abs(used) > 1e-3)
        reach_px = self._reach_px(used, turned_rad)
        self._moving = np.flatnonzero(reach_px > MOVED_PX * samples)
        n_values = len(self._active), 3 * len(self._moving)
        self._deltas = mesh.deltas[self._active][:, self._moving].reshape(n_values)
        self._normal_deltas = mesh.normal_deltas[self._active][:, self._moving].reshape(n_values)
        moves, near = np.isin(mesh.triangles, self._moving).any(axis=1), self._looks[:, 2]
        self._still = _TriangleLayer.of(mesh, ~moves & ~mesh.blended, near, opaque=True)
        self._layers = (
            _TriangleLayer.of(mesh, moves & ~mesh.blended, near, opaque=True),
            _TriangleLayer.of(mesh, mesh.blended, near, opaque=False),
        )
        self._linear = _background(self._height, self._width)
        self._picture = np.empty((size[1], size[0], 3), np.uint8)
        everything = (0, 0, self._height, self._width)
        self._still_depth = np.zeros((self._height, self._width), np.float32)
        self._lay(self._still, everything, self._still_depth, self._linear)
        self._still_linear = self._linear.copy()
        self._draw(everything)
        self._developed(everything)
        self._box = self._moving_box(reach_px)

    def frame(self, weights: np.ndarray, turn: np.ndarray | None = None) -> np.ndarray:
        """The picture of one face.

        Args:
            weights: of the 52 shapes in the project's order, [52].
            turn: yaw, pitch and roll of the head in radians, or None.
        Returns:
            RGB, uint8 [height, width, 3].
        """
        top, left, bottom, right = self._box
        if bottom > top and right > left:
            self._move(np.asarray(weights, np.float32)[self._active], np.zeros(3) if turn is None else turn)
            self._draw(self._box)
            self._developed(self._box)
        return self._picture.copy()

    def _reach_px(self, used: np.ndarray, turned_rad: float) -> np.ndarray:
        """How far each vertex moves on the picture at most, in samples, [V]."""
        mesh = self._mesh
        reach = turned_rad * mesh.turning * np.linalg.norm(mesh.positions - mesh.pivot, axis=1)
        for shape in self._active:
            reach += abs(used[shape]) * np.linalg.norm(mesh.deltas[shape], axis=1)
        return reach * self._looks[:, 2] * self._projection[4, 0]

    def _moving_box(self, reach_px: np.ndarray) -> Box:
        """The part of the picture in which something moves, on whole pixels."""
        if not len(self._moving):
            return 0, 0, 0, 0
        rest = self._looks[self._moving, :2]
        spread = reach_px[self._moving, None] + MARGIN_PX * self._samples
        low, high = (rest - spread).min(axis=0), (rest + spread).max(axis=0)
        n = self._samples
        left, top = (np.clip(low // n, 0, None) * n).astype(int)
        right = int(np.clip(-(-high[0] // n) * n, 0, self._width))
        bottom = int(np.clip(-(-high[1] // n) * n, 0, self._height))
        return int(top), int(left), bottom, right

    def _move(self, weights: np.ndarray, turn: np.ndarray) -> None:
        """Place and light what moves, for one face."""
        from .kernels import mixed

        mesh, moving = self._mesh, self._moving
        positions = mixed(mesh.positions[moving].ravel(), weights, self._deltas).reshape(-1, 3)
        normals = mixed(mesh.normals[moving].ravel(), weights, self._normal_deltas).reshape(-1, 3)
        if turn.any():
            change = (matrix(quaternions(turn)) - np.eye(3)).T.astype(np.float32)
            follows = mesh.turning[moving, None]
            positions += follows * ((positions - mesh.pivot) @ change)
            normals += follows * (normals @ change)
        self._light(positions, normals, moving)

    def _light(self, positions: np.ndarray, normals: np.ndarray, which: np.ndarray) -> None:
        from .kernels import lit

        mesh, tints = self._mesh, self._skin[:, :3]
        lit(positions, normals, which, tints, mesh.shine, mesh.sharpness, self._projection, _LAMPS, _AMBIENT, WRAP,
            self._looks)  # fmt: skip

    def _draw(self, box: Box) -> None:
        """Draw what moves, and the blended triangles, over what does not, within a box of the linear picture."""
        top, left, bottom, right = box
        picture = self._linear[top:bottom, left:right]
        picture[:] = self._still_linear[top:bottom, left:right]
        depth = self._still_depth[top:bottom, left:right].copy()
        for layer in self._layers:
            self._lay(layer, box, depth, picture)

    def _lay(self, layer: "_TriangleLayer", box: Box, depth: np.ndarray, picture: np.ndarray) -> None:
        """Draw a layer over a part of the picture, where nothing is nearer; `depth` takes it in."""
        from .kernels import coloured, nearest

        owner = np.full(depth.shape, -1, np.int32)
        nearest(self._looks, self._looks[:, 2], layer.triangles, layer.both_sides, layer.cutoff, layer.texture,
                self._skin, self._texels, self._places, box[0], box[1], depth, owner)  # fmt: skip
        coloured(owner, box[0], box[1], layer.triangles, layer.texture, self._looks, self._skin, self._texels,
                 self._places, layer.opaque, picture)  # fmt: skip

    def _developed(self, box: Box) -> None:
        """Bring a part of the linear picture into the picture."""
        from .kernels import developed

        top, left, bottom, right = box
        n = self._samples
        part = self._picture[top // n : bottom // n, left // n : right // n]
        developed(self._linear[top:bottom, left:right], n, _SRGB, part)


@dataclass(frozen=True, eq=False)
class _TriangleLayer:
    """Triangles that are drawn together, those in front first, since they hide most others; as in `RenderMesh`."""

    opaque: bool
    triangles: np.ndarray
    both_sides: np.ndarray
    cutoff: np.ndarray
    texture: np.ndarray

    @classmethod
    def of(cls, mesh: RenderMesh, chosen: np.ndarray, near: np.ndarray, *, opaque: bool) -> "_TriangleLayer":
        order = np.flatnonzero(chosen)
        in_front = near[mesh.triangles[order]].max(axis=1)
        order = order[np.lexsort((-in_front, mesh.cutoff[order] > 0))]
        return cls(opaque, mesh.triangles[order], mesh.both_sides[order], mesh.cutoff[order], mesh.texture[order])


def _unit(direction: tuple[float, float, float]) -> np.ndarray:
    return np.array(direction) / np.linalg.norm(direction)


_LAMPS = np.array([(_unit(direction), colour) for direction, colour in LAMPS], np.float32)
_AMBIENT = np.array([GROUND, SKY], np.float32)
_SRGB = np.rint(255 * np.linspace(0, 1, LUT_SIZE) ** (1 / GAMMA)).astype(np.uint8)


def _background(height: int, width: int) -> np.ndarray:
    """A grey wall, lighter towards the middle, linear, float32 [height, width, 3]."""
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None]
    fall = (1.0 - 0.45 * (x**2 + y**2)).clip(0.1)
    return (fall[..., None] * np.array([0.26, 0.29, 0.33])).astype(np.float32)


def _one_after_the_other(textures: tuple[np.ndarray, ...]) -> tuple[np.ndarray, np.ndarray]:
    """All textures' pixels, float32 [N, 4], and where each begins, its height and width, int64 [n, 3]."""
    starts = np.cumsum([0, *(picture.shape[0] * picture.shape[1] for picture in textures)])
    places = [(start, *picture.shape[:2]) for start, picture in zip(starts, textures, strict=False)]
    texels = [picture.reshape(-1, 4) for picture in textures] or [np.zeros((0, 4), np.float32)]
    return np.concatenate(texels), np.array(places, np.int64).reshape(-1, 3)
