"""VRM animations: expressions, turns of the head and gaze for any VRM avatar."""

import os
from typing import TYPE_CHECKING

import numpy as np

from ..core import arkit
from ..core.atomic import atomic_path, write_bytes
from ..face.rotations import quaternions
from .gltf import add_channel
from .gltf_document import add_accessor, glb_bytes, load_gltf, new_document
from .names import OTHER_PROGRAMS, pascal
from .simple_characters import derived, openfacefx_track
from .track import FaceTrack
from .visemes import blinks, vowels

if TYPE_CHECKING:
    from pygltflib import GLTF2

CASINGS = {"camel": str, "pascal": pascal}
"""How perfect-sync avatars spell their expressions: `jawOpen` or `JawOpen`."""
BONES: dict[str, tuple[str | None, list[float]]] = OTHER_PROGRAMS["vrm_bones"]
"""The bones that a VRM humanoid must have, in the T pose: the one above each, and where it stands from there."""


def write_vrma(track: FaceTrack, path: str | os.PathLike[str]) -> None:
    """Write a VRM animation of the five vowels and both blinks, which every VRM avatar has, and the head's turns.

    Raises OutputError where it cannot be written.
    """
    import openfacefx

    source = openfacefx_track(derived(track, {**vowels(track), **blinks(track)}))
    with atomic_path(path) as part:
        openfacefx.write_vrma(source, str(part), preset=None)
        if track.head is not None or track.eyes is not None:
            gltf = load_gltf(part)
            add_vrma_turns(gltf, track, gaze=True)
            part.write_bytes(glb_bytes(gltf))


def write_vrma_perfect_sync(track: FaceTrack, path: str | os.PathLike[str], casing: str = "camel") -> None:
    """Write a VRM animation of all ARKit shapes, for avatars with perfect sync, and the head's turns.

    Args:
        casing: key of `CASINGS`, as the avatar spells its expressions.
    Raises OutputError where it cannot be written.
    """
    from pygltflib import Animation, Node, Scene

    gltf = new_document()
    animation = Animation(name="exomni", channels=[], samplers=[])
    times = add_accessor(gltf, track.times_s.astype(np.float32), "SCALAR", with_range=True)
    names = [name for name in track.names if name in arkit.INDEX]
    for i, name in enumerate(names):
        moved = np.zeros((track.n_frames, 3), np.float32)
        moved[:, 0] = np.clip(track.column(name), 0, 1)
        add_channel(gltf, animation, times, i, "translation", moved)
        gltf.nodes.append(Node(name=name, translation=[0.0, 0.0, 0.0]))
    gltf.animations.append(animation)
    gltf.scenes.append(Scene(nodes=list(range(len(names)))))
    gltf.extensionsUsed = ["VRMC_vrm_animation"]
    custom = {CASINGS[casing](name): {"node": i} for i, name in enumerate(names)}
    gltf.extensions = {"VRMC_vrm_animation": {"specVersion": "1.0", "expressions": {"custom": custom}}}
    add_vrma_turns(gltf, track, gaze="eyeLookInLeft" not in names)
    write_bytes(path, glb_bytes(gltf))


def add_vrma_turns(gltf: "GLTF2", track: FaceTrack, *, gaze: bool) -> None:
    """Put the track's turns of the head, and of the eyes, into a VRM animation that has expressions alone.

    Args:
        gltf: the animation; changed.
        gaze: whether the eyes turn by `lookAt`; not where expressions move them already.
    """
    from pygltflib import Node

    gaze = gaze and track.eyes is not None
    if track.head is None and not gaze:
        return
    extension, animation = (gltf.extensions or {})["VRMC_vrm_animation"], gltf.animations[0]
    times = add_accessor(gltf, track.times_s.astype(np.float32), "SCALAR", with_range=True)
    roots = gltf.scenes[0].nodes or []
    if track.head is not None:
        places = {name: len(gltf.nodes) + i for i, name in enumerate(BONES)}
        children: dict[str, list[int]] = {name: [] for name in BONES}
        for name, (above, offset) in BONES.items():
            gltf.nodes.append(Node(name=name, translation=list(offset), children=children[name]))
            (roots if above is None else children[above]).append(places[name])
        add_channel(gltf, animation, times, places["head"], "rotation", quaternions(track.head).astype(np.float32))
        extension["humanoid"] = {"humanBones": {name: {"node": node} for name, node in places.items()}}
    if track.eyes is not None and gaze:
        looks = quaternions(track.eyes.mean(axis=1) * [1, 1, 0]).astype(np.float32)
        add_channel(gltf, animation, times, len(gltf.nodes), "rotation", looks)
        extension["lookAt"] = {"node": len(gltf.nodes), "offsetFromHeadBone": [0.0, 0.06, 0.0]}
        roots.append(len(gltf.nodes))
        gltf.nodes.append(Node(name="lookAt"))
    gltf.scenes[0].nodes = roots
