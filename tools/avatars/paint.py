"""The skin's textures, painted by formula over places on the base mesh. Our choice, by looking."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter, map_coordinates

from .atlas import Texels
from .noise import value_noise
from .skin import smoothstep

GAMMA = 2.2
SCALP = 0.3
"""How light the roots of the hair are relative to it."""
BROW_X_MM = (11.0, 52.0)
HAIRLINE_DEG = (0.0, 25.0, 40.0, 50.0, 58.0, 66.0, 74.0, 82.0, 92.0, 100.0, 118.0, 132.0, 150.0, 180.0)
HAIRLINE_Y_MM = (799.0, 797.0, 792.0, 784.0, 766.0, 744.0, 728.0, 712.0, 716.0, 752.0, 752.0, 712.0, 676.0, 664.0)
"""Height of the hairline by direction, from straight ahead to straight back; it dips before the ears."""


@dataclass(frozen=True)
class Complexion:
    """Colours of a person's skin, linear RGB, and how much of what there is on it.

    Attributes:
        skin: most of it.
        blush: cheeks, nose, ears.
        lips: the red of the lips.
        hair: brows and the roots of the hair.
        freckles: 0..1.
        stubble: 0..1.
        brow_half_mm: half the height of the brows where they are thickest.
        make_up: shade on the lids, 0..1.
    """

    skin: tuple[float, float, float]
    blush: tuple[float, float, float]
    lips: tuple[float, float, float]
    hair: tuple[float, float, float]
    freckles: float
    stubble: float
    brow_half_mm: float
    make_up: float


def mask(data: Path, name: str, uv: np.ndarray) -> np.ndarray:
    """MakeHuman's mask `name` (lips, eyelids, inside-mouth) at its texture places [..., 2], 0..1."""
    picture = np.asarray(Image.open(data / "mpfb2" / "textures" / f"mpfb_{name}.jpg").convert("L"), np.float32) / 255
    picture = gaussian_filter(picture, 1.5)
    rows, columns = (1 - uv[..., 1]) * len(picture) - 0.5, uv[..., 0] * len(picture) - 0.5
    return map_coordinates(picture, [rows, columns], order=1, mode="nearest")


def brow_line(x: np.ndarray) -> np.ndarray:
    """Height in mm of the middle of the brow at distances x in mm from the middle of the face."""
    along = np.clip((x - BROW_X_MM[0]) / (BROW_X_MM[1] - BROW_X_MM[0]), 0.0, 1.0)
    return 744.0 + 9.5 * np.sin(np.pi * (0.10 + 0.62 * along)) - 5.0 * along**3


def hairline(body_mm: np.ndarray) -> np.ndarray:
    """How far above the hairline places are, mm [...]."""
    direction = np.rad2deg(np.arctan2(np.abs(body_mm[..., 0]), body_mm[..., 2] - 55.0))
    return body_mm[..., 1] - np.interp(direction, HAIRLINE_DEG, HAIRLINE_Y_MM)


def _blob(at: np.ndarray, middle: tuple[float, float], size: tuple[float, float]) -> np.ndarray:
    """A soft spot on both sides of the face, 0..1."""
    x, y = np.abs(at[..., 0]), at[..., 1]
    return np.exp(-(((x - middle[0]) / size[0]) ** 2) - ((y - middle[1]) / size[1]) ** 2) * smoothstep(
        40, 70, at[..., 2]
    )


def _beard(at: np.ndarray) -> np.ndarray:
    """Where stubble grows, 0..1."""
    x, y, z = np.abs(at[..., 0]), at[..., 1], at[..., 2]
    edge = value_noise(at, 5.0, 31) * 4.0
    cheek_line = np.interp(x, (0, 18, 30, 45, 58, 70), (680, 678, 668, 664, 676, 712))
    low = smoothstep(578, 604, y + 0.45 * (z - 90))
    beard = smoothstep(6, -8, y - cheek_line + edge) * low * smoothstep(28, 48, z)
    moustache = np.exp(-(((y - 674) / 5.0) ** 2)) * smoothstep(34, 24, x)
    clean = 1 - 0.8 * _blob(at, (17, 649), (8, 5)) - 0.55 * np.exp(-((x / 5) ** 2) - ((y - 676) / 6) ** 2)
    return np.clip(
        np.maximum(beard * smoothstep(672, 660, y + 0.0 * x), moustache) * clean + beard * smoothstep(26, 40, x), 0, 1
    )


def albedo(texels: Texels, who: Complexion, data: Path) -> np.ndarray:
    """Colour of the skin, linear RGB [size, size, 3]; texels carry the place, MakeHuman's uv and the light [.., 6]."""
    at, uv, light = texels.values[..., :3], texels.values[..., 3:5], texels.values[..., 5]
    red = np.maximum(
        _blob(at, (40, 693), (17, 15)), 0.75 * np.exp(-((at[..., 0] / 13) ** 2) - ((at[..., 1] - 694) / 9) ** 2)
    )
    red = np.maximum(red, 0.5 * np.exp(-((at[..., 0] / 14) ** 2) - ((at[..., 1] - 628) / 10) ** 2))
    red = np.maximum(red, 0.8 * smoothstep(68, 78, np.abs(at[..., 0])) * (at[..., 1] > 680) * (at[..., 1] < 760))
    red = red * (0.75 + 0.5 * value_noise(at, 9.0, 11))
    skin, blush, hair = (np.array(c, np.float32) for c in (who.skin, who.blush, who.hair))
    colour = skin + (blush - skin) * np.clip(0.75 * red, 0, 1)[..., None]
    mottle = 0.05 * value_noise(at, 16.0, 12) + 0.05 * value_noise(at, 4.0, 13) + 0.05 * value_noise(at, 1.1, 14)
    colour = colour * (1 + mottle[..., None] * np.array([0.8, 1.1, 1.2]))
    spots = smoothstep(0.52, 0.75, value_noise(at, 1.7, 15)) * np.clip(_blob(at, (24, 700), (26, 16)) * 1.3, 0, 1)
    colour = colour * (1 - 0.40 * who.freckles * spots[..., None] * np.array([0.6, 1.0, 1.2]))
    under = _blob(at, (30, 713), (13, 5.5))
    colour = colour * (1 - 0.16 * under[..., None] * np.array([1.0, 1.1, 0.8]))
    lids = np.maximum(mask(data, "eyelids", uv), 0.0)
    colour = colour * (1 - lids[..., None] * (0.10 + 0.42 * who.make_up) * np.array([0.75, 1.0, 0.95]))
    stubble = _beard(at) * who.stubble * (0.62 + 0.55 * value_noise(at, 0.8, 16))
    colour = colour + (hair * 1.3 + 0.03 - colour) * np.clip(0.55 * stubble, 0, 1)[..., None]
    lips = smoothstep(0.25, 0.75, mask(data, "lips", uv) + 0.10 * value_noise(at, 2.0, 17))
    lines = 1 + 0.08 * value_noise(at * [1.0, 0.16, 0.3], 0.8, 18)
    colour = colour + (np.array(who.lips) * lines[..., None] - colour) * (0.88 * lips)[..., None]
    colour = _with_hair(colour, at, hair, who.brow_half_mm)
    shade = np.clip(light, 0, 1)[..., None] ** np.array([0.55, 0.85, 0.95])
    inner = smoothstep(0.3, 0.9, mask(data, "inside-mouth", uv))[..., None]
    return np.clip(colour * shade * (1 - 0.75 * inner), 0, 1)


def haired(at: np.ndarray) -> np.ndarray:
    """Where hair grows, 0..1, with a ragged border."""
    ragged = 4.0 * value_noise(at * [1.0, 0.3, 0.6], 1.6, 20)
    return smoothstep(-8.0, 4.0, hairline(at) + ragged) * (at[..., 1] > 640)


def _with_hair(colour: np.ndarray, at: np.ndarray, hair: np.ndarray, brow_half_mm: float) -> np.ndarray:
    """The skin under brows and hair takes on their colour."""
    x, y = np.abs(at[..., 0]), at[..., 1]
    along = np.clip((x - BROW_X_MM[0]) / (BROW_X_MM[1] - BROW_X_MM[0]), 0, 1)
    half = brow_half_mm * (1 - 0.6 * along)
    brow = 1 - smoothstep(0.4, 1.3, np.abs(y - brow_line(x)) / half + 0.25 * value_noise(at, 1.4, 19))
    brow *= smoothstep(BROW_X_MM[0] - 2, BROW_X_MM[0] + 5, x) * smoothstep(BROW_X_MM[1] + 1, BROW_X_MM[1] - 8, x)
    brow *= at[..., 2] > 60
    root = haired(at)
    colour = colour + (hair - colour) * (0.55 * brow)[..., None]
    return colour + (SCALP * hair - colour) * (0.95 * root)[..., None]


def skin_relief(texels: Texels, who: Complexion, data: Path) -> np.ndarray:
    """The skin's normal map, uint8 [size, size, 3]: pores, stubble, the lines of the lips."""
    at, uv = texels.values[..., :3], texels.values[..., 3:5]
    lips = mask(data, "lips", uv)
    pores = 0.030 * value_noise(at, 0.75, 21) + 0.030 * value_noise(at, 1.6, 22) + 0.05 * value_noise(at, 5.0, 23)
    lines = 0.06 * value_noise(at * [1.0, 0.14, 0.3], 0.95, 24)
    stubble = 0.04 * who.stubble * _beard(at) * value_noise(at, 0.7, 25)
    across, down = (np.linalg.norm(np.gradient(at, axis=axis), axis=-1).clip(0.08, 2.0) for axis in (1, 0))
    return relief_picture(pores * (1 - 0.8 * lips) + lines * lips + stubble, 1 / np.stack([across, down]))


def roughness(texels: Texels, data: Path) -> np.ndarray:
    """Roughness of the skin, 0..1, [size, size]: lips, nose and forehead shine more, the roots of hair do not."""
    at, uv = texels.values[..., :3], texels.values[..., 3:5]
    shine = np.maximum(np.exp(-((at[..., 0] / 26) ** 2) - ((at[..., 1] - 775) / 22) ** 2), _blob(at, (5, 702), (9, 22)))
    rough = 0.60 - 0.12 * shine * (at[..., 2] > 60) + 0.06 * value_noise(at, 1.3, 26)
    rough = rough + (0.36 - rough) * smoothstep(0.3, 0.8, mask(data, "lips", uv))
    return rough + (0.95 - rough) * haired(at)


def relief_picture(relief: np.ndarray, steep: np.ndarray | float) -> np.ndarray:
    """A tangent-space normal map, uint8 [H, W, 3].

    Args:
        relief: height, [H, W].
        steep: height differences between pixels as slopes, across and down, [2, H, W] or one number.
    """
    slopes = np.stack([np.gradient(relief, axis=1), -np.gradient(relief, axis=0)]) * steep
    normal = np.stack([*-np.clip(slopes, -0.6, 0.6), np.ones_like(relief)], axis=-1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    return np.rint(127.5 + 127.5 * normal).astype(np.uint8)


def srgb(linear: np.ndarray) -> np.ndarray:
    """Linear colours as bytes to be shown."""
    return np.rint(255 * np.clip(linear, 0, 1) ** (1 / GAMMA)).astype(np.uint8)


def jpeg(picture: np.ndarray, quality: int) -> bytes:
    """A picture, uint8 [H, W, 3], as JPEG."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality, optimize=True)
    return file.getvalue()


def png(picture: np.ndarray) -> bytes:
    """A picture, uint8 [H, W, 3 or 4], as PNG."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG", optimize=True)
    return file.getvalue()
