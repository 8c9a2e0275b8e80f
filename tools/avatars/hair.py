"""Hair as cards: ribbons with painted strands that grow out of the scalp, fall and slide over head and neck."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from .paint import hairline
from .parts import Part
from .skin import Mesh, smoothstep
from .strands import ribbons

CARDS_ACROSS = 4
"""Different cards beside each other on the texture."""
ROUND = 0.45
"""How much a card is shaded as if it were round."""
STEP_MM = 5.0
MOST_PUSH_MM = 4.0
"""The skin pushes a strand no further than this at a step."""
DOWN = np.array([0.0, -1.0, 0.0])


@dataclass(frozen=True)
class Cut:
    """A hair style.

    Attributes:
        n_cards: number of cards.
        n_points: points along each.
        half_mm: half a card's width.
        parting_x_mm: where the hair is parted, on the base mesh.
        top_mm, side_mm: length on top and at the sides and the nape; without a limit for hair that ends at a height.
        end_y_mm: hair ends at this height, on the base mesh; 0 if `top_mm` and `side_mm` say how long it is.
        lift: how steeply it rises from the scalp, 0..1.
        weight: how soon it falls, 0..1.
        layer_mm: how far the outermost hair is from the scalp.
        seed: of the differences between cards.
    """

    n_cards: int
    n_points: int
    half_mm: float
    parting_x_mm: float
    top_mm: float
    side_mm: float
    end_y_mm: float
    lift: float
    weight: float
    layer_mm: float
    seed: int


def hair(skin: Mesh, part: Part, cut: Cut, bare: np.ndarray) -> Part:
    """Cards of a cut on a head.

    Args:
        skin: the head's mesh.
        part: the same at rest.
        cut: the style.
        bare: vertices that no hair grows on, such as the ears', bool [V].
    """
    rng = np.random.default_rng(cut.seed)
    roots, normals, body = _roots(skin, part, cut.n_cards, bare, rng)
    toward = (_fallen if cut.end_y_mm else _brushed)(body, normals, cut, rng)
    lines = _clear_of_the_face(_grown(roots, toward, body, cut, part, rng))
    outward = _outward(lines)
    across = _unit(np.cross(np.gradient(lines, axis=1), outward))
    facing = _unit(outward + rng.normal(0, 0.2, (len(lines), 1, 1)) * across)
    along = np.linspace(0, 1, cut.n_points)
    half = cut.half_mm * np.interp(along, (0, 0.25, 0.7, 1), (0.85, 1.0, 0.95, 0.5))
    vertices, triangles = ribbons(lines, half * rng.uniform(0.75, 1.2, (len(lines), 1)), facing)
    column = rng.integers(0, CARDS_ACROSS, len(lines))
    u = (column[:, None] + np.array([0.02, 0.98])) / CARDS_ACROSS
    uv = np.stack(np.broadcast_arrays(u[:, None, :], (0.01 + 0.97 * along)[None, :, None]), axis=-1)
    shade = rng.uniform(0.72, 1.0, (len(lines), 1)) * np.interp(along, (0, 0.35, 1), (0.55, 0.95, 1.0))
    warm = 1 + rng.normal(0, 0.05, (len(lines), 1, 1)) * np.array([1.0, 0.3, -0.6])
    colours = np.ones((*lines.shape[:2], 2, 4))
    colours[..., :3] = np.clip(shade[..., None] * warm, 0, 1)[:, :, None]
    normals = _unit(np.stack([facing - ROUND * across, facing + ROUND * across], axis=2)).reshape(-1, 3)
    return Part("Hair", "Hair", vertices.reshape(-1, 3), normals, triangles, uv.reshape(-1, 2), colours.reshape(-1, 4))


def _unit(v: np.ndarray) -> np.ndarray:
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-9)


def _roots(
    skin: Mesh, part: Part, count: int, bare: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Evenly spread places on the scalp, lowest first: in space, their normals, on the base mesh, [count, 3] each."""
    near = (hairline(skin.body_mm) > -30) & (skin.body_mm[:, 1] > 640) & ~bare
    scalp = skin.triangles[near[skin.triangles].all(1)]
    a, b, c = (part.positions_mm[scalp[:, i]] for i in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    many = rng.choice(len(scalp), count * 6, p=area / area.sum())
    weights = rng.dirichlet((1, 1, 1), len(many))
    body = np.einsum("nc,nck->nk", weights, skin.body_mm[scalp[many]])
    haired = hairline(body) > 0
    many, weights, body = scalp[many[haired]], weights[haired], body[haired]
    places, normals = (np.einsum("nc,nck->nk", weights, v[many]) for v in (part.positions_mm, part.normals))
    chosen = _spread(places, count)
    chosen = chosen[np.argsort(body[chosen, 1])]
    return places[chosen], normals[chosen], body[chosen]


def _spread(points: np.ndarray, count: int) -> np.ndarray:
    """Indices of `count` points that are far from each other."""
    chosen, distance = [0], np.linalg.norm(points - points[0], axis=1)
    for _ in range(count - 1):
        chosen.append(int(np.argmax(distance)))
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return np.array(chosen)


def _fallen(body: np.ndarray, normals: np.ndarray, cut: Cut, rng: np.random.Generator) -> np.ndarray:
    """Which way hair that is parted starts, [N, 3]: away from the parting, from the face backwards."""
    side = np.tanh((body[:, 0] - cut.parting_x_mm) / 3.0)
    front = smoothstep(40.0, 140.0, body[:, 2])
    back = smoothstep(20.0, -30.0, body[:, 2])
    way = np.stack([side * (1 - 0.6 * back), -0.25 - 0.6 * back, -0.12 - 0.75 * front], axis=1)
    way += rng.normal(0, 0.07, way.shape)
    way -= normals * (way * normals).sum(1, keepdims=True)
    high = smoothstep(720.0, 820.0, body[:, 1:2])
    return _unit(_unit(way) + cut.lift * (0.1 + 0.9 * high) * normals)


def _brushed(body: np.ndarray, normals: np.ndarray, cut: Cut, rng: np.random.Generator) -> np.ndarray:
    """Which way short hair starts, [N, 3]: on top back and away from the parting, at the sides down."""
    top = smoothstep(765.0, 805.0, body[:, 1])[:, None]
    side = np.tanh((body[:, 0] - cut.parting_x_mm) / 8.0)[:, None]
    on_top = np.concatenate([0.55 * side, 0.15 * np.ones_like(side), -0.85 * np.ones_like(side)], axis=1)
    below = np.concatenate([0.0 * side, -0.9 * np.ones_like(side), -0.45 * np.ones_like(side)], axis=1)
    way = on_top * top + below * (1 - top) + rng.normal(0, 0.16, body.shape)
    way -= normals * (way * normals).sum(1, keepdims=True)
    front = smoothstep(110.0, 140.0, body[:, 2:]) * top
    return _unit(_unit(way) + (cut.lift * (0.3 + 0.7 * top) + 0.35 * front) * normals)


def _grown(
    roots: np.ndarray, toward: np.ndarray, body: np.ndarray, cut: Cut, part: Part, rng: np.random.Generator
) -> np.ndarray:
    """Lines from the roots, [N, P, 3], that keep off the skin and out of the face."""
    tree = cKDTree(part.positions_mm)
    high = smoothstep(690.0, 840.0, body[:, 1])
    layer = 1.5 + cut.layer_mm * (0.25 + 0.75 * high) * rng.uniform(0.6, 1.1, len(roots))
    length = (cut.side_mm + (cut.top_mm - cut.side_mm) * smoothstep(740.0, 800.0, body[:, 1])) * rng.uniform(
        0.8, 1.1, len(roots)
    )
    end = cut.end_y_mm + rng.normal(0, 4.0, len(roots)) + 14.0 * smoothstep(60.0, -30.0, body[:, 2])
    n_steps = 70 if cut.end_y_mm else int(np.ceil(length.max() / STEP_MM))
    at, way, lines = roots - 0.8 * toward, toward, [roots - 0.8 * toward]
    done = np.zeros(len(roots), bool)
    for step in range(n_steps):
        way = _unit(way * (1 - cut.weight * 0.22) + cut.weight * 0.22 * DOWN)
        if cut.end_y_mm:
            way = _unit(way - 0.16 * _outward(at[:, None])[:, 0] * smoothstep(720.0, 660.0, at[:, 1])[:, None])
        stride = STEP_MM if cut.end_y_mm else (length / n_steps)[:, None]
        ahead = at + way * stride
        ahead = _off_skin(ahead, tree, part, np.minimum(layer, 0.6 + 1.2 * (step + 1)))
        if cut.end_y_mm:
            ahead = _out_of_the_face(ahead)
        ahead[done] = at[done]
        way = np.where(done[:, None], way, _unit(0.5 * way + 0.5 * _unit(ahead - at)))
        at = ahead
        lines.append(at)
        if cut.end_y_mm:
            done |= at[:, 1] < end
    whole = np.stack(lines, axis=1)
    for _ in range(6 if cut.end_y_mm else 1):
        whole[:, 1:-1] = (whole[:, :-2] + 2 * whole[:, 1:-1] + whole[:, 2:]) / 4
    return _evenly(whole, cut.n_points)


def _off_skin(at: np.ndarray, tree: cKDTree, part: Part, gap_mm: np.ndarray) -> np.ndarray:
    """Points [N, 3] pushed out until they are `gap_mm` [N] above the skin."""
    _, nearest = tree.query(at, k=4)
    normal = _unit(_unit(part.normals[nearest].mean(1)) + _outward(at[:, None])[:, 0])
    above = ((at - part.positions_mm[nearest].mean(1)) * normal).sum(1)
    return at + normal * np.clip(gap_mm - above, 0.0, MOST_PUSH_MM)[:, None]


def _out_of_the_face(at: np.ndarray) -> np.ndarray:
    """Points [N, 3] before the face moved to its sides."""
    x, y, z = at.T
    reach = np.interp(y, (600, 640, 690, 740, 780, 800), (54, 62, 69, 68, 55, 0)) * smoothstep(70, 100, z)
    side = np.where(x >= 0, 1.0, -1.0)
    out = at.copy()
    out[:, 0] = x + side * 0.5 * np.maximum(reach - np.abs(x), 0)
    out[:, 2] = z - 0.35 * np.maximum(reach - np.abs(x), 0)
    return out


def _clear_of_the_face(lines: np.ndarray) -> np.ndarray:
    """The lines of those that do not cross the face, [M, P, 3]."""
    x, y, z = np.moveaxis(lines, -1, 0)
    crosses = (np.abs(x) < np.interp(y, (600, 640, 690, 770, 790), (44, 52, 60, 58, 40))) & (z > 92) & (y < 786)
    return lines[~crosses.any(1)]


def _evenly(lines: np.ndarray, n_points: int) -> np.ndarray:
    """Lines [N, M, 3] with `n_points` points at equal distances."""
    length = np.cumsum(np.linalg.norm(np.diff(lines, axis=1, prepend=lines[:, :1]), axis=2), axis=1)
    out = np.empty((len(lines), n_points, 3))
    for n, (line, at) in enumerate(zip(lines, length, strict=True)):
        wanted = np.linspace(0, at[-1], n_points)
        for i in range(3):
            out[n, :, i] = np.interp(wanted, at, line[:, i])
    return out


def _outward(lines: np.ndarray) -> np.ndarray:
    """Away from the head's inside, for soft shading, [N, P, 3]."""
    middle = np.stack([np.zeros(lines.shape[:2]), np.clip(lines[..., 1], 640, 765), np.full(lines.shape[:2], 45.0)], -1)
    return _unit(lines - middle)


def strand_picture(width: int, height: int, seed: int) -> np.ndarray:
    """Strands from root (top) to tip, RGBA uint8 [height, width, 4]; their colour multiplies the material's."""
    rng = np.random.default_rng(seed)
    each = width // CARDS_ACROSS
    y = (np.arange(height) + 0.5) / height
    x = np.arange(each) + 0.5
    light, cover = np.full((height, width), 0.55), np.zeros((height, width))
    for card in range(CARDS_ACROSS):
        columns = slice(card * each, (card + 1) * each)
        for _ in range(34):
            start, sway = rng.uniform(3, each - 3), rng.normal(0, 2.0)
            middle = start + sway * np.sin(np.pi * y * rng.uniform(0.6, 1.4) + rng.uniform(0, 6))
            gather = 1 - 0.35 * y**2
            middle = each / 2 + (middle - each / 2) * gather
            thick = rng.uniform(0.9, 1.9) * (1 - y**3 * 0.6)
            ends = rng.uniform(0.84, 1.02)
            alive = smoothstep(ends, ends - 0.05, y)
            inside = np.clip(thick[:, None] + 0.5 - np.abs(x - middle[:, None]), 0, 1) * alive[:, None]
            tone = rng.uniform(0.45, 1.0)
            light[:, columns] += (tone - light[:, columns]) * inside
            cover[:, columns] = np.maximum(cover[:, columns], inside)
        edge = smoothstep(0, 3, x) * smoothstep(each, each - 3, x)
        cover[:, columns] *= edge
    rgb = np.repeat((light * 255)[..., None], 3, axis=2)
    return np.rint(np.concatenate([rgb, cover[..., None] * 255], axis=2)).astype(np.uint8)
