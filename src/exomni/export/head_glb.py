"""The project's head as glTF: smooth-shaded, one material a part, all 52 shapes as sparse morph targets."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from exomni.core import arkit

from ..face.head import PARTS, Head
from .gltf import FLOAT, add_accessor, add_view

if TYPE_CHECKING:
    from pygltflib import GLTF2

METRES = 1e-3
VERTICES, INDICES = 34962, 34963
STILL_MM = 1e-3
"""A vertex that moves less is left out of a morph target."""
STILL_NORMAL = 1e-3
COLOURS: Mapping[str, tuple[tuple[float, float, float], float]] = {
    "skin": ((0.80, 0.53, 0.42), 0.65),
    "eye": ((0.90, 0.89, 0.87), 0.15),
    "upper_teeth": ((0.86, 0.83, 0.75), 0.35),
    "lower_teeth": ((0.86, 0.83, 0.75), 0.35),
    "tongue": ((0.62, 0.27, 0.26), 0.5),
    "lashes": ((0.08, 0.05, 0.04), 0.9),
}
"""Linear colour and roughness of each part."""


def head_document() -> "GLTF2":
    """A glTF document of the head at rest, in metres, its middle at the origin, looking along +z."""
    from pygltflib import GLTF2, Asset, Attributes, Mesh, Node, Primitive, Scene

    head = Head.load()
    triangles = np.concatenate([head.quads[:, [0, 1, 2]], head.quads[:, [0, 2, 3]]])
    parts = np.concatenate([head.quad_parts, head.quad_parts])
    rest_mm = head.vertices_mm
    normals = _normals(rest_mm, triangles)
    gltf = GLTF2(asset=Asset(version="2.0", generator="exomni"), scene=0)
    middle_mm = (rest_mm.min(axis=0) + rest_mm.max(axis=0)) / 2
    positions = ((rest_mm - middle_mm) * METRES).astype(np.float32)
    attributes = Attributes(
        POSITION=add_accessor(gltf, positions, "VEC3", with_range=True, target=VERTICES),
        NORMAL=add_accessor(gltf, normals, "VEC3", target=VERTICES),
    )
    targets = []
    for delta_mm in head.deltas_mm:
        turned = _normals(rest_mm + delta_mm, triangles) - normals
        turned[np.abs(turned).max(axis=1) < STILL_NORMAL] = 0
        moved = np.where(np.abs(delta_mm).max(axis=1, keepdims=True) < STILL_MM, 0, delta_mm) * METRES
        targets.append({"POSITION": _sparse(gltf, moved, with_range=True), "NORMAL": _sparse(gltf, turned)})
    primitives = []
    for i, part in enumerate(PARTS):
        corners = triangles[parts == i].astype(np.uint32).ravel()
        indices = add_accessor(gltf, corners, "SCALAR", target=INDICES)
        gltf.materials.append(_material(part))
        primitives.append(Primitive(attributes=attributes, indices=indices, material=i, targets=targets))
    mesh = Mesh(name="head", primitives=primitives, weights=[0.0] * arkit.K)
    mesh.extras = {"targetNames": list(arkit.NAMES)}
    gltf.meshes.append(mesh)
    gltf.nodes.append(Node(name="head", mesh=0))
    gltf.scenes.append(Scene(nodes=[0]))
    return gltf


def _normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Smooth normals, weighted by area, float32 [V, 3]."""
    a, b, c = (vertices[triangles[:, i]] for i in range(3))
    faces = np.cross(b - a, c - a).astype(np.float64)
    out = np.zeros((len(vertices), 3))
    for i in range(3):
        np.add.at(out, triangles[:, i], faces)
    lengths = np.linalg.norm(out, axis=1, keepdims=True)
    return np.where(lengths > 0, out / np.maximum(lengths, 1e-12), [0.0, 0.0, 1.0]).astype(np.float32)


def _sparse(gltf: "GLTF2", values: np.ndarray, with_range: bool = False) -> int:
    """A sparse VEC3 accessor of the rows that are not zero; returns its index."""
    from pygltflib import Accessor, AccessorSparseIndices, AccessorSparseValues, Sparse

    values = values.astype(np.float32)
    rows = np.flatnonzero(np.abs(values).max(axis=1) > 0)
    if not len(rows):
        rows = np.array([0])
    accessor = Accessor(byteOffset=None, componentType=FLOAT, count=len(values), type="VEC3")
    accessor.sparse = Sparse(
        count=len(rows),
        indices=AccessorSparseIndices(bufferView=add_view(gltf, rows.astype(np.uint16).tobytes()), componentType=5123),
        values=AccessorSparseValues(bufferView=add_view(gltf, values[rows].tobytes())),
    )
    if with_range:
        accessor.min, accessor.max = values.min(axis=0).tolist(), values.max(axis=0).tolist()
    gltf.accessors.append(accessor)
    return len(gltf.accessors) - 1


def _material(part: str) -> object:
    from pygltflib import Material, PbrMetallicRoughness

    colour, roughness = COLOURS[part]
    surface = PbrMetallicRoughness(baseColorFactor=[*colour, 1.0], metallicFactor=0.0, roughnessFactor=roughness)
    return Material(name=part, pbrMetallicRoughness=surface, doubleSided=part == "lashes")
