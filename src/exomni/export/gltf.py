"""Puts a face's animation into a glTF head with morph targets, and reads it out of one."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ..core import arkit
from ..core.atomic import write_bytes
from ..core.errors import FormatError
from .audio_files import write_wav
from .bones import bone, turned, turns_of
from .gltf_document import add_accessor, decode_at, glb_bytes, load_gltf
from .names import ROTATIONS, canonical
from .reading import Reading, named_in_errors
from .retarget import reroute
from .shipped_heads import PLAIN, head_file
from .tables import from_table
from .track import FaceTrack

if TYPE_CHECKING:
    from pygltflib import GLTF2, Animation, Primitive

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


def morph_meshes(gltf: "GLTF2") -> list[MorphMesh]:
    """Every node with morph targets, its targets named by `targetNames` or by VRM's expressions.

    Raises:
        FormatError: a mesh has another number of names than of targets.
    """
    found = []
    binds = _vrm_binds(gltf)
    for node_index, node in enumerate(gltf.nodes or []):
        if node.mesh is None:
            continue
        mesh = gltf.meshes[node.mesh]
        n_targets = len(mesh.primitives[0].targets or [])
        if not n_targets:
            continue
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


def target_position(primitive: "Primitive", target: int) -> int:
    """The accessor of what a morph target adds to the positions."""
    # pygltflib reads targets as plain mappings, whatever its type says.
    return cast("list[dict[str, int]]", primitive.targets)[target]["POSITION"]


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


def write_glb(track: FaceTrack, path: str | os.PathLike[str], head: str | os.PathLike[str] = PLAIN) -> tuple[str, ...]:
    """Write a head with the animation, and its audio as a WAV of the same name.

    Args:
        head: a name in `HEADS`, or a `.glb`, `.gltf` or `.vrm` with ARKit morph targets in any spelling.
    Returns:
        Notes that name the shapes that the head lacks, and where they went, and turns that it cannot show.
    Raises:
        InputError, FormatError: the head cannot be read, or has no ARKit shape.
        OutputError: the place cannot be written.
    """
    from .head_document import head_document

    file = head_file(head)
    gltf = head_document() if file is None else load_gltf(file)
    with named_in_errors(head):
        fitted = reroute(track, available_shapes(gltf))
        still = animate(gltf, fitted.track)
    path = Path(path)
    if track.audio is not None:
        write_wav(track, path.with_suffix(".wav"))
        gltf.animations[0].extras = {"audio": path.with_suffix(".wav").name}
    write_bytes(path, glb_bytes(gltf))
    return fitted.notes + still


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
    named: dict[int | None, MorphMesh] = {mesh.node: mesh for mesh in morph_meshes(gltf)}
    for animation in gltf.animations or []:
        weights = [channel for channel in animation.channels if channel.target.path == "weights"]
        moved = [(channel, named[channel.target.node]) for channel in weights if channel.target.node in named]
        if moved:
            break
    else:
        raise FormatError(f"{path}: no animation moves a morph target")
    columns: dict[str, np.ndarray] = {}
    notes: tuple[str, ...] = ()
    try:
        for channel, mesh in moved:
            sampler = animation.samplers[channel.sampler]
            times = decode_at(gltf, sampler.input)
            values = decode_at(gltf, sampler.output).reshape(len(times), -1)
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
    if node is None:
        return {}
    for channel in animation.channels:
        if channel.target.node == node and channel.target.path == "rotation":
            rotations = decode_at(gltf, animation.samplers[channel.sampler].output)
            if len(rotations) == n_frames:
                return dict(zip(ROTATIONS[:3], turns_of(gltf, node, rotations).T, strict=True))
    return {}


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
    binds: list[tuple[int, str, int, float]] = []
    extensions = gltf.extensions or {}
    groups = (extensions.get("VRMC_vrm", {}).get("expressions") or {}).get("custom") or {}
    for name, expression in groups.items():
        for bind in expression.get("morphTargetBinds") or []:
            binds.append((bind["node"], name, bind["index"], bind["weight"]))
    master = extensions.get("VRM", {}).get("blendShapeMaster") or {}
    for group in master.get("blendShapeGroups") or []:
        for bind in group.get("binds") or []:
            nodes = [i for i, node in enumerate(gltf.nodes) if node.mesh == bind["mesh"]]
            binds += [(node, group.get("name", ""), bind["index"], bind["weight"] / 100) for node in nodes]
    found: dict[int, dict[str, dict[int, float]]] = {}
    for node, name, target, weight in binds:
        shape = canonical(name)
        if shape is not None:
            found.setdefault(node, {}).setdefault(shape, {})[target] = weight
    return found
