"""Write a head as a compact GLB: 16-bit positions, 8-bit normals, sparse morph targets, three joints."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pygltflib import GLTF2, Asset, Attributes, Material, Mesh, Node, Primitive, Sampler, Scene, Skin

from exomni.core.arkit import NAMES, K
from exomni.export.gltf_document import INDICES, VERTICES, add_accessor, add_sparse, add_texture, glb_bytes

from .parts import Part

CARRIED_STEP_M, SKINNED_STEP_M = 1e-5, 8e-5
"""Positions are whole multiples of this, finer for small parts that the head carries; a skin's displacements of up to
10 mm then fit in a byte."""
NORMAL_STEPS, UV_STEPS, COLOUR_STEPS = 127, 65535, 255
REPEATED = {"magFilter": 9729, "minFilter": 9987, "wrapS": 10497, "wrapT": 10497}
"""How textures are sampled: smoothly, and repeated beyond their edges."""
JOINTS = ("Chest", "Neck", "Head")


@dataclass(frozen=True)
class Skeleton:
    """Where the joints are, in millimetres of the parts' coordinates, and where the file's origin is.

    Attributes:
        origin_mm: [3].
        joints_mm: of each of JOINTS, [3, 3].
    """

    origin_mm: np.ndarray
    joints_mm: np.ndarray


def write_glb(
    parts: Sequence[Part],
    materials: Mapping[str, dict[str, Any]],
    textures: Mapping[str, bytes],
    skeleton: Skeleton,
    asset: dict[str, Any],
) -> bytes:
    """A GLB of a head.

    Args:
        parts: its surfaces.
        materials: {name: glTF material}, whose texture references have the texture's name for an index.
        textures: {name: JPEG or PNG}.
        skeleton: its joints.
        asset: the document's `asset`.
    """
    gltf = GLTF2(asset=Asset.from_dict(asset), scene=0)
    numbers = {name: add_texture(gltf, name, data, Sampler(**REPEATED)) for name, data in textures.items()}
    order = {name: i for i, name in enumerate(materials)}
    gltf.materials += [Material.from_dict({"name": name, **_numbered(m, numbers)}) for name, m in materials.items()]
    gltf.extensionsUsed = ["KHR_mesh_quantization", *sorted(_extensions(list(materials.values())))]
    gltf.extensionsRequired = ["KHR_mesh_quantization"]
    _add_joints(gltf, skeleton)
    for part in parts:
        _add_node(gltf, part, order[part.material], skeleton)
    gltf.scenes.append(Scene(nodes=[0, *(i for i, node in enumerate(gltf.nodes) if node.skin is not None)]))
    return glb_bytes(gltf)


def _extensions(value: Any) -> set[str]:
    """Names of the extensions that materials use, themselves and in their textures."""
    below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    own = set(value.get("extensions", {})) if isinstance(value, dict) else set()
    return own.union(*(_extensions(each) for each in below))


def _numbered(value: Any, numbers: Mapping[str, int]) -> Any:
    """A material with texture names replaced by their indices."""
    if isinstance(value, dict):
        return {k: numbers[v] if k == "index" else _numbered(v, numbers) for k, v in value.items()}
    return value


def _add_joints(gltf: GLTF2, skeleton: Skeleton) -> None:
    """Nodes 0 to 3: the whole, then the joints, each below the one before; and the skin that they move."""
    gltf.nodes.append(Node(name="Avatar", children=[1]))
    above = skeleton.origin_mm
    inverse = []
    for i, (name, joint) in enumerate(zip(JOINTS, skeleton.joints_mm, strict=True)):
        children = [i + 2] if i + 1 < len(JOINTS) else []
        gltf.nodes.append(Node(name=name, translation=_metres(joint - above), children=children))
        above = joint
        bind = np.diag([SKINNED_STEP_M] * 3 + [1.0])
        bind[:3, 3] = (skeleton.origin_mm - joint) / 1000
        inverse.append(bind.T.ravel())
    matrices = add_accessor(gltf, np.array(inverse, "<f4"), "MAT4")
    gltf.skins.append(Skin(joints=[1, 2, 3], skeleton=1, inverseBindMatrices=matrices))


def _metres(values_mm: np.ndarray) -> list[float]:
    return [round(float(v) / 1000, 5) for v in values_mm]


def _add_node(gltf: GLTF2, part: Part, material: int, skeleton: Skeleton) -> None:
    """The part's mesh, skinned, or carried by the head if all of it follows the head."""
    gltf.meshes.append(_mesh(gltf, part, material, skeleton))
    node = Node(name=part.name, mesh=len(gltf.meshes) - 1)
    if part.pull is not None:
        node.skin = 0
    else:
        node.scale = [CARRIED_STEP_M] * 3
        node.translation = _metres(skeleton.origin_mm - skeleton.joints_mm[-1])
        gltf.nodes[len(JOINTS)].children.append(len(gltf.nodes))
    gltf.nodes.append(node)


def _step_m(part: Part) -> float:
    return CARRIED_STEP_M if part.pull is None else SKINNED_STEP_M


def _mesh(gltf: GLTF2, part: Part, material: int, skeleton: Skeleton) -> Mesh:
    steps = np.rint((part.positions_mm - skeleton.origin_mm) / 1000 / _step_m(part)).astype("<i2")
    normals = np.rint(part.normals * NORMAL_STEPS).astype("<i1")
    attributes = Attributes(
        POSITION=add_accessor(gltf, steps, "VEC3", with_range=True, target=VERTICES),
        NORMAL=add_accessor(gltf, normals, "VEC3", target=VERTICES, normalized=True),
    )
    if part.uv is not None:
        uv = np.rint(part.uv * UV_STEPS).astype("<u2")
        attributes.TEXCOORD_0 = add_accessor(gltf, uv, "VEC2", target=VERTICES, normalized=True)
    if part.colours is not None:
        colours = np.rint(part.colours * COLOUR_STEPS).astype("<u1")
        attributes.COLOR_0 = add_accessor(gltf, colours, "VEC4", target=VERTICES, normalized=True)
    if part.pull is not None:
        _add_joint_weights(gltf, attributes, part.pull)
    index = part.triangles.reshape(-1, 1).astype("<u2" if len(steps) <= 65535 else "<u4")
    indices = add_accessor(gltf, index, "SCALAR", target=INDICES)
    primitive = Primitive(attributes=attributes, indices=indices, material=material)
    mesh = Mesh(name=part.name, primitives=[primitive])
    if part.deltas_mm is not None and part.deltas_mm.any():
        primitive.targets = _targets(gltf, part)
        mesh.weights, mesh.extras = [0.0] * K, {"targetNames": list(NAMES)}
    return mesh


def _add_joint_weights(gltf: GLTF2, attributes: Attributes, pull: np.ndarray) -> None:
    """Each vertex's weights as bytes that add up to 255."""
    weights = np.zeros((len(pull), 4), "<u1")
    weights[:, :2] = np.rint(pull[:, :2] * 255)
    weights[:, 2] = 255 - weights[:, 0] - weights[:, 1]
    joints = np.where(weights > 0, np.arange(4), 0).astype("<u1")
    attributes.JOINTS_0 = add_accessor(gltf, joints, "VEC4", target=VERTICES)
    attributes.WEIGHTS_0 = add_accessor(gltf, weights, "VEC4", target=VERTICES, normalized=True)


def _targets(gltf: GLTF2, part: Part) -> list[Attributes]:
    targets = []
    for delta, turn in zip(part.deltas_mm, part.turns, strict=True):
        steps = np.rint(delta / 1000 / _step_m(part))
        steps = steps.astype("<i1" if np.abs(steps).max() <= 127 else "<i2")
        turned = np.clip(np.rint(turn * NORMAL_STEPS), -127, 127).astype("<i1")
        position = add_sparse(gltf, steps, "VEC3", with_range=True)
        targets.append(Attributes(POSITION=position, NORMAL=add_sparse(gltf, turned, "VEC3", normalized=True)))
    return targets
