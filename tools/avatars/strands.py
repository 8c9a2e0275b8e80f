"""Lashes and brows, hair by hair: thin tapered ribbons that follow the skin."""

import numpy as np

from exomni.core.arkit import K

from .makehuman import Figure
from .paint import BROW_X_MM, brow_line
from .parts import Part, joined
from .skin import Mesh

LASH_GRID = {"helper-{}-eyelashes-2": (96, 1.0), "helper-{}-eyelashes-1": (52, 0.55)}
"""MakeHuman's strips of lashes: how many hairs each gets, and their length relative to the strip's."""
LASH_ALONG = (0.0, 0.35, 0.7, 1.0)
LASH_HALF_MM = (0.17, 0.14, 0.08, 0.0)
LASH_ROOT, LASH_LEAD = 0.16, 0.07
"""Where on the strip hairs start, and how much further than the strip they turn, so that a closed lid hides no root."""
BROW_ALONG = (0.0, 0.5, 1.0)
BROW_HALF_MM = (0.14, 0.17, 0.0)
FACING = np.array([0.0, 0.25, 1.0])
SEEN_MM = 0.12
"""A shape that moves no hair further than this leaves a row of hairs alone."""


def ribbons(lines: np.ndarray, half_mm: np.ndarray, facing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Flat strips along lines.

    Args:
        lines: points from root to tip, [N, P, 3].
        half_mm: half the width at each point, [P].
        facing: what a strip's face looks along, [3] or [N, P, 3].
    Returns:
        Vertices [N, P, 2, 3] and triangles over them, flattened, [F, 3].
    """
    along = np.gradient(lines, axis=1)
    across = np.cross(along, np.broadcast_to(facing, lines.shape))
    across /= np.maximum(np.linalg.norm(across, axis=2, keepdims=True), 1e-9)
    half = np.asarray(half_mm)[..., None] * across
    vertices = np.stack([lines - half, lines + half], axis=2)
    n, p = lines.shape[:2]
    first = (np.arange(n)[:, None] * p + np.arange(p - 1)) * 2
    quads = np.stack([first, first + 1, first + 3, first + 2], axis=-1).reshape(-1, 4)
    return vertices, np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])


def strip_grid(quads: np.ndarray, near: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """A strip of quads as a grid of vertex ids [rows, columns], the row nearest to a point [3] first."""
    ids, counts = np.unique(quads, return_counts=True)
    sides = {frozenset(pair) for q in quads.tolist() for pair in zip(q, q[1:] + q[:1], strict=True)}
    links = {i: [j for pair in sides if i in pair for j in pair if j != i] for i in ids.tolist()}
    corners = ids[counts == 1].tolist()
    rim = set(ids[counts < 4].tolist())
    shares = {}
    for q in quads.tolist():
        for pair in zip(q, q[1:] + q[:1], strict=True):
            shares[frozenset(pair)] = shares.get(frozenset(pair), 0) + 1

    def walk(start: int, second: int) -> list[int]:
        line = [start, second]
        while line[-1] not in corners:
            line.append(
                next(j for j in links[line[-1]] if j in rim and j not in line and shares[frozenset((line[-1], j))] == 1)
            )
        return line

    sidelines = [walk(corners[0], j) for j in links[corners[0]]]
    long, short = sorted(sidelines, key=len, reverse=True)
    rows = [long]
    for start in short[1:]:
        previous, row = rows[-1], [start]
        for column in range(1, len(long)):
            row.append(
                next(j for j in links[row[-1]] if j in links[previous[column]] and j not in previous and j not in row)
            )
        rows.append(row)
    grid = np.array(rows)
    out = np.linalg.norm(vertices[grid] - near, axis=2).mean(1)
    return grid if out[0] < out[-1] else grid[::-1]


def lashes(figure: Figure, seed: int, length: float) -> Part:
    """Both eyes' lashes, which move as MakeHuman's strips do; `length` is relative to these."""
    rng = np.random.default_rng(seed)
    parts = []
    for letter, (middle, _) in zip("lr", figure.eyes, strict=True):
        for group, (count, share) in LASH_GRID.items():
            quads = figure.body.quads[group.format(letter)]
            grid = strip_grid(quads, middle, figure.vertices_mm)
            parts.append(_lash_row(figure, grid, middle, count, share * length, rng))
    return joined("Lashes", parts)


def _lash_row(
    figure: Figure, grid: np.ndarray, middle: np.ndarray, count: int, length: float, rng: np.random.Generator
) -> Part:
    """Hairs spread along a strip; they lean outwards and differ in length.

    Their roots move with the strip's; the rest turns about the eyeball's middle as the lid does, because the strip's
    own tips dive through a lid that closes.
    """
    place = np.linspace(0.02, 0.98, count) + rng.uniform(-0.3, 0.3, count) / count
    reach = length * rng.uniform(0.7, 1.05, count) * (0.5 + 0.5 * np.sin(np.pi * place))
    along = np.array(LASH_ALONG)
    lean = 0.03 * np.cos(np.pi * place)[:, None] * np.sign(figure.vertices_mm[grid[0, 0], 0] - middle[0])
    u = np.clip(place[:, None] + (rng.normal(0.0, 0.015, count)[:, None] - lean) * along, 0, 1) * (grid.shape[1] - 1)
    v = (LASH_ROOT + (1 - LASH_ROOT) * np.clip(reach[:, None] * along, 0, 1)) * (grid.shape[0] - 1)
    resting = _on_grid(figure.vertices_mm[grid], v, u)
    roots = resting[:, :1]

    def drawn(vertices: np.ndarray) -> np.ndarray:
        moved = _on_grid(vertices[grid], v[:, :1], u[:, :1])
        turn = (np.arctan2(*(moved - middle)[..., 1:].T) - np.arctan2(*(roots - middle)[..., 1:].T)).T
        lines = middle + _about_x(moved - middle, LASH_LEAD * turn) + _about_x(resting - roots, turn)
        return ribbons(lines, np.array(LASH_HALF_MM), lines - middle)[0].reshape(-1, 3)

    rest, triangles = drawn(figure.vertices_mm), ribbons(resting, np.array(LASH_HALF_MM), resting - middle)[1]
    deltas = np.stack([drawn(figure.vertices_mm + delta) - rest for delta in figure.deltas_mm])
    deltas[np.abs(deltas).max((1, 2)) < SEEN_MM] = 0
    normals = np.broadcast_to(FACING / np.linalg.norm(FACING), rest.shape)
    return Part("Lashes", "Lashes", rest, normals, triangles, None, None, deltas, np.zeros_like(deltas))


def _on_grid(at: np.ndarray, v: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Places [N, P, 3] on a grid of points [rows, columns, 3] at fractional rows and columns [N, P]."""
    i, j = np.minimum(v.astype(int), at.shape[0] - 2), np.minimum(u.astype(int), at.shape[1] - 2)
    a, b = (v - i)[..., None], (u - j)[..., None]
    near = at[i, j] * (1 - b) + at[i, j + 1] * b
    return near * (1 - a) + (at[i + 1, j] * (1 - b) + at[i + 1, j + 1] * b) * a


def _about_x(offsets: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Offsets [N, P, 3] turned about the x axis from z towards y by angles [N, 1]."""
    c, s = np.cos(turn), np.sin(turn)
    x, y, z = np.moveaxis(offsets, -1, 0)
    return np.stack([x, c * y + s * z, c * z - s * y], axis=-1)


def brows(skin: Mesh, part: Part, half_mm: float, count: int, seed: int) -> Part:
    """Both brows, each hair lying on the skin and moving with it.

    Args:
        skin: the face's mesh.
        part: the same at rest, with morphs.
        half_mm: half the height of a brow where it is thickest.
        count: hairs of each brow.
        seed: of the hairs' differences.
    """
    rng = np.random.default_rng(seed)
    along = rng.uniform(0, 1, count) ** 0.9
    off = np.clip(rng.normal(0, 0.48, count), -1, 1)
    x = BROW_X_MM[0] + along * (BROW_X_MM[1] - BROW_X_MM[0])
    y = brow_line(x) + off * half_mm * (1 - 0.72 * along)
    rise = np.deg2rad(
        np.interp(along, (0, 0.12, 0.35, 0.7, 1), (68, 48, 26, 6, -20)) - 26 * off + rng.normal(0, 7, count)
    )
    length = np.interp(along, (0, 0.12, 0.4, 1), (3.0, 5.2, 7.4, 5.2)) * rng.uniform(0.8, 1.2, count)
    reach = np.array(BROW_ALONG)[None] * length[:, None]
    bend = rise[:, None] - 0.35 * np.array(BROW_ALONG)[None]
    places = np.stack([x[:, None] + np.cos(bend) * reach, y[:, None] + np.sin(bend) * reach], axis=2)
    lift = 0.15 + 0.65 * np.sin(np.pi * np.clip(np.array(BROW_ALONG), 0, 1)) * rng.uniform(0.5, 1.2, count)[:, None]
    return joined("Brows", [_brow(skin, part, places * (side, 1), lift) for side in (1, -1)])


def _brow(skin: Mesh, part: Part, places: np.ndarray, lift: np.ndarray) -> Part:
    """Hairs through places on the base mesh, seen from the front, [N, P, 2], `lift` mm above the skin [N, P]."""
    corners, weights = on_skin(skin, places.reshape(-1, 2))

    def carried(values: np.ndarray) -> np.ndarray:
        return np.einsum("nc,nck->nk", weights, values[corners]).reshape(*places.shape[:2], 3)

    normal = carried(part.normals)
    lines = carried(part.positions_mm) + normal * lift[..., None]
    vertices, triangles = ribbons(lines, np.array(BROW_HALF_MM), normal)
    deltas = np.repeat(np.stack([carried(d) for d in part.deltas_mm])[:, :, :, None], 2, axis=3).reshape(K, -1, 3)
    deltas[np.abs(deltas).max(2) < SEEN_MM] = 0
    normals = np.repeat(normal[:, :, None], 2, axis=2).reshape(-1, 3)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return Part("Brow", "Brows", vertices.reshape(-1, 3), normals, triangles, None, None, deltas, np.zeros_like(deltas))


def on_skin(skin: Mesh, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where on the front of the face places (x, y) on the base mesh are: corners [N, 3] and their weights [N, 3]."""
    at = skin.body_mm
    near = (at[skin.triangles][:, :, 2] > 60).all(1)
    triangles = skin.triangles[near]
    a, b, c = (at[triangles[:, i]][:, :2] for i in range(3))
    area = np.cross(b - a, c - a)
    chosen, weights = np.zeros(len(places), int), np.zeros((len(places), 3))
    for n, p in enumerate(places):
        shares = np.stack([np.cross(b - p, c - p), np.cross(c - p, a - p), np.cross(a - p, b - p)], axis=1)
        shares /= np.where(np.abs(area) > 1e-9, area, np.inf)[:, None]
        chosen[n] = np.argmax(shares.min(1))
        weights[n] = np.clip(shares[chosen[n]], 0, 1)
    return triangles[chosen], weights / weights.sum(1, keepdims=True)
