"""Pictures of a head that moves, without a GPU: lit by vertex, drawn by pixel, and only where something moves."""

from dataclasses import dataclass

import numpy as np

from exomni.core import arkit
from exomni.core.errors import InputError

from .puppet import Puppet
from .raster import Box, Pixels, rasterize

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
        self, puppet: Puppet, size: tuple[int, int], camera: Camera, used: np.ndarray, samples: int = 2
    ) -> None:
        """Set up.

        Args:
            puppet: the head.
            size: width and height in pixels.
            camera: where the picture is taken from.
            used: largest weight of each shape in the clip, [52].
            samples: samples a pixel in each direction; 1 is quick, 2 smooth.
        Raises:
            InputError: no such frame of the camera.
        """
        if camera.frame not in ZOOM:
            raise InputError(f"no camera shows '{camera.frame}'; there are {', '.join(ZOOM)}")
        self._puppet, self._samples = puppet, samples
        self._width, self._height = size[0] * samples, size[1] * samples
        self._view, self._eye, self._focus_px = self._placed(camera)
        self._solid = np.flatnonzero(~puppet.veils)
        self._veils = np.flatnonzero(puppet.veils)
        self._active = np.flatnonzero(np.abs(used) > 1e-3)
        flat = len(self._active), puppet.positions.size
        self._deltas = puppet.deltas[self._active].reshape(flat)
        self._turns = puppet.turns[self._active].reshape(flat)
        self._linear = np.empty((self._height, self._width, 3), np.float32)
        self._linear[:] = _background(self._height, self._width)
        everything = (0, 0, self._height, self._width)
        self._wall = self._linear.copy()
        self._draw(np.zeros(len(self._active), np.float32), everything)
        self._box = self._moving_box(used[self._active])
        self._picture = self._developed(everything)

    def frame(self, weights: np.ndarray) -> np.ndarray:
        """The picture of one face.

        Args:
            weights: of the 52 shapes in the project's order, [52].
        Returns:
            RGB, uint8 [height, width, 3].
        """
        top, left, bottom, right = self._box
        if bottom > top and right > left:
            self._draw(np.asarray(weights, np.float32)[self._active], self._box)
            n = self._samples
            self._picture[top // n : bottom // n, left // n : right // n] = self._developed(self._box)
        return self._picture.copy()

    def _placed(self, camera: Camera) -> tuple[np.ndarray, np.ndarray, float]:
        """The camera's axes (rows: right, up, towards it), its place, and its focal length in pixels."""
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
        return axes.astype(np.float32), (middle + towards * away).astype(np.float32), float(focus_px)

    def _seen(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Vertices on the picture, float32 [V, 2], and how near they are, float32 [V]."""
        local = (positions - self._eye) @ self._view.T
        near = 1 / np.maximum(-local[:, 2], 1e-3)
        scale = self._focus_px * near
        x, y = self._width / 2 + local[:, 0] * scale, self._height / 2 - local[:, 1] * scale
        return np.stack([x, y], axis=1), near

    def _moving_box(self, used: np.ndarray) -> Box:
        """The part of the picture in which something moves, on whole pixels."""
        rest, near = self._seen(self._puppet.positions)
        reach = np.zeros(len(rest), np.float32)
        for weight, delta in zip(used, self._deltas, strict=True):
            reach += abs(weight) * np.linalg.norm(delta.reshape(-1, 3), axis=1)
        reach_px = reach * near * self._focus_px
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

    def _draw(self, weights: np.ndarray, box: Box) -> None:
        """Put one face into the linear picture, within a box."""
        puppet = self._puppet
        positions = puppet.positions + (weights @ self._deltas).reshape(-1, 3)
        normals = puppet.normals + (weights @ self._turns).reshape(-1, 3)
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-6)
        screen, near = self._seen(positions)
        light, glint = self._lit(positions, normals)
        top, left, bottom, right = box
        self._linear[top:bottom, left:right] = self._wall[top:bottom, left:right]
        flat = self._linear.reshape(-1, 3)
        look = _Look(puppet.colours[:, :3] * light + glint, np.concatenate([light, glint, puppet.uv], axis=1))
        solid = self._pixels(screen, near, self._solid, box)
        flat[solid.place] = self._coloured(solid, look, self._solid)[:, :3]
        if len(self._veils):
            self._lay_veils(flat, solid, self._pixels(screen, near, self._veils, box), look)

    def _pixels(self, screen: np.ndarray, near: np.ndarray, chosen: np.ndarray, box: Box) -> Pixels:
        puppet = self._puppet
        return rasterize(screen, near, puppet.triangles[chosen], puppet.both_sides[chosen], self._width, box)

    def _coloured(self, pixels: Pixels, look: "_Look", chosen: np.ndarray) -> np.ndarray:
        """Linear colour of the covered pixels and what their texture leaves opaque, [N, 4]."""
        puppet = self._puppet
        triangles = puppet.triangles[chosen]
        out = np.ones((len(pixels.place), 4), np.float32)
        out[:, :3] = pixels.blend(look.colour, triangles)
        texture = puppet.texture[chosen][pixels.triangle]
        for i, picture in enumerate(puppet.textures):
            at = np.flatnonzero(texture == i)
            if not len(at):
                continue
            some = pixels.only(at)
            fields = some.blend(look.fields, triangles)
            texel = _looked_up(picture, fields[:, 6:8])
            tint = some.blend(puppet.colours[:, :3], triangles)
            out[at, :3] = texel[:, :3] * tint * fields[:, :3] + fields[:, 3:6]
            out[at, 3] = texel[:, 3]
        return out

    def _lay_veils(self, flat: np.ndarray, solid: Pixels, veils: Pixels, look: "_Look") -> None:
        """Blend lashes, hair and the like over what lies behind them."""
        depth = np.zeros(len(flat), np.float32)
        depth[solid.place] = solid.near
        front = np.flatnonzero(veils.near > depth[veils.place])
        some = veils.only(front)
        colour = self._coloured(some, look, self._veils)
        triangles = self._puppet.triangles[self._veils]
        cover = some.blend(self._puppet.colours[:, 3:4], triangles) * colour[:, 3:4]
        flat[some.place] += (colour[:, :3] - flat[some.place]) * np.clip(cover, 0, 1)

    def _lit(self, positions: np.ndarray, normals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Light on each vertex and what it mirrors towards the camera, float32 [V, 3] each."""
        puppet = self._puppet
        look = self._eye - positions
        look /= np.linalg.norm(look, axis=1, keepdims=True)
        ground, sky = np.array(GROUND, np.float32), np.array(SKY, np.float32)
        light = ground + (sky - ground) * (0.5 + 0.5 * normals[:, 1:2])
        glint = np.zeros_like(light)
        for direction, colour in LAMPS:
            to_light = np.array(direction, np.float32) / np.float32(np.linalg.norm(direction))
            facing = normals @ to_light
            light += np.clip((facing[:, None] + WRAP) / (1 + WRAP) ** 2, 0, None) * np.array(colour, np.float32)
            half = look + to_light
            half /= np.linalg.norm(half, axis=1, keepdims=True)
            mirrored = np.clip((normals * half).sum(axis=1), 0, None) ** puppet.sharpness * (facing > 0)
            glint += (mirrored * puppet.shine)[:, None] * np.array(colour, np.float32)
        return light, glint

    def _developed(self, box: Box) -> np.ndarray:
        """A part of the linear picture as sRGB, uint8, samples averaged."""
        top, left, bottom, right = box
        n = self._samples
        part = self._linear[top:bottom, left:right]
        mean = sum(part[i::n, j::n] for i in range(n) for j in range(n)) * np.float32((LUT_SIZE - 1) / n**2)
        return _SRGB[np.minimum(mean, LUT_SIZE - 1).astype(np.int32)]


@dataclass(frozen=True, eq=False)
class _Look:
    """How each vertex looks in one frame.

    Attributes:
        colour: of vertices without a texture, lit, float32 [V, 3].
        fields: light, glint and place on the texture, float32 [V, 8].
    """

    colour: np.ndarray
    fields: np.ndarray


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


def _looked_up(picture: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """A texture between its pixels, repeated beyond its edges, float32 [N, 4]."""
    height, width = picture.shape[:2]
    x, y = uv[:, 0] * width - 0.5, uv[:, 1] * height - 0.5
    left, top = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    right_part, low_part = (x - left)[:, None], (y - top)[:, None]
    columns, rows = (left % width, (left + 1) % width), (top % height, (top + 1) % height)
    upper = picture[rows[0], columns[0]] * (1 - right_part) + picture[rows[0], columns[1]] * right_part
    lower = picture[rows[1], columns[0]] * (1 - right_part) + picture[rows[1], columns[1]] * right_part
    return upper * (1 - low_part) + lower * low_part
