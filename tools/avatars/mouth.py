"""Teeth set along the arches of MakeHuman's simple ones, with gums, and the tongue."""

from dataclasses import replace

import numpy as np

from exomni.core.arkit import K

from .eyeballs import grid_triangles
from .makehuman import Figure
from .parts import Part, joined, same_places, vertex_normals
from .skin import Mesh

WIDTHS_UPPER_MM = (8.5, 6.6, 7.5, 6.8, 6.6, 9.4)
WIDTHS_LOWER_MM = (5.5, 6.0, 6.9, 7.0, 7.0, 10.4)
HEIGHTS_UPPER_MM = (10.6, 9.4, 10.2, 8.6, 8.2, 7.4)
HEIGHTS_LOWER_MM = (9.2, 9.4, 10.2, 8.8, 8.2, 7.6)
DEPTHS_MM = (4.6, 4.6, 6.0, 7.4, 7.8, 9.0)
"""Of each tooth from the middle outwards; our choice near the means of anatomy books."""
GAP_MM = 0.12
UPPER_EDGE_Y_MM, LOWER_EDGE_Y_MM = 658.3, 661.6
"""Height of the biting edges on the base mesh: the upper teeth cover the tips of the lower ones."""
UPPER_ARCH_MM, LOWER_ARCH_MM = (21.7, 145.6, 43.0), (21.2, 141.6, 40.0)
"""Half ellipse that the teeth's faces stand on: half width, front, depth."""
AROUND = 12
PROFILE = (
    (0.00, 0.30, 0.22),
    (0.02, 0.80, 0.55),
    (0.10, 0.95, 0.72),
    (0.40, 1.0, 0.95),
    (0.75, 0.93, 1.0),
    (1.0, 0.82, 0.9),
)
"""Of a tooth from its edge to the gum: share of the height, of the width, of the depth."""


def _arch(arch: tuple[float, float, float], along_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places [N, 2] (x, z) on an arch by length from its middle, and the direction outwards there."""
    half, front, depth = arch
    angle = np.linspace(-np.pi / 2, np.pi / 2, 721)
    points = np.stack([half * np.sin(angle), front - depth + depth * np.cos(angle)], axis=1)
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    length -= length[-1] / 2
    place = np.stack([np.interp(along_mm, length, points[:, i]) for i in range(2)], axis=1)
    at = np.interp(along_mm, length, angle)
    out = np.stack([np.sin(at) / half, np.cos(at) / depth], axis=1)
    return place, out / np.linalg.norm(out, axis=1, keepdims=True)


def _tooth(number: int, side: int, upper: bool) -> tuple[np.ndarray, np.ndarray]:
    """Vertices of one tooth on the base mesh, [V, 3], and how far each is from its edge towards the gum, 0..1."""
    widths = WIDTHS_UPPER_MM if upper else WIDTHS_LOWER_MM
    heights = HEIGHTS_UPPER_MM if upper else HEIGHTS_LOWER_MM
    middle = sum(widths[:number]) + widths[number] / 2
    place, out = _arch(UPPER_ARCH_MM if upper else LOWER_ARCH_MM, np.array([side * middle]))
    out = np.array([out[0, 0], 0.0, out[0, 1]])
    across = np.array([out[2], 0.0, -out[0]])
    turn = np.arange(AROUND) * 2 * np.pi / AROUND
    box = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    box = np.sign(box) * np.abs(box) ** 0.55
    edge = UPPER_EDGE_Y_MM if upper else LOWER_EDGE_Y_MM
    edge += (0.0, 0.8, 0.1, 0.6, 0.9, 1.2)[number] * (1 if upper else -0.6)
    rows = []
    for height, width, depth in PROFILE:
        y = edge + height * heights[number] * (1 if upper else -1)
        tip = max(depth, 0.75) if number > 2 else depth
        x = box[:, 0] * width * (widths[number] - GAP_MM) / 2
        z = (box[:, 1] - 1) * tip * DEPTHS_MM[number] / 2 - (0.9 if number < 3 else 0.3) * abs(height - 0.35)
        rows.append(np.array([place[0, 0], y, place[0, 1]]) + x[:, None] * across + z[:, None] * out)
    return np.concatenate(rows), np.repeat([p[0] for p in PROFILE], AROUND)


def _gum(upper: bool) -> np.ndarray:
    """A ridge that holds the necks of the teeth, on the base mesh, rings of AROUND vertices, [V, 3]."""
    widths = WIDTHS_UPPER_MM if upper else WIDTHS_LOWER_MM
    reach = sum(widths) + 1.0
    edges = np.cumsum((0.0, *widths))
    along = np.linspace(-reach, reach, 61)
    place, out = _arch(UPPER_ARCH_MM if upper else LOWER_ARCH_MM, along)
    heights = np.interp(
        np.abs(along), edges[:-1] + np.array(widths) / 2, HEIGHTS_UPPER_MM if upper else HEIGHTS_LOWER_MM
    )
    near = np.abs(np.abs(along)[:, None] - edges).min(1)
    dip = 1.3 * np.exp(-((near / 1.4) ** 2))
    depth = np.interp(np.abs(along), edges[:-1] + np.array(widths) / 2, DEPTHS_MM)
    sign = 1 if upper else -1
    edge = (UPPER_EDGE_Y_MM if upper else LOWER_EDGE_Y_MM) + sign * (heights * 0.90 - dip)
    turn = np.arange(AROUND) * 2 * np.pi / AROUND
    up, front = 0.5 - 0.5 * np.cos(turn), np.sin(turn)
    z = front * (depth[:, None] / 2 + 0.5) - depth[:, None] / 2 - 1.2 * up
    y = edge[:, None] + sign * 11.0 * up
    ring = np.stack([place[:, :1] + z * out[:, :1], y, place[:, 1:] + z * out[:, 1:]], axis=2)
    return ring.reshape(-1, 3)


TOOTH, GUM, DEEP = np.array([0.74, 0.66, 0.53]), np.array([0.40, 0.13, 0.12]), 0.06


def _shade(body_mm: np.ndarray) -> np.ndarray:
    """How much light reaches places in the mouth, [N, 1]: little at the back."""
    return DEEP + (1 - DEEP) * np.clip((body_mm[:, 2:] - 106.0) / 36.0, 0, 1) ** 1.6


def teeth(figure: Figure, upper: bool) -> Part:
    """One row of teeth with its gum, carried by what carries MakeHuman's simple ones."""
    ids = figure.body.vertices_of("helper-upper-teeth" if upper else "helper-lower-teeth")
    before = figure.body.vertices_mm[ids]
    pieces = []
    for side in (1, -1):
        for number in range(len(DEPTHS_MM)):
            places, up = _tooth(number, side, upper)
            colour = TOOTH * (1 - 0.25 * up[:, None] ** 2) * [1.0, 1 - 0.05 * number / 5, 1 - 0.12 * number / 5]
            pieces.append(_piece(places, grid_triangles(len(PROFILE), AROUND), colour))
    gum = _gum(upper)
    pieces.append(_piece(gum, grid_triangles(len(gum) // AROUND, AROUND), np.broadcast_to(GUM, gum.shape)))
    whole = joined("UpperTeeth" if upper else "LowerTeeth", pieces)
    rest = _affine(before, figure.vertices_mm[ids])(whole.positions_mm)
    deltas = np.zeros((K, *rest.shape))
    for k in range(K):
        moved = figure.deltas_mm[k, ids]
        if np.abs(moved).max() > 0:
            deltas[k] = _affine(figure.vertices_mm[ids], figure.vertices_mm[ids] + moved)(rest) - rest
    normals = vertex_normals(rest, whole.triangles, same_places(rest))
    return Part(whole.name, "Teeth", rest, normals, whole.triangles, None, whole.colours).with_morphs(deltas)


def _piece(body_mm: np.ndarray, triangles: np.ndarray, colour: np.ndarray) -> Part:
    """A closed surface on the base mesh, turned so that it faces outwards."""
    a, b, c = (body_mm[triangles[:, i]] - body_mm.mean(0) for i in range(3))
    if np.einsum("ij,ij->i", a, np.cross(b, c)).sum() < 0:
        triangles = triangles[:, ::-1]
    rgba = np.concatenate([colour * _shade(body_mm), np.ones((len(body_mm), 1))], axis=1)
    return Part("Piece", "Teeth", body_mm, np.zeros_like(body_mm), triangles, None, rgba)


def _affine(before: np.ndarray, after: np.ndarray):
    """The affine map that takes points [N, 3] closest to others [N, 3]."""
    system = np.concatenate([before, np.ones((len(before), 1))], axis=1)
    matrix = np.linalg.lstsq(system, after, rcond=None)[0]
    return lambda points: points @ matrix[:3] + matrix[3]


TONGUE = np.array([0.40, 0.135, 0.13])


def tongue(figure: Figure) -> Part:
    """MakeHuman's tongue, made finer and coloured."""
    quads, quads_uv = figure.body.quads["helper-tongue"], figure.body.quads_uv["helper-tongue"]
    mesh = Mesh.of(figure, quads, quads_uv, figure.body.uv, np.ones(len(quads), bool))
    part = mesh.part(figure, "Tongue", "Tongue")
    colours = np.concatenate([TONGUE * _shade(mesh.body_mm), np.ones((len(mesh.body_mm), 1))], axis=1)
    return replace(part, uv=None, colours=colours)


LINING = np.array([0.16, 0.035, 0.032])


def lining(mesh: Mesh, skin: Part, inside: np.ndarray) -> Part:
    """The inside of the mouth cut out of the skin; it gives no light back, however the scene is lit.

    Args:
        mesh: of the skin.
        skin: the same with morphs.
        inside: the triangles, bool [F].
    """
    used, corners = np.unique(skin.triangles[inside], return_inverse=True)
    depth = np.clip((mesh.body_mm[used, 2:] - 110.0) / 36.0, 0, 1) ** 2
    colours = np.concatenate([LINING * depth, np.ones((len(used), 1))], axis=1)
    part = replace(skin, name="Mouth", material="Mouth", uv=None, colours=colours, triangles=corners.reshape(-1, 3))
    still = np.zeros((K, len(used), 3))
    return replace(
        part,
        positions_mm=skin.positions_mm[used],
        normals=skin.normals[used],
        deltas_mm=skin.deltas_mm[:, used],
        turns=still,
    )
