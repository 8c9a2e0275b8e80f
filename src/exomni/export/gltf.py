"""glTF: a face's animation into any head with morph targets, and out of it again."""

import base64
import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import numpy as np

from exomni.core import arkit
from exomni.core.errors import FormatError

from .bones import bone, turned, turns_of
from .names import ROTATIONS, canonical
from .reading import Reading, read_bytes
from .tables import from_table
from .track import FaceTrack

if TYPE_CHECKING:
    from pygltflib import GLTF2, Accessor, Animation

FLOAT = 5126
_DTYPES = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_COMPONENTS = {"float32": FLOAT, "uint32": 5125, "uint16": 5123, "uint8": 5121}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
CLIP_NAME = "exomni"


@dataclass(frozen=True)
class MorphMesh:
    """A node whose mesh has morph targets.

    Attributes:
        node: index of the node.
        mesh: index of its mesh.
        mixing: how far each ARKit shape (or other name) moves each target: {name: {target: weight}}.
        n_targets: number of morph targets, P.
    """

    node: int
    mesh: int
    mixing: Mapping[str, Mapping[int, float]]
    n_targets: int


def load_gltf(path: str | os.PathLike[str]) -> "GLTF2":
    """Read `.glb`, `.vrm` or `.gltf` (with its buffers beside it) with one binary buffer inside.

    Raises:
        InputError: a file cannot be read.
        FormatError: it is not glTF 2.0.
    """
    from pygltflib import GLTF2

    data = read_bytes(path)
    try:
        if data[:4] == b"glTF":
            length = int.from_bytes(data[8:12], "little")
            if length > len(data):
                raise FormatError(f"{path}: cut off, {len(data)} of {length} bytes")
            gltf = GLTF2().load_from_bytes(data)
        else:
            gltf = GLTF2.gltf_from_json(data.decode("utf-8-sig"))
        if gltf.asset.version != "2.0":
            raise FormatError(f"{path}: glTF {gltf.asset.version}, only 2.0 is read")
        _take_in(gltf, Path(path).parent)
        for accessor in gltf.accessors:
            if accessor.bufferView is None:
                accessor.byteOffset = None  # pygltflib makes it 0, which has no place where nothing is stored
    except (ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise FormatError(f"{path} is not a glTF file ({error})") from None
    return gltf


def morph_meshes(gltf: "GLTF2") -> list[MorphMesh]:
    """Every node with morph targets, its targets named by `targetNames` or by VRM's expressions.

    Raises:
        FormatError: a mesh has another number of names than of targets.
    """
    found = []
    binds = _vrm_binds(gltf)
    for node_index, node in enumerate(gltf.nodes or []):
        if node.mesh is None or not gltf.meshes[node.mesh].primitives[0].targets:
            continue
        mesh = gltf.meshes[node.mesh]
        n_targets = len(mesh.primitives[0].targets)
        names = target_names(gltf, node.mesh)
        if names and len(names) != n_targets:
            raise FormatError(f"mesh '{mesh.name}' has {len(names)} names for {n_targets} morph targets")
        mixing: dict[str, dict[int, float]] = {}
        for target, name in enumerate(names):
            mixing.setdefault(canonical(name) or name, {})[target] = 1.0
        for name, ways in binds.get(node_index, {}).items():
            if name not in mixing:
                mixing[name] = ways
        found.append(MorphMesh(node_index, node.mesh, mixing, n_targets))
    return found


def target_names(gltf: "GLTF2", mesh: int) -> list[str]:
    """A mesh's names of morph targets, from its own extras or its first primitive's; empty without any."""
    extras = gltf.meshes[mesh].extras or {}
    names = extras.get("targetNames")
    if names is None:
        names = (gltf.meshes[mesh].primitives[0].extras or {}).get("targetNames")
    return [str(name) for name in names or []]


def available_shapes(gltf: "GLTF2") -> tuple[str, ...]:
    """ARKit shapes that some mesh has, in the project's order.

    Raises:
        FormatError: there is none; the message has the names that are there.
    """
    meshes = morph_meshes(gltf)
    names = {name for mesh in meshes for name in mesh.mixing}
    found = tuple(name for name in arkit.NAMES if name in names)
    if not found:
        there = ", ".join(sorted(names)[:8]) or "none with a name"
        raise FormatError(f"no morph target is an ARKit shape; {len(meshes)} meshes have targets: {there}")
    return found


def animate(gltf: "GLTF2", track: FaceTrack) -> tuple[str, ...]:
    """Put a face's animation into a document, before any that it has, for every mesh that can show it.

    The head turns by its bone. The eyes turn by theirs only where the head has no shapes for gaze: together they
    would look twice as far.

    Args:
        gltf: a document with its binary buffer; changed.
        track: the face.
    Returns:
        Notes: what of the track has no place in this head.
    Raises:
        FormatError: no mesh has a shape of it.
    """
    from pygltflib import Animation

    shapes = available_shapes(gltf)
    animation = Animation(name=CLIP_NAME, channels=[], samplers=[])
    times = add_accessor(gltf, track.times_s.astype(np.float32), "SCALAR", with_range=True)
    for mesh in morph_meshes(gltf):
        if not set(mesh.mixing) & set(track.names):
            continue
        weights = np.zeros((track.n_frames, mesh.n_targets), np.float32)
        for name, ways in mesh.mixing.items():
            for target, weight in ways.items():
                weights[:, target] += weight * track.column(name)
        add_channel(gltf, animation, times, mesh.node, "weights", weights.ravel())
        _name_targets(gltf, mesh)
    notes = _add_turns(gltf, animation, times, track, gaze="eyeLookInLeft" in shapes)
    gltf.animations = [animation, *(gltf.animations or [])]
    return notes


def add_channel(gltf: "GLTF2", animation: "Animation", times: int, node: int, path: str, values: np.ndarray) -> None:
    """Add a linear channel to an animation.

    Args:
        gltf: the document; changed.
        animation: changed.
        times: accessor of the keys' times.
        node: what moves.
        path: `weights`, `rotation` or `translation`.
        values: float32 [T * targets], quaternions [T, 4] or places [T, 3].
    """
    from pygltflib import AnimationChannel, AnimationChannelTarget, AnimationSampler

    kind = {"weights": "SCALAR", "rotation": "VEC4", "translation": "VEC3"}[path]
    output = add_accessor(gltf, values, kind)
    animation.samplers.append(AnimationSampler(input=times, output=output, interpolation="LINEAR"))
    target = AnimationChannelTarget(node=node, path=path)
    animation.channels.append(AnimationChannel(sampler=len(animation.samplers) - 1, target=target))


def _add_turns(gltf: "GLTF2", animation: "Animation", times: int, track: FaceTrack, gaze: bool) -> tuple[str, ...]:
    wanted = {} if track.head is None else {"head": track.head}
    if track.eyes is not None and not gaze:
        wanted |= {"leftEye": track.eyes[:, 0], "rightEye": track.eyes[:, 1]}
    without = []
    for which, turns in wanted.items():
        node = bone(gltf, which)
        if node is not None:
            add_channel(gltf, animation, times, node, "rotation", turned(gltf, node, turns))
        elif turns.any():
            without.append(which)
    return (f"no bone turns these, which stay still: {', '.join(without)}",) if without else ()


def add_accessor(
    gltf: "GLTF2",
    values: np.ndarray,
    kind: str,
    with_range: bool = False,
    target: int | None = None,
) -> int:
    """Append an array to the binary buffer as an accessor of its own; returns its index.

    Args:
        gltf: the document; changed.
        values: float32; uint32 for indices; uint16 for parts of a whole; uint8 for joints; [N] or [N, width].
        kind: `SCALAR`, `VEC3`…
        with_range: store min and max, which times and positions must have.
        target: 34962 for vertices, 34963 for indices, None for all else.
    """
    from pygltflib import Accessor

    accessor = Accessor(
        bufferView=add_view(gltf, values.tobytes(), target),
        componentType=_COMPONENTS[values.dtype.name],
        normalized=values.dtype == np.uint16,
        count=len(values),
        type=kind,
    )
    if with_range:
        rows = values.reshape(len(values), -1)
        accessor.min, accessor.max = rows.min(axis=0).tolist(), rows.max(axis=0).tolist()
    gltf.accessors.append(accessor)
    return len(gltf.accessors) - 1


def add_view(gltf: "GLTF2", data: bytes, target: int | None = None) -> int:
    """Append bytes to the binary buffer as a view of their own, four-aligned; returns its index."""
    from pygltflib import Buffer, BufferView

    blob = gltf.binary_blob()
    if not isinstance(blob, bytearray):
        blob = bytearray(blob or b"")
        gltf.set_binary_blob(blob)
    blob += b"\0" * (-len(blob) % 4)
    if not gltf.buffers:
        gltf.buffers.append(Buffer(byteLength=0))
    gltf.bufferViews.append(BufferView(buffer=0, byteOffset=len(blob), byteLength=len(data), target=target))
    blob += data
    gltf.buffers[0].byteLength = len(blob)
    return len(gltf.bufferViews) - 1


def read_gltf(path: str | os.PathLike[str], fps: Any = None) -> Reading:
    """Read the first animation that moves morph targets, of all meshes together.

    Args:
        path: `.glb`, `.vrm` or `.gltf`.
        fps: frames a second, over what its times say.
    Raises:
        InputError: a file cannot be read.
        FormatError: there is no such animation, or its targets have no ARKit name.
    """
    gltf = load_gltf(path)
    named = {mesh.node: mesh for mesh in morph_meshes(gltf)}
    for animation in gltf.animations or []:
        channels = [c for c in animation.channels if c.target.path == "weights" and c.target.node in named]
        if channels:
            break
    else:
        raise FormatError(f"{path}: no animation moves a morph target")
    columns: dict[str, np.ndarray] = {}
    notes: tuple[str, ...] = ()
    try:
        for channel in channels:
            sampler = animation.samplers[channel.sampler]
            times = decode(gltf, gltf.accessors[sampler.input])
            values = decode(gltf, gltf.accessors[sampler.output]).reshape(len(times), -1)
            mesh = named[channel.target.node]
            if sampler.interpolation == "CUBICSPLINE":
                values = values[:, mesh.n_targets : 2 * mesh.n_targets]
                notes = ("its cubic tangents were left out: lines between the keys",)
            for name, ways in mesh.mixing.items():
                columns.setdefault(name, values[:, next(iter(ways))])
            columns.setdefault("time_s", times.ravel())
        columns |= _head_turns(gltf, animation, len(times))
        table = np.stack(list(columns.values()), axis=1)
    except (IndexError, ValueError, TypeError) as error:
        raise FormatError(f"{path}: its animation does not hold together ({error})") from None
    reading = from_table("glb", list(columns), table, fps, None)
    return Reading(reading.track, "glb", notes + reading.notes)


def _head_turns(gltf: "GLTF2", animation: "Animation", n_frames: int) -> dict[str, np.ndarray]:
    """Columns of the head's turns, where its bone has a key for each frame."""
    node = bone(gltf, "head")
    for channel in animation.channels:
        if channel.target.node == node and channel.target.path == "rotation":
            rotations = decode(gltf, gltf.accessors[animation.samplers[channel.sampler].output])
            if len(rotations) == n_frames:
                return dict(zip(ROTATIONS[:3], turns_of(gltf, node, rotations).T, strict=True))
    return {}


def decode(gltf: "GLTF2", accessor: "Accessor") -> np.ndarray:
    """An accessor's values, sparse ones filled in, [N, width]; normalised integers as floats."""
    width, kind = _WIDTHS[accessor.type], np.dtype(_DTYPES[accessor.componentType])
    if accessor.bufferView is None:
        values = np.zeros((accessor.count, width), kind)
    else:
        values = _stored(gltf, accessor.bufferView, accessor.byteOffset, kind, accessor.count, width)
    if accessor.sparse is not None:
        places, given, n = accessor.sparse.indices, accessor.sparse.values, accessor.sparse.count
        kind_of_places = np.dtype(_DTYPES[places.componentType])
        rows = _stored(gltf, places.bufferView, places.byteOffset, kind_of_places, n, 1).ravel()
        values = values.copy()
        values[rows] = _stored(gltf, given.bufferView, given.byteOffset, kind, n, width)
    if accessor.normalized:
        return np.maximum(values / np.iinfo(kind).max, -1.0)
    return values


def _stored(gltf: "GLTF2", index: int, offset: int | None, kind: np.dtype, count: int, width: int) -> np.ndarray:
    """Values as they lie in a view, interleaved or not, [count, width]."""
    view = gltf.bufferViews[index]
    start = (view.byteOffset or 0) + (offset or 0)
    row_bytes = kind.itemsize * width
    stride = view.byteStride or row_bytes
    if start + (count - 1) * stride + row_bytes > len(gltf.binary_blob()):
        raise ValueError("an accessor reaches beyond its buffer")
    return np.ndarray((count, width), kind, gltf.binary_blob(), start, (stride, kind.itemsize))


def _take_in(gltf: "GLTF2", folder: Path) -> None:
    """Bring every buffer and picture that lies outside into the one binary buffer."""
    from pygltflib import Buffer

    parts, starts, length = [], [], 0
    for buffer in gltf.buffers:
        data = gltf.binary_blob() if buffer.uri is None else _fetch(buffer.uri, folder)
        if data is None or len(data) < buffer.byteLength:
            raise FormatError(f"a buffer has {len(data or b'')} of {buffer.byteLength} bytes: cut off?")
        starts.append(length)
        parts.append(data + b"\0" * (-len(data) % 4))
        length += len(parts[-1])
    for view in gltf.bufferViews:
        view.byteOffset = (view.byteOffset or 0) + starts[view.buffer]
        view.buffer = 0
    if parts:
        gltf.set_binary_blob(b"".join(parts))
        gltf.buffers = [Buffer(byteLength=length)]
    for image in gltf.images or []:
        if image.uri is not None and not image.uri.startswith("data:"):
            suffix = Path(image.uri).suffix.lower()
            image.bufferView = add_view(gltf, _fetch(image.uri, folder))
            image.mimeType = "image/png" if suffix == ".png" else "image/jpeg"
            image.uri = None


def _fetch(uri: str, folder: Path) -> bytes:
    if uri.startswith("data:"):
        return base64.b64decode(uri.split(",", 1)[1])
    return read_bytes(folder / unquote(uri))


def _name_targets(gltf: "GLTF2", mesh: MorphMesh) -> None:
    """Give a mesh `targetNames` where they are only in its VRM expressions or its primitive."""
    names = target_names(gltf, mesh.mesh)
    if not names:
        names = [f"target_{i}" for i in range(mesh.n_targets)]
        for name, ways in mesh.mixing.items():
            if len(ways) == 1:
                names[next(iter(ways))] = name
    extras = dict(gltf.meshes[mesh.mesh].extras or {})
    gltf.meshes[mesh.mesh].extras = extras | {"targetNames": names}


def _vrm_binds(gltf: "GLTF2") -> dict[int, dict[str, dict[int, float]]]:
    """Morph targets of VRM expressions with ARKit names (perfect sync): {node: {name: {target: weight}}}."""
    found: dict[int, dict[str, dict[int, float]]] = {}
    extensions = gltf.extensions or {}
    groups = (extensions.get("VRMC_vrm", {}).get("expressions") or {}).get("custom") or {}
    for name, expression in groups.items():
        for bind in expression.get("morphTargetBinds") or []:
            _bind(found, bind["node"], name, bind["index"], bind["weight"])
    master = extensions.get("VRM", {}).get("blendShapeMaster") or {}
    for group in master.get("blendShapeGroups") or []:
        for bind in group.get("binds") or []:
            for node in _nodes_of(gltf, bind["mesh"]):
                _bind(found, node, group.get("name", ""), bind["index"], bind["weight"] / 100)
    return found


def _bind(found: dict, node: int, name: str, target: int, weight: float) -> None:
    shape = canonical(name)
    if shape is not None:
        found.setdefault(node, {}).setdefault(shape, {})[target] = weight


def _nodes_of(gltf: "GLTF2", mesh: int) -> Sequence[int]:
    return [i for i, node in enumerate(gltf.nodes) if node.mesh == mesh]
