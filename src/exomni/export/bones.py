"""Bones of a glTF head: finds the nodes of head and eyes, and turns rotations of the face into theirs and back."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from ..face.rotations import angles, matrix, product, quaternions

if TYPE_CHECKING:
    from pygltflib import GLTF2, Node

_NAMES = {"head": r"(.*[^e])?head", "leftEye": r".*(lefteye|eyeleft|eyel)", "rightEye": r".*(righteye|eyeright|eyer)"}
"""How bones are named, small letters alone: `J_Bip_C_Head`, `mixamorig:LeftEye`, `eye.L`; no forehead."""
UNTURNED = np.array([0.0, 0.0, 0.0, 1.0])
BACKWARDS = np.array([0.0, 1.0, 0.0, 0.0])
"""Half a turn about the upward axis: avatars of VRM 0.x look along -z."""


def bone(gltf: "GLTF2", which: str) -> int | None:
    """The node of a bone, by VRM's humanoid or else by its name; None without one that can be turned.

    Args:
        which: `head`, `leftEye` or `rightEye`.
    """
    extensions = gltf.extensions or {}
    named = (extensions.get("VRMC_vrm", {}).get("humanoid") or {}).get("humanBones") or {}
    found = [named[which]["node"]] if which in named else []
    listed = (extensions.get("VRM", {}).get("humanoid") or {}).get("humanBones") or []
    found += [each["node"] for each in listed if each.get("bone") == which]
    found += [
        i
        for i, node in enumerate(gltf.nodes)
        if node.mesh is None and re.fullmatch(_NAMES[which], re.sub("[^a-z]", "", (node.name or "").lower()))
    ]
    placed = {index for index, *_ in walk(gltf)}
    return next((i for i in found if i in placed and gltf.nodes[i].matrix is None), None)


def walk(gltf: "GLTF2") -> Iterator[tuple[int, int | None, np.ndarray]]:
    """Every node of the scene, the node above it, and its place in the world, [4, 4]; upper ones first."""
    waiting = [(node, None, np.eye(4)) for node in gltf.scenes[gltf.scene or 0].nodes or []]
    while waiting:
        index, above, around = waiting.pop()
        place = around @ local(gltf.nodes[index])
        yield index, above, place
        waiting += [(child, index, place) for child in gltf.nodes[index].children or []]


def local(node: "Node") -> np.ndarray:
    """Where a node stands in the one above it, [4, 4]."""
    if node.matrix is not None:
        return np.array(node.matrix, np.float64).reshape(4, 4).T
    out = np.eye(4)
    out[:3, :3] = matrix(_rotation(node)) * np.array(node.scale or (1, 1, 1))
    out[:3, 3] = node.translation or (0, 0, 0)
    return out


def below(gltf: "GLTF2", top: int) -> set[int]:
    """A node and all that hangs on it."""
    found, waiting = set(), [top]
    while waiting:
        index = waiting.pop()
        found.add(index)
        waiting += gltf.nodes[index].children or []
    return found


def turned(gltf: "GLTF2", node: int, turns: np.ndarray) -> np.ndarray:
    """Rotations of a bone, in the bone above it, that turn it in the world.

    Args:
        node: the bone, at rest as the document has it.
        turns: yaw, pitch, roll in radians, [T, 3].
    Returns:
        Quaternions x, y, z, w, float32 [T, 4].
    """
    world = _around(gltf, node)
    rest = _rotation(gltf.nodes[node])
    return product(product(_back(world), product(quaternions(turns), world)), rest).astype(np.float32)


def turns_of(gltf: "GLTF2", node: int, rotations: np.ndarray) -> np.ndarray:
    """Yaw, pitch, roll in radians, [T, 3], of a bone that is rotated so, [T, 4]: what `turned` was given."""
    world = _around(gltf, node)
    rest = _rotation(gltf.nodes[node])
    return angles(product(product(world, product(rotations, _back(rest))), _back(world)))


def _around(gltf: "GLTF2", node: int) -> np.ndarray:
    """How the bone above a node stands in the world, looking along z."""
    above = {index: parent for index, parent, _ in walk(gltf)}
    world, parent = UNTURNED, above[node]
    while parent is not None:
        world, parent = product(_rotation(gltf.nodes[parent]), world), above[parent]
    return product(BACKWARDS if "VRM" in (gltf.extensions or {}) else UNTURNED, world)


def _rotation(node: "Node") -> np.ndarray:
    """A node's quaternion."""
    return UNTURNED if node.rotation is None else np.array(node.rotation)


def _back(quaternion: np.ndarray) -> np.ndarray:
    """The turn that undoes another."""
    return quaternion * np.array([-1.0, -1.0, -1.0, 1.0])
