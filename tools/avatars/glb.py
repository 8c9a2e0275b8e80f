"""Write a head as a compact GLB: 16-bit positions, 8-bit normals, sparse morph targets, three joints."""

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from exomni.core.arkit import NAMES, K

from .parts import Part

CARRIED_STEP_M, SKINNED_STEP_M = 1e-5, 8e-5
"""Positions are whole multiples of this, finer for small parts that the head carries; a skin's displacements of up to
10 mm then fit in a byte."""
NORMAL_STEPS, UV_STEPS, COLOUR_STEPS = 127, 65535, 255
BYTE, UNSIGNED_BYTE, SHORT, UNSIGNED_SHORT, UNSIGNED_INT, FLOAT = 5120, 5121, 5122, 5123, 5125, 5126
COMPONENTS = {"i1": BYTE, "u1": UNSIGNED_BYTE, "i2": SHORT, "u2": UNSIGNED_SHORT, "u4": UNSIGNED_INT, "f4": FLOAT}
KINDS = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}
VERTICES, INDICES = 34962, 34963
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


@dataclass
class Writer:
    """A glTF document under construction."""

    document: dict[str, Any]
    blob: bytearray = field(default_factory=bytearray)
    zeros: dict[tuple[Any, ...], int] = field(default_factory=dict)

    def view(self, data: bytes, **more: int) -> int:
        """Append bytes, aligned to four; returns the view's index."""
        self.blob += b"\0" * (-len(self.blob) % 4)
        views = self.document.setdefault("bufferViews", [])
        views.append({"buffer": 0, "byteOffset": len(self.blob), "byteLength": len(data), **more})
        self.blob += data
        return len(views) - 1

    def add(self, kind: str, value: dict[str, Any]) -> int:
        """Append to one of the document's lists; returns the index."""
        rows = self.document.setdefault(kind, [])
        rows.append(value)
        return len(rows) - 1

    def dense(self, values: np.ndarray, *, normalized: bool = False, extent: bool = False, target: int = 0) -> int:
        """An accessor [N, C] of one stored value each; vertex attributes are padded to four bytes."""
        width = values.shape[1]
        stride = -(-width * values.itemsize // 4) * 4
        rows = np.zeros((len(values), stride // values.itemsize), values.dtype)
        rows[:, :width] = values
        more = {"target": target} if target else {}
        if target == VERTICES:
            more["byteStride"] = stride
        data = rows if target == VERTICES else values
        return self._accessor(values, normalized, extent, bufferView=self.view(data.tobytes(), **more))

    def sparse(self, values: np.ndarray, *, normalized: bool = False, extent: bool = False) -> int:
        """An accessor [N, C] that stores only the rows that are not zero."""
        rows = np.flatnonzero(values.any(1))
        if not len(rows):
            key = (values.dtype.str, values.shape, normalized, extent)
            if key not in self.zeros:
                self.zeros[key] = self._accessor(values, normalized, extent)
            return self.zeros[key]
        index = rows.astype("<u2" if len(values) <= 65535 else "<u4")
        stored = {
            "count": len(rows),
            "indices": {"bufferView": self.view(index.tobytes()), "componentType": COMPONENTS[index.dtype.str[1:]]},
            "values": {"bufferView": self.view(values[rows].tobytes())},
        }
        return self._accessor(values, normalized, extent, sparse=stored)

    def _accessor(self, values: np.ndarray, normalized: bool, extent: bool, **more: Any) -> int:
        accessor = {"componentType": COMPONENTS[values.dtype.str[1:]], "count": len(values)}
        accessor |= {"type": KINDS[values.shape[1]], **more}
        if normalized:
            accessor["normalized"] = True
        if extent:
            accessor |= {"min": values.min(0).tolist(), "max": values.max(0).tolist()}
        return self.add("accessors", accessor)

    def texture(self, name: str, data: bytes) -> int:
        """A picture (JPEG or PNG) as a texture that repeats; returns the texture's index."""
        kind = "image/png" if data[:4] == b"\x89PNG" else "image/jpeg"
        image = self.add("images", {"name": name, "bufferView": self.view(data), "mimeType": kind})
        if "samplers" not in self.document:
            self.add("samplers", {"magFilter": 9729, "minFilter": 9987, "wrapS": 10497, "wrapT": 10497})
        return self.add("textures", {"source": image, "sampler": 0})

    def to_bytes(self) -> bytes:
        """The finished GLB."""
        self.blob += b"\0" * (-len(self.blob) % 4)
        self.document["buffers"] = [{"byteLength": len(self.blob)}]
        text = json.dumps(self.document, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 4)
        chunks = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(self.blob), b"BIN\0")
        return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks) + len(self.blob)) + chunks + bytes(self.blob)


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
    writer = Writer({"asset": asset, "extensionsUsed": ["KHR_mesh_quantization"]})
    writer.document["extensionsRequired"] = ["KHR_mesh_quantization"]
    numbers = {name: writer.texture(name, data) for name, data in textures.items()}
    order = {name: i for i, name in enumerate(materials)}
    for name, material in materials.items():
        writer.add("materials", {"name": name, **_numbered(material, numbers)})
    writer.document["extensionsUsed"] += sorted(_extensions(list(materials.values())))
    _add_joints(writer, skeleton)
    for part in parts:
        _add_node(writer, part, order[part.material], skeleton)
    roots = [0] + [i for i, node in enumerate(writer.document["nodes"]) if "skin" in node]
    writer.document |= {"scene": 0, "scenes": [{"nodes": roots}]}
    return writer.to_bytes()


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


def _add_joints(writer: Writer, skeleton: Skeleton) -> None:
    """Nodes 0 to 3: the whole, then the joints, each below the one before; and the skin that they move."""
    writer.add("nodes", {"name": "Avatar", "children": [1]})
    above = skeleton.origin_mm
    inverse = []
    for i, (name, joint) in enumerate(zip(JOINTS, skeleton.joints_mm, strict=True)):
        node = {"name": name, "translation": _metres(joint - above)}
        if i + 1 < len(JOINTS):
            node["children"] = [i + 2]
        writer.add("nodes", node)
        above = joint
        bind = np.diag([SKINNED_STEP_M] * 3 + [1.0])
        bind[:3, 3] = (skeleton.origin_mm - joint) / 1000
        inverse.append(bind.T.ravel())
    matrices = writer.dense(np.array(inverse).astype("<f4"))
    writer.add("skins", {"joints": [1, 2, 3], "skeleton": 1, "inverseBindMatrices": matrices})


def _metres(values_mm: np.ndarray) -> list[float]:
    return [round(float(v) / 1000, 5) for v in values_mm]


def _add_node(writer: Writer, part: Part, material: int, skeleton: Skeleton) -> None:
    """The part's mesh, skinned, or carried by the head if all of it follows the head."""
    node = {"name": part.name, "mesh": _add_mesh(writer, part, material, skeleton)}
    if part.pull is not None:
        writer.add("nodes", {**node, "skin": 0})
        return
    head = writer.document["nodes"][len(JOINTS)]
    node |= {"scale": [CARRIED_STEP_M] * 3, "translation": _metres(skeleton.origin_mm - skeleton.joints_mm[-1])}
    head.setdefault("children", []).append(writer.add("nodes", node))


def _step_m(part: Part) -> float:
    return CARRIED_STEP_M if part.pull is None else SKINNED_STEP_M


def _add_mesh(writer: Writer, part: Part, material: int, skeleton: Skeleton) -> int:
    steps = np.rint((part.positions_mm - skeleton.origin_mm) / 1000 / _step_m(part)).astype("<i2")
    normals = np.rint(part.normals * NORMAL_STEPS).astype("<i1")
    attributes = {
        "POSITION": writer.dense(steps, extent=True, target=VERTICES),
        "NORMAL": writer.dense(normals, normalized=True, target=VERTICES),
    }
    if part.uv is not None:
        uv = np.rint(part.uv * UV_STEPS).astype("<u2")
        attributes["TEXCOORD_0"] = writer.dense(uv, normalized=True, target=VERTICES)
    if part.colours is not None:
        colours = np.rint(part.colours * COLOUR_STEPS).astype("<u1")
        attributes["COLOR_0"] = writer.dense(colours, normalized=True, target=VERTICES)
    if part.pull is not None:
        attributes |= _joint_attributes(writer, part.pull)
    index = part.triangles.reshape(-1, 1).astype("<u2" if len(steps) <= 65535 else "<u4")
    primitive = {"attributes": attributes, "indices": writer.dense(index, target=INDICES), "material": material}
    mesh = {"name": part.name, "primitives": [primitive]}
    if part.deltas_mm is not None and part.deltas_mm.any():
        primitive["targets"] = _targets(writer, part)
        mesh |= {"weights": [0.0] * K, "extras": {"targetNames": list(NAMES)}}
    return writer.add("meshes", mesh)


def _joint_attributes(writer: Writer, pull: np.ndarray) -> dict[str, int]:
    """Each vertex's weights as bytes that add up to 255."""
    weights = np.zeros((len(pull), 4), "<u1")
    weights[:, :2] = np.rint(pull[:, :2] * 255)
    weights[:, 2] = 255 - weights[:, 0] - weights[:, 1]
    joints = np.where(weights > 0, np.arange(4), 0).astype("<u1")
    return {
        "JOINTS_0": writer.dense(joints, target=VERTICES),
        "WEIGHTS_0": writer.dense(weights, normalized=True, target=VERTICES),
    }


def _targets(writer: Writer, part: Part) -> list[dict[str, int]]:
    targets = []
    for delta, turn in zip(part.deltas_mm, part.turns, strict=True):
        steps = np.rint(delta / 1000 / _step_m(part))
        steps = steps.astype("<i1" if np.abs(steps).max() <= 127 else "<i2")
        turned = np.clip(np.rint(turn * NORMAL_STEPS), -127, 127).astype("<i1")
        target = {"POSITION": writer.sparse(steps, extent=True), "NORMAL": writer.sparse(turned, normalized=True)}
        targets.append(target)
    return targets
