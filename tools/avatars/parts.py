"""What a head is made of before it is written: surfaces, each with its own vertices, material and morphs."""

from dataclasses import dataclass, field, replace

import numpy as np

from exomni.core.arkit import K

STILL_MM = 0.08
STILL_TURN = 0.06
"""A vertex that moves or turns less than this does not belong to a morph target."""


@dataclass(frozen=True, eq=False)
class Part:
    """One surface.

    Attributes:
        name: of its node and mesh.
        material: name of its material.
        positions_mm: [V, 3].
        normals: unit, [V, 3].
        triangles: [F, 3], counter-clockwise from outside.
        uv: texture places, origin at the upper left, [V, 2], or None.
        colours: linear RGBA that multiplies the material's, [V, 4], or None.
        deltas_mm: of each shape at weight 1, [K, V, 3], or None if nothing moves it.
        turns: change of the normals by each shape, [K, V, 3], or None.
        pull: how far each vertex follows chest, neck and head, [V, 3], or None if all of it follows the head.
    """

    name: str
    material: str
    positions_mm: np.ndarray
    normals: np.ndarray
    triangles: np.ndarray
    uv: np.ndarray | None = None
    colours: np.ndarray | None = None
    deltas_mm: np.ndarray | None = None
    turns: np.ndarray | None = field(default=None)
    pull: np.ndarray | None = None

    def with_morphs(self, deltas_mm: np.ndarray) -> "Part":
        """The same part moved by deltas [K, V, 3]; normals turn as the surface does."""
        deltas = np.where(np.abs(deltas_mm).max(2, keepdims=True) < STILL_MM, 0.0, deltas_mm)
        turns = np.zeros((K, len(self.positions_mm), 3), np.float32)
        place = same_places(self.positions_mm)
        before = vertex_normals(self.positions_mm, self.triangles, place)
        for k in np.flatnonzero(deltas.any((1, 2))):
            turn = vertex_normals(self.positions_mm + deltas_mm[k], self.triangles, place) - before
            turns[k] = np.where(np.abs(turn).max(1, keepdims=True) < STILL_TURN, 0.0, turn)
        return replace(self, deltas_mm=deltas.astype(np.float32), turns=turns)


def same_places(positions: np.ndarray) -> np.ndarray:
    """A number for each vertex [V]; vertices at one place, as on both sides of a texture's seam, share theirs."""
    return np.unique(np.round(positions, 3), axis=0, return_inverse=True)[1].reshape(-1)


def vertex_normals(positions: np.ndarray, triangles: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Unit normals [V, 3] of a smooth surface; vertices that share a place [V] share theirs."""
    a, b, c = (positions[triangles[:, i]] for i in range(3))
    corner, each = place[triangles.ravel()], np.repeat(np.cross(b - a, c - a), 3, axis=0)
    sums = np.stack([np.bincount(corner, each[:, i], place.max() + 1) for i in range(3)], axis=1)
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    return np.where(lengths > 0, sums / np.maximum(lengths, 1e-12), [0.0, 0.0, 1.0])[place]


def trimmed(part: Part) -> Part:
    """The part without vertices that no triangle uses."""
    used, corners = np.unique(part.triangles, return_inverse=True)

    def kept(values: np.ndarray | None, axis: int = 0) -> np.ndarray | None:
        return None if values is None else np.take(values, used, axis=axis)

    return replace(
        part,
        positions_mm=part.positions_mm[used],
        normals=part.normals[used],
        triangles=corners.reshape(-1, 3),
        uv=kept(part.uv),
        colours=kept(part.colours),
        deltas_mm=kept(part.deltas_mm, 1),
        turns=kept(part.turns, 1),
        pull=kept(part.pull),
    )


def joined(name: str, parts: list[Part]) -> Part:
    """Several parts of one material as one."""
    starts = np.cumsum([0] + [len(p.positions_mm) for p in parts[:-1]])

    def together(values: list[np.ndarray | None], axis: int) -> np.ndarray | None:
        return None if values[0] is None else np.concatenate(values, axis=axis)

    return Part(
        name,
        parts[0].material,
        np.concatenate([p.positions_mm for p in parts]),
        np.concatenate([p.normals for p in parts]),
        np.concatenate([p.triangles + start for p, start in zip(parts, starts, strict=True)]),
        together([p.uv for p in parts], 0),
        together([p.colours for p in parts], 0),
        together([p.deltas_mm for p in parts], 1),
        together([p.turns for p in parts], 1),
        together([p.pull for p in parts], 0),
    )
