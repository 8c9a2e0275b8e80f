"""Eyeballs with a cornea that stands out, turned by the gaze shapes."""

import numpy as np

from exomni.core.arkit import INDEX, K

from .makehuman import Figure
from .noise import value_noise
from .parts import Part, joined, same_places, vertex_normals
from .skin import smoothstep

IRIS = 0.46
"""Sine of the angle from the middle of the pupil to the border of the iris."""
PUPIL = 0.40
"""Radius of the pupil relative to the iris."""
BULGE = 0.035
"""How far the cornea stands out, relative to the eyeball."""
BACK_DEG = 110.0
"""The eyeball ends here, hidden behind the lids."""
UV_POWER = 0.62
"""Below 1 gives the iris more of the texture."""
RINGS_DEG = (0.0, 5.0, 10.0, 14.0, 18.0, 21.0, 24.0, 26.0, 28.0, 30.0, 33.0, 38.0, 46.0, 56.0, 70.0, 88.0, 110.0)
SECTORS = 40
OUT_DEG, UP_DEG, DOWN_DEG = 27.0, 20.0, 22.0
"""How far an eye turns at weight 1."""
TURNS_DEG = {
    "eyeLookUpLeft": (1, -UP_DEG, 0.0),
    "eyeLookUpRight": (-1, -UP_DEG, 0.0),
    "eyeLookDownLeft": (1, DOWN_DEG, 0.0),
    "eyeLookDownRight": (-1, DOWN_DEG, 0.0),
    "eyeLookInLeft": (1, 0.0, -OUT_DEG),
    "eyeLookOutLeft": (1, 0.0, OUT_DEG),
    "eyeLookInRight": (-1, 0.0, OUT_DEG),
    "eyeLookOutRight": (-1, 0.0, -OUT_DEG),
}
"""Of each gaze shape: the side (1 is the head's left), the turn about x and about y."""


def eyes(figure: Figure) -> Part:
    """Both eyeballs with the eight gaze shapes."""
    return joined("Eyes", [_eye(*eye, side) for eye, side in zip(figure.eyes, (1, -1), strict=True)])


def _eye(middle: np.ndarray, radius: float, side: int) -> Part:
    angle = np.deg2rad(RINGS_DEG)
    sector = np.arange(SECTORS) * 2 * np.pi / SECTORS
    iris = np.arcsin(IRIS)
    out = radius * (1 + BULGE * (1 - np.clip(angle / iris, 0, 1) ** 2) ** 1.5)
    ring = np.stack([np.sin(angle) * out, np.cos(angle) * out], axis=1)
    across = np.stack([np.cos(sector), np.sin(sector)], axis=1)
    local = np.concatenate([ring[:, None, :1] * across, np.broadcast_to(ring[:, None, 1:], (len(ring), SECTORS, 1))], 2)
    places = (angle / np.deg2rad(BACK_DEG))[:, None, None] ** UV_POWER * across * (0.5, -0.5) + 0.5
    local, places = local.reshape(-1, 3), places.reshape(-1, 2)
    triangles = grid_triangles(len(ring), SECTORS)
    part = Part("Eye", "Eyes", local, vertex_normals(local, triangles, same_places(local)), triangles, places)
    deltas, turns = np.zeros((2, K, len(local), 3))
    for name, (of_side, about_x, about_y) in TURNS_DEG.items():
        if of_side == side:
            turn = _rotation(about_x, about_y)
            deltas[INDEX[name]] = local @ turn.T - local
            turns[INDEX[name]] = part.normals @ turn.T - part.normals
    return Part("Eye", "Eyes", local + middle, part.normals, triangles, places, None, deltas, turns)


def grid_triangles(rows: int, columns: int) -> np.ndarray:
    """Triangles of a grid [rows, columns] whose columns close into rings, first row inside, [F, 3]."""
    i, j = np.meshgrid(np.arange(rows - 1), np.arange(columns), indexing="ij")
    a, b = i * columns + j, i * columns + (j + 1) % columns
    c, d = b + columns, a + columns
    return np.concatenate([np.stack([a, d, c], -1), np.stack([a, c, b], -1)]).reshape(-1, 3)


def _rotation(about_x_deg: float, about_y_deg: float) -> np.ndarray:
    """Turns column vectors about the x and then the y axis, [3, 3]."""
    (cx, cy), (sx, sy) = np.cos(np.deg2rad([about_x_deg, about_y_deg])), np.sin(np.deg2rad([about_x_deg, about_y_deg]))
    return np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]]) @ np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])


def eye_picture(size: int, inner: np.ndarray, outer: np.ndarray) -> np.ndarray:
    """The eyeball's texture, linear RGB [size, size, 3].

    Args:
        size: height and width in pixels.
        inner: colour of the iris around the pupil, linear RGB.
        outer: colour of the iris towards its border.
    """
    y, x = np.meshgrid(*[(np.arange(size) + 0.5) / size * 2 - 1] * 2, indexing="ij")
    turn, out = np.arctan2(y, x), np.hypot(x, y)
    angle = np.deg2rad(BACK_DEG) * out ** (1 / UV_POWER)
    radius = np.sin(np.minimum(angle, np.pi / 2)) / IRIS
    around = np.stack([np.cos(turn), np.sin(turn), np.zeros_like(turn)], axis=-1)
    fibre = value_noise(around * 14 + [0, 0, 3], 1.0, 1) * 0.5 + value_noise(around * 34 + [0, 0, 7], 1.0, 2) * 0.5
    ring = value_noise(np.stack([np.cos(turn) * 9, np.sin(turn) * 9, radius * 5], -1), 1.0, 3)
    iris = inner + (outer - inner) * smoothstep(0.35, 0.95, radius + 0.10 * fibre)[..., None]
    iris = iris * (1.0 + 0.55 * fibre * smoothstep(0.3, 0.6, radius) + 0.15 * ring)[..., None]
    iris *= (1.0 - 0.75 * smoothstep(0.80, 1.0, radius))[..., None]
    iris *= (1.0 - 0.9 * (1 - smoothstep(PUPIL - 0.04, PUPIL + 0.06, radius + 0.02 * fibre)))[..., None]
    iris[radius < PUPIL - 0.02] = 0.004
    veins = value_noise(np.stack([np.cos(turn) * 8, np.sin(turn) * 8, radius * 2], -1), 1.0, 5)
    white = np.array([0.62, 0.575, 0.55]) * (1 - 0.10 * smoothstep(1.2, 2.2, radius))[..., None]
    red = (0.35 * (np.abs(veins) < 0.05) + 0.25) * smoothstep(1.35, 2.1, radius)
    white = white * (1 - red[..., None] * np.array([0.10, 0.45, 0.45]))
    lid = smoothstep(0.30, 0.80, -np.sin(turn) * np.sin(np.minimum(angle, np.pi / 2)) * 1.25)
    side = smoothstep(0.62, 0.95, np.abs(np.cos(turn)) * np.sin(np.minimum(angle, np.pi / 2)))
    shade = 1 - 0.55 * lid[..., None] * np.array([0.85, 1.0, 1.0]) - 0.30 * side[..., None] * np.array([0.5, 1.0, 1.0])
    white, iris = white * np.clip(shade, 0.2, 1), iris * (1 - 0.45 * lid[..., None])
    border = smoothstep(0.93, 1.06, radius)[..., None]
    return np.clip(iris + (white - iris) * border, 0, 1)
