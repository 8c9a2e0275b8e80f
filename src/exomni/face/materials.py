"""Colours of the head by part and by place at rest, so that they move with the skin.

Nothing is read from pictures; lips, brows, eyes and hair are drawn by formula. Our choice, by looking.
"""

from dataclasses import dataclass

import numpy as np

from .head import PARTS, Head
from .subdivide import Subdivision

SKIN = np.array([0.62, 0.36, 0.26], np.float32)
BLUSH = np.array([0.60, 0.24, 0.19], np.float32)
LIPS = np.array([0.46, 0.15, 0.14], np.float32)
CAVITY = np.array([0.20, 0.045, 0.04], np.float32)
BROW = np.array([0.055, 0.032, 0.022], np.float32)
HAIR = np.array([0.060, 0.036, 0.025], np.float32)
TEETH = np.array([0.90, 0.85, 0.74], np.float32)
TONGUE = np.array([0.48, 0.17, 0.16], np.float32)
LASH = np.array([0.03, 0.02, 0.02], np.float32)
SCLERA = np.array([0.70, 0.67, 0.64], np.float32)
IRIS = np.array([0.11, 0.16, 0.17], np.float32)
IRIS_MM, PUPIL_MM = 5.9, 2.3
"""Linear colours and sizes."""


@dataclass(frozen=True, eq=False)
class Surface:
    """Per vertex: what the shader blends over pixels.

    Attributes:
        rest_mm: place at rest, [V, 3].
        red: 1 on the lips, [V].
        cavity: 1 inside the mouth, [V].
        part: index into PARTS, [V].
        eye_mm: of eyeballs and lashes, place relative to the middle of the eyeball, [V, 3]; else zero.
    """

    rest_mm: np.ndarray
    red: np.ndarray
    cavity: np.ndarray
    part: np.ndarray
    eye_mm: np.ndarray


def surface(subdivision: Subdivision) -> Surface:
    """The shipped head's surface, on the finer mesh that is drawn."""
    head = Head.load()
    n = len(head.vertices_mm)
    part = np.zeros(n, np.uint8)
    part[head.quads] = head.quad_parts[:, None]
    red = np.zeros(n, np.float32)
    red[np.concatenate([head.upper_lip.ravel(), head.lower_lip.ravel()])] = 1.0
    eye = np.zeros((n, 3), np.float32)
    for side in (-1, 1):
        on_side = head.vertices_mm[:, 0] * side > 0
        ball = head.vertices_mm[on_side & (part == PARTS.index("eye"))]
        near = on_side & np.isin(part, (PARTS.index("eye"), PARTS.index("lashes")))
        eye[near] = head.vertices_mm[near] - (ball.min(0) + ball.max(0)) / 2
    smooth = subdivision.smooth(np.concatenate([head.vertices_mm, eye], 1))
    soft = subdivision.spread(np.stack([red, _cavity(head)], 1))
    fine_part = np.concatenate([part, part[subdivision.edges[:, 0]], head.quad_parts])
    return Surface(smooth[:, :3], soft[:, 0], soft[:, 1], fine_part, smooth[:, 3:])


def _cavity(head: Head) -> np.ndarray:
    """1 on the lining of the mouth: what lies behind the innermost loops of the lips, [V]."""
    skin = head.quads[head.quad_parts == PARTS.index("skin")]
    inside = np.zeros(len(head.vertices_mm), bool)
    rim = np.zeros_like(inside)
    rim[np.concatenate([head.upper_lip[-1], head.lower_lip[-1]])] = True
    x, y, z = head.vertices_mm.T
    on_skin = np.zeros_like(inside)
    on_skin[skin] = True
    inside[(np.abs(x) < 12) & (y > 625) & (y < 700) & (z < 125) & (z > 60) & on_skin] = True
    while True:
        grown = inside.copy()
        touched = skin[(inside & ~rim)[skin].any(1)]
        grown[touched] = True
        if (grown == inside).all():
            return inside.astype(np.float32)
        inside = grown


def _smoothstep(low: float, high: float, x: np.ndarray) -> np.ndarray:
    t = np.clip((x - low) / (high - low), 0.0, 1.0)
    return t * t * (3 - 2 * t)


def skin_colour(rest: np.ndarray, red: np.ndarray, cavity: np.ndarray) -> np.ndarray:
    """Skin, lips, brows and hair at places of the head at rest, linear RGB [N, 3]."""
    x, y, z = np.abs(rest[:, 0]), rest[:, 1], rest[:, 2]
    cheek = np.exp(-(((x - 42) / 20) ** 2 + ((y - 690) / 20) ** 2)) + np.exp(-((x / 12) ** 2 + ((y - 692) / 12) ** 2))
    colour = _mix(SKIN, BLUSH, 0.55 * np.clip(cheek * (z > 60), 0, 1))
    colour = _over(colour, LIPS, 0.85 * _smoothstep(0.25, 0.75, red))
    colour = _over(colour, BROW, 0.85 * _brow(x, y, z))
    colour = _over(colour, HAIR, 0.94 * _hair(x, y, z))
    return _over(colour, CAVITY, _smoothstep(0.3, 0.9, cavity))


def _brow(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """How much brow there is, 0..1."""
    along = np.clip((x - 11.0) / 40.0, 0.0, 1.0)
    middle = 744.5 + 9.0 * np.sin(np.pi * (0.12 + 0.62 * along)) - 4.0 * along**3
    half = 3.4 * (1.0 - 0.70 * along) * _smoothstep(0.0, 0.08, along) + 0.6
    strand = 0.16 * np.sin(2.2 * x + 1.6 * y) * np.sin(0.9 * x - 0.7 * y + 1.0)
    inside = 1.0 - _smoothstep(0.25, 1.25, np.abs(y - middle) / half + strand)
    ends = _smoothstep(9.0, 16.0, x) * (1.0 - _smoothstep(46.0, 53.0, x))
    return inside * ends * (z > 60)


HAIRLINE_DEG = (0.0, 30.0, 50.0, 65.0, 78.0, 90.0, 105.0, 120.0, 150.0, 180.0)
HAIRLINE_Y_MM = (806.0, 802.0, 792.0, 776.0, 750.0, 732.0, 734.0, 712.0, 680.0, 668.0)
"""Height of the hairline by direction, from straight ahead to straight back; it dips before the ears."""


def _hair(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """How much hair there is, 0..1."""
    line = np.interp(np.rad2deg(np.arctan2(x, z - 55.0)), HAIRLINE_DEG, HAIRLINE_Y_MM)
    ragged = 0.8 * np.sin(x * 0.9) + 0.5 * np.sin(x * 2.3 + y)
    return _smoothstep(-6.0, 7.0, y - line + ragged)


TOOTH_EDGES_MM = (0.0, 8.2, 14.6, 21.4)
"""Where one tooth ends and the next begins, sideways from the middle; lower front teeth are narrower."""


def teeth_colour(rest: np.ndarray, upper: bool) -> np.ndarray:
    """Teeth with the dark lines between them, linear RGB [N, 3]."""
    edges = np.array(TOOTH_EDGES_MM) * (1.0 if upper else 0.68)
    x = np.abs(rest[:, :1])
    line = np.exp(-(((x - edges) / 0.32) ** 2)).max(1)
    gum_y = np.abs(rest[:, 1] - (660.0 if upper else 671.0))
    colour = _over(np.repeat(TEETH[None], len(rest), 0), TEETH * 0.45, 0.7 * line)
    return _over(colour, TONGUE, _smoothstep(9.0, 11.0, gum_y))


def lash_cover(local: np.ndarray) -> np.ndarray:
    """How opaque a lash is at places relative to its eye's middle, [N]: thick at the lid, thin outside."""
    out = np.linalg.norm(local, axis=1)
    hairs = 0.75 + 0.25 * np.sin(6.0 * local[:, 0] + 0.8 * out)
    upper = np.where(local[:, 1] > 0, 1.0, 0.25)
    return upper * hairs * (1.0 - _smoothstep(15.0, 19.0, out))


def eye_colour(local: np.ndarray) -> np.ndarray:
    """Eyeball at places relative to its middle, linear RGB [N, 3]."""
    radius = np.hypot(local[:, 0], local[:, 1])
    front = local[:, 2] > 0
    turn = np.arctan2(local[:, 1], local[:, 0])
    streak = 1.0 + 0.18 * np.sin(23 * turn) + 0.10 * np.sin(41 * turn + 1.0)
    iris = IRIS * (streak * (0.7 + 0.6 * radius / IRIS_MM))[:, None]
    colour = np.repeat(SCLERA[None], len(local), 0) * (1.0 - 0.04 * np.clip(radius - 8, 0, 6))[:, None]
    edge = (1.0 - _smoothstep(IRIS_MM - 0.7, IRIS_MM + 0.3, radius)) * front
    limbus = np.exp(-(((radius - IRIS_MM + 0.3) / 0.7) ** 2)) * 0.6 * front
    colour = _over(colour, iris, edge)
    colour = _over(colour, IRIS * 0.25, limbus)
    return _over(colour, np.zeros(3, np.float32), (1.0 - _smoothstep(PUPIL_MM - 0.5, PUPIL_MM + 0.3, radius)) * front)


def _mix(low: np.ndarray, high: np.ndarray, t: np.ndarray) -> np.ndarray:
    return low + (high - low) * t[:, None]


def _over(under: np.ndarray, colour: np.ndarray, cover: np.ndarray) -> np.ndarray:
    return under + (colour - under) * cover[:, None]
