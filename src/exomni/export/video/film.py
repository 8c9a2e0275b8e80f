"""Pictures of a head that moves, without a GPU: lit by vertex, drawn by pixel, and only where something moves."""

from dataclasses import dataclass

import numpy as np

from exomni.core import arkit
from exomni.core.errors import InputError

from ..turns import matrix, quaternions
from .puppet import Puppet

Box = tuple[int, int, int, int]
"""Top, left, bottom, right in samples; the last two are outside."""

FOV_DEG = 16.0
"""Upright angle of view: a portrait lens."""
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
GAMMA = 2.2
PARTS_OF_FACE = {"mouth": ("jawOpen", "mouth"), "face": ("",)}


@dataclass(frozen=True)
class Camera:
    """Where the picture is taken from.

    Attributes:
        frame: how much is on it: `head`, `face` or `mouth`.
        yaw_deg: how far round to the head's left the camera stands.
        pitch_deg: how far up it stands.
    """

    frame: str = "head"
    yaw_deg: float = 0.0
    pitch_deg: float = 0.0


CAMERAS = {
    "head": Camera(),
    "face": Camera("face"),
    "mouth": Camera("mouth"),
    "three-quarter": Camera("head", 32.0, 4.0),
    "profile": Camera("head", 80.0),
}
ZOOM = {"head": 1.7, "face": 1.3, "mouth": 1.4}
"""Height of the picture over that of what moves: the whole face, or the mouth."""


class Film:
    """A puppet before a camera. What never moves in a clip is drawn once; the frames redraw the rest."""

    def __init__(
        self,
        puppet: Puppet,
        size: tuple[int, int],
        camera: Camera,
        used: np.ndarray,
        samples: int = 2,
        turned_rad: float = 0.0,
    ) -> None:
        """Set up.

        Args:
            puppet: the head.
            size: width and height in pixels.
            camera: where the picture is taken from.
            used: largest weight of each shape in the clip, [52].
            samples: samples a pixel in each direction; 1 is quick, 2 smooth.
            turned_rad: how far the head turns in the clip at most.
        Raises:
            InputError: no such frame of the camera.
        """
        if camera.frame not in ZOOM:
            raise InputError(f"no camera shows '{camera.frame}'; there are {', '.join(ZOOM)}")
        self._puppet, self._samples = puppet, samples
        self._width, self._height = size[0] * samples, size[1] * samples
        self._camera = self._placed(camera)
        self._layers = _Layer.of(puppet, opaque=True), _Layer.of(puppet, opaque=False)
        self._skin = np.concatenate([puppet.colours, puppet.uv], axis=1, dtype=np.float32)
        self._texels, self._places = _one_after_the_other(puppet.textures)
        self._looks = np.empty((len(puppet.positions), 12), np.float32)
        self._active = np.flatnonzero(np.abs(used) > 1e-3)
        flat = len(self._active), puppet.positions.size
        self._deltas = puppet.deltas[self._active].reshape(flat)
        self._turns = puppet.turns[self._active].reshape(flat)
        self._linear = np.empty((self._height, self._width, 3), np.float32)
        self._linear[:] = _background(self._height, self._width)
        self._picture = np.empty((size[1], size[0], 3), np.uint8)
        everything = (0, 0, self._height, self._width)
        self._wall = self._linear.copy()
        self._draw(np.zeros(len(self._active), np.float32), np.zeros(3), everything)
        self._developed(everything)
        self._box = self._moving_box(used[self._active], turned_rad)

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
            turn = np.zeros(3) if turn is None else turn
            self._draw(np.asarray(weights, np.float32)[self._active], turn, self._box)
            self._developed(self._box)
        return self._picture.copy()

    def _placed(self, camera: Camera) -> np.ndarray:
        """Rows: the camera's axes right, up and towards it, its place, focal length and middle in pixels, [5, 3]."""
        puppet = self._puppet
        part = PARTS_OF_FACE["mouth" if camera.frame == "mouth" else "face"]
        moves = np.zeros(len(puppet.positions), bool)
        for i, name in enumerate(arkit.NAMES):
            if name in puppet.shapes and name.startswith(part):
                reach = np.abs(puppet.deltas[i]).max(axis=1)
                moves |= reach > max(0.4 * reach.max(), 1e-6)
        low, high = puppet.positions[moves].min(axis=0), puppet.positions[moves].max(axis=0)
        if camera.frame == "head":
            high = np.maximum(high, puppet.positions[_near(puppet.positions, low, high)].max(axis=0))
        yaw, pitch = np.radians(camera.yaw_deg), np.radians(camera.pitch_deg)
        towards = np.array([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)])
        right = np.array([np.cos(yaw), 0.0, -np.sin(yaw)])
        axes = np.stack([right, np.cross(towards, right), towards])
        shown = ZOOM[camera.frame] * (high - low)[1] / (1.3 if camera.frame == "head" else 1.0)
        tall = max(shown, shown * self._height / self._width)
        away = tall / 2 / np.tan(np.radians(FOV_DEG) / 2)
        middle = (low + high) / 2
        focus_px = self._height / 2 / np.tan(np.radians(FOV_DEG) / 2)
        lens = (focus_px, self._width / 2, self._height / 2)
        return np.concatenate([axes, [middle + towards * away, lens]]).astype(np.float32)

    def _moving_box(self, used: np.ndarray, turned_rad: float) -> Box:
        """The part of the picture in which something moves, on whole pixels."""
        rest, near = self._looks[:, :2], self._looks[:, 2]
        puppet = self._puppet
        reach = turned_rad * puppet.turning * np.linalg.norm(puppet.positions - puppet.pivot, axis=1)
        for weight, delta in zip(used, self._deltas, strict=True):
            reach += abs(weight) * np.linalg.norm(delta.reshape(-1, 3), axis=1)
        reach_px = reach * near * self._camera[4, 0]
        moving = reach_px > MOVED_PX * self._samples
        if not moving.any():
            return 0, 0, 0, 0
        spread = reach_px[moving, None] + MARGIN_PX * self._samples
        low, high = (rest[moving] - spread).min(axis=0), (rest[moving] + spread).max(axis=0)
        n = self._samples
        left, top = (np.clip(low // n, 0, None) * n).astype(int)
        right = int(np.clip(-(-high[0] // n) * n, 0, self._width))
        bottom = int(np.clip(-(-high[1] // n) * n, 0, self._height))
        return int(top), int(left), bottom, right

    def _draw(self, weights: np.ndarray, turn: np.ndarray, box: Box) -> None:
        """Put one face into the linear picture, within a box."""
        from ...face.kernels import coloured, lit, nearest

        puppet, (top, left, bottom, right) = self._puppet, box
        positions = puppet.positions + (weights @ self._deltas).reshape(-1, 3)
        normals = puppet.normals + (weights @ self._turns).reshape(-1, 3)
        if turn.any():
            change = (matrix(quaternions(turn)) - np.eye(3)).T.astype(np.float32)
            positions += puppet.turning[:, None] * ((positions - puppet.pivot) @ change)
            normals += puppet.turning[:, None] * (normals @ change)
        tints = self._skin[:, :3]
        lit(
            positions, normals, tints, puppet.shine, puppet.sharpness, self._camera, _LAMPS, _AMBIENT, WRAP, self._looks
        )
        picture = self._linear[top:bottom, left:right]
        picture[:] = self._wall[top:bottom, left:right]
        behind = np.zeros(picture.shape[:2], np.float32)
        for layer in self._layers:
            depth, owner = np.zeros_like(behind), np.full(behind.shape, -1, np.int32)
            nearest(self._looks, self._looks[:, 2], layer.triangles, layer.both_sides, top, left, depth, owner)
            coloured(owner, top, left, layer.triangles, layer.texture, self._looks, self._skin, self._texels,
                     self._places, behind, depth, layer.opaque, picture)  # fmt: skip
            behind = depth

    def _developed(self, box: Box) -> None:
        """Bring a part of the linear picture into the picture."""
        from ...face.kernels import developed

        top, left, bottom, right = box
        n = self._samples
        part = self._picture[top // n : bottom // n, left // n : right // n]
        developed(self._linear[top:bottom, left:right], n, _SRGB, part)


@dataclass(frozen=True, eq=False)
class _Layer:
    """Triangles that are drawn together, the veils after all others; arrays as in `Puppet`."""

    opaque: bool
    triangles: np.ndarray
    both_sides: np.ndarray
    texture: np.ndarray

    @classmethod
    def of(cls, puppet: Puppet, *, opaque: bool) -> "_Layer":
        chosen = puppet.veils != opaque
        return cls(opaque, puppet.triangles[chosen], puppet.both_sides[chosen], puppet.texture[chosen])


def _unit(direction: tuple[float, float, float]) -> np.ndarray:
    return np.array(direction) / np.linalg.norm(direction)


_LAMPS = np.array([(_unit(direction), colour) for direction, colour in LAMPS], np.float32)
_AMBIENT = np.array([GROUND, SKY], np.float32)
_SRGB = np.rint(255 * np.linspace(0, 1, LUT_SIZE) ** (1 / GAMMA)).astype(np.uint8)


def _near(positions: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Vertices over and around a face: the rest of its head, but not of its body."""
    room = 0.6 * (high - low)
    return ((positions[:, [0, 2]] > (low - room)[[0, 2]]) & (positions[:, [0, 2]] < (high + room)[[0, 2]])).all(axis=1)


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
