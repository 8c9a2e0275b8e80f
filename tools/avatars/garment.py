"""A plain shirt over the shoulders, cut off below like a bust, with a ribbed collar."""

import numpy as np

from .makehuman import Figure
from .noise import value_noise
from .parts import Part, joined, same_places, vertex_normals
from .skin import BUST_X_MM, BUST_Y_MM, Mesh, pull, smoothstep

NECK_Z_MM = 15.0
COLLAR_SIDE_MM, COLLAR_FRONT_MM, COLLAR_BACK_MM = 70.0, 62.0, 45.0
"""The collar runs around the neck where the body passes through an upright tube of this size."""
HEAD_Y_MM, HEAD_SLOPE = 590.0, 0.35
"""What is above this plane, which rises towards the nape, is no place for cloth."""
COVER = 0.35
"""The skin goes on this far below the collar, relative to the tube's radius."""
OFF_SKIN_MM, COLLAR_OFF_MM = 3.2, 1.2
COLLAR_AROUND = 10
RING, SMOOTH_WAVES = 96, 5
"""Points of the collar's ring, and how many waves around the neck it keeps."""
WEAVE_STEEP = 1.2
"""How steep the knit's relief is drawn."""


def outside_collar(body_mm: np.ndarray, width: float) -> np.ndarray:
    """How far outside of a collar places on the base mesh are, relative to its radius, [...]; below 0 on the neck.

    Args:
        body_mm: [..., 3].
        width: of the collar relative to a close one.
    """
    x, y, z = np.moveaxis(body_mm, -1, 0)
    ahead = np.where(z > NECK_Z_MM, COLLAR_FRONT_MM, COLLAR_BACK_MM)
    out = np.hypot(x / COLLAR_SIDE_MM, (z - NECK_Z_MM) / ahead) / width - 1
    above = (y + HEAD_SLOPE * (z - 40.0) - HEAD_Y_MM) / 30.0
    return np.minimum(out, -above)


def shirt(figure: Figure, collar_width: float, collar_half_mm: float) -> Part:
    """The cloth outside of a collar of width `collar_width`, and the collar, `2 * collar_half_mm` high."""
    quads, quads_uv = figure.body.quads["body"], figure.body.quads_uv["body"]
    corners = figure.body.vertices_mm[quads]
    near = (corners[:, :, 1] > BUST_Y_MM).all(1) & (np.abs(corners[:, :, 0]) < BUST_X_MM).all(1)
    near &= (outside_collar(corners, collar_width) > -0.6).all(1)
    mesh = Mesh.of(figure, quads[near], quads_uv[near], figure.body.uv, np.ones(int(near.sum()), bool))
    rest = mesh.positions(figure.vertices_mm)
    normals = vertex_normals(rest, mesh.triangles, same_places(rest))
    values = np.concatenate([rest, normals, mesh.body_mm], axis=1)
    values, triangles, cut = clipped(values, mesh.triangles, outside_collar(mesh.body_mm, collar_width))
    rest, normals, body = values[:, :3], values[:, 3:6], values[:, 6:]
    normals = normals / np.linalg.norm(normals, axis=1, keepdims=True)
    ring, out, shift = _ring(rest[cut], normals[cut], body[cut])
    near = 1 - smoothstep(0.0, 0.7, outside_collar(body, collar_width))
    cloth = rest + normals * OFF_SKIN_MM + shift(body) * near[:, None]
    uv = _cloth_places(cloth)
    part = Part("Shirt", "Shirt", cloth, vertex_normals(cloth, triangles, same_places(cloth)), triangles, uv)
    collar = _collar(ring, out, collar_half_mm)
    whole = joined("Shirt", [part, collar])
    return Part(
        "Shirt",
        "Shirt",
        whole.positions_mm,
        whole.normals,
        whole.triangles,
        whole.uv,
        pull=pull(np.concatenate([body, whole.positions_mm[len(body) :]])),
    )


def _cloth_places(at: np.ndarray) -> np.ndarray:
    """Places on a cloth's picture, 0..1 over the whole bust, [N, 2]."""
    x, y, z = at.T
    return np.clip(np.stack([0.5 + x / 480.0, (640.0 - y + 0.7 * np.abs(z - 20.0)) / 480.0], axis=1), 0, 1)


def clipped(values: np.ndarray, triangles: np.ndarray, keep: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cut a mesh along the line where a field is 0.

    Args:
        values: of vertices, [V, C].
        triangles: [F, 3].
        keep: the side above 0 stays, [V].
    Returns:
        Values [V + cuts, C], triangles, and which vertices are on the cut.
    """
    inside = keep > 0
    count = inside[triangles].sum(1)
    out, made = [triangles[count == 3]], {}
    rows = list(values)

    def on_edge(a: int, b: int) -> int:
        key = (min(a, b), max(a, b))
        if key not in made:
            t = keep[key[0]] / (keep[key[0]] - keep[key[1]])
            made[key] = len(rows)
            rows.append(values[key[0]] * (1 - t) + values[key[1]] * t)
        return made[key]

    for triangle in triangles[(count > 0) & (count < 3)].tolist():
        turn = next(i for i in range(3) if inside[triangle[i]] != inside[triangle[i - 1]] == inside[triangle[i - 2]])
        a, b, c = triangle[turn:] + triangle[:turn]
        ab, ac = on_edge(a, b), on_edge(a, c)
        out.append([[a, ab, ac]] if inside[a] else [[ab, b, c], [ab, c, ac]])
    merged = np.concatenate([np.asarray(t).reshape(-1, 3) for t in out])
    used, index = np.unique(merged, return_inverse=True)
    return np.array(rows)[used], index.reshape(-1, 3), used >= len(values)


def _ring(line: np.ndarray, normals: np.ndarray, body: np.ndarray):
    """A smooth ring along a cut [N, 3]: its points, directions outwards, and how far it is from the cut at places."""
    around = _around(body)
    steady = np.linspace(-np.pi, np.pi, RING, endpoint=False)
    order = np.argsort(around)

    def resampled(values: np.ndarray) -> np.ndarray:
        return np.stack(
            [np.interp(steady, around[order], values[order, i], period=2 * np.pi) for i in range(3)], axis=1
        )

    rough = resampled(line)
    waves = np.fft.rfft(rough, axis=0)
    waves[SMOOTH_WAVES:] = 0
    ring = np.fft.irfft(waves, RING, axis=0)
    out = resampled(normals)
    for _ in range(8):
        out = (np.roll(out, 1, 0) + 2 * out + np.roll(out, -1, 0)) / 4

    def shift(places: np.ndarray) -> np.ndarray:
        at = _around(places)
        return np.stack([np.interp(at, steady, (ring - rough)[:, i], period=2 * np.pi) for i in range(3)], axis=1)

    return ring, out / np.linalg.norm(out, axis=1, keepdims=True), shift


def _around(body: np.ndarray) -> np.ndarray:
    """Direction of places on the base mesh from the middle of the neck, [N], radians."""
    return np.arctan2(body[:, 0], body[:, 2] - NECK_Z_MM)


def _collar(ring: np.ndarray, out: np.ndarray, half_mm: float) -> Part:
    """A soft band along a ring [N, 3] around the neck."""
    along = np.roll(ring, -1, 0) - np.roll(ring, 1, 0)
    up = np.cross(out, along)
    up /= np.linalg.norm(up, axis=1, keepdims=True)
    up *= np.sign(up[:, 1:2])
    section = np.arange(COLLAR_AROUND) * 2 * np.pi / COLLAR_AROUND
    thick, high = 1.9 * np.sin(section), half_mm * np.cos(section)
    places = ring[:, None] + out[:, None] * (COLLAR_OFF_MM + 1.9 + thick)[:, None] + up[:, None] * high[:, None]
    places = places.reshape(-1, 3)
    n = len(ring)
    i, j = np.meshgrid(np.arange(n), np.arange(COLLAR_AROUND), indexing="ij")
    a, b = i * COLLAR_AROUND + j, i * COLLAR_AROUND + (j + 1) % COLLAR_AROUND
    c, d = (i + 1) % n * COLLAR_AROUND + (j + 1) % COLLAR_AROUND, (i + 1) % n * COLLAR_AROUND + j
    triangles = np.concatenate([np.stack([a, b, c], -1), np.stack([a, c, d], -1)]).reshape(-1, 3)
    normals = vertex_normals(places, triangles, same_places(places))
    middle = np.repeat(ring, COLLAR_AROUND, axis=0)
    if np.einsum("ij,ij->i", normals, places - middle).sum() < 0:
        triangles, normals = triangles[:, ::-1], -normals
    return Part("Collar", "Shirt", places, normals, triangles, _cloth_places(places))


def weave(size: int) -> np.ndarray:
    """Relief of knitted cloth in mm, [size, size], which repeats without a seam."""
    y, x = np.meshgrid(*[np.arange(size) / size * 2 * np.pi] * 2, indexing="ij")
    knit = np.sin(24 * x + 1.2 * np.sin(24 * y)) * 0.6 + 0.4 * np.sin(24 * y)
    fuzz = value_noise(np.stack([np.cos(x), np.sin(x) + 2 * np.cos(y), 2 * np.sin(y)], -1), 0.08, 41)
    return knit + 0.5 * fuzz
