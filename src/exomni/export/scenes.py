"""Whole 3D files: a head that speaks (GLB), and expressions for any VRM avatar (VRMA)."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from exomni.core import arkit
from exomni.core.errors import FormatError

from ..core.atomic import atomic_path, write_bytes
from .gltf import add_accessor, add_channel, animate, available_shapes, load_gltf
from .heads import PLAIN, head_file
from .names import pascal
from .puppets import derived, openfacefx_track
from .retarget import reroute
from .track import FaceTrack
from .turns import quaternions
from .visemes import blinks, vowels

if TYPE_CHECKING:
    from pygltflib import GLTF2

CASINGS = {"camel": str, "pascal": pascal}
"""How perfect-sync avatars spell their expressions: `jawOpen` or `JawOpen`."""
BONES: dict[str, tuple[str | None, tuple[float, float, float]]] = {
    "hips": (None, (0, 0.95, 0)), "spine": ("hips", (0, 0.1, 0)), "head": ("spine", (0, 0.45, 0)),
    "leftUpperArm": ("spine", (0.18, 0.35, 0)), "rightUpperArm": ("spine", (-0.18, 0.35, 0)),
    "leftLowerArm": ("leftUpperArm", (0.28, 0, 0)), "rightLowerArm": ("rightUpperArm", (-0.28, 0, 0)),
    "leftHand": ("leftLowerArm", (0.25, 0, 0)), "rightHand": ("rightLowerArm", (-0.25, 0, 0)),
    "leftUpperLeg": ("hips", (0.09, -0.05, 0)), "rightUpperLeg": ("hips", (-0.09, -0.05, 0)),
    "leftLowerLeg": ("leftUpperLeg", (0, -0.42, 0)), "rightLowerLeg": ("rightUpperLeg", (0, -0.42, 0)),
    "leftFoot": ("leftLowerLeg", (0, -0.42, 0)), "rightFoot": ("rightLowerLeg", (0, -0.42, 0)),
}  # fmt: skip
"""The bones that a VRM humanoid must have, in the T pose: the one above each, and where it stands from there."""


def write_glb(track: FaceTrack, path: str | os.PathLike[str], head: str | os.PathLike[str] = PLAIN) -> tuple[str, ...]:
    """Write a head with the animation, and its audio as a WAV of the same name.

    Args:
        track: the face.
        path: the file.
        head: a name in `HEADS`, or a `.glb`, `.gltf` or `.vrm` with ARKit morph targets in any spelling.
    Returns:
        Notes that name the shapes that the head lacks, and where they went, and turns that it cannot show.
    Raises:
        InputError, FormatError: the head cannot be read, or has no ARKit shape.
        OutputError: the place cannot be written.
    """
    file = head_file(head)
    if file is None:
        from .head_glb import head_document

        gltf = head_document()
    else:
        gltf = load_gltf(file)
    try:
        fitted = reroute(track, available_shapes(gltf))
        still = animate(gltf, fitted.track)
    except FormatError as error:
        raise FormatError(f"{head}: {error}") from None
    path = Path(path)
    if track.audio is not None:
        write_wav(track, path.with_suffix(".wav"))
        gltf.animations[0].extras = {"audio": path.with_suffix(".wav").name}
    write_bytes(path, _glb(gltf))
    return fitted.notes + still


def write_vrma(track: FaceTrack, path: str | os.PathLike[str]) -> None:
    """Write a VRM animation of the five vowels and both blinks, which every VRM avatar has, and the head's turns.

    Raises:
        OutputError: the place cannot be written.
    """
    import openfacefx

    source = openfacefx_track(derived(track, {**vowels(track), **blinks(track)}))
    with atomic_path(path) as part:
        openfacefx.write_vrma(source, str(part), preset=None)
        if track.head is not None or track.eyes is not None:
            gltf = load_gltf(part)
            add_vrma_turns(gltf, track, gaze=True)
            part.write_bytes(_glb(gltf))


def write_vrma_perfect_sync(track: FaceTrack, path: str | os.PathLike[str], casing: str = "camel") -> None:
    """Write a VRM animation of all ARKit shapes, for avatars with perfect sync, and the head's turns.

    Args:
        track: the face.
        path: the file.
        casing: key of `CASINGS`, as the avatar spells its expressions.
    Raises:
        OutputError: the place cannot be written.
    """
    from pygltflib import GLTF2, Animation, Asset, Node, Scene

    gltf = GLTF2(asset=Asset(version="2.0", generator="exomni"), scene=0)
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
    write_bytes(path, _glb(gltf))


def add_vrma_turns(gltf: "GLTF2", track: FaceTrack, *, gaze: bool) -> None:
    """Put the track's turns of the head, and of the eyes, into a VRM animation that has expressions alone.

    Args:
        gltf: the animation; changed.
        track: the face.
        gaze: whether the eyes turn by `lookAt`; not where expressions move them already.
    """
    from pygltflib import Node

    extension = gltf.extensions["VRMC_vrm_animation"]
    animation, times = gltf.animations[0], None
    first = len(gltf.nodes)
    if track.head is not None:
        places = {name: first + i for i, name in enumerate(BONES)}
        for name, (above, offset) in BONES.items():
            gltf.nodes.append(Node(name=name, translation=list(offset), children=[]))
            siblings = gltf.scenes[0].nodes if above is None else gltf.nodes[places[above]].children
            siblings.append(places[name])
        times = add_accessor(gltf, track.times_s.astype(np.float32), "SCALAR", with_range=True)
        add_channel(gltf, animation, times, places["head"], "rotation", quaternions(track.head).astype(np.float32))
        extension["humanoid"] = {"humanBones": {name: {"node": node} for name, node in places.items()}}
    if track.eyes is not None and gaze:
        if times is None:
            times = add_accessor(gltf, track.times_s.astype(np.float32), "SCALAR", with_range=True)
        looks = quaternions(track.eyes.mean(axis=1) * [1, 1, 0]).astype(np.float32)
        add_channel(gltf, animation, times, len(gltf.nodes), "rotation", looks)
        extension["lookAt"] = {"node": len(gltf.nodes), "offsetFromHeadBone": [0.0, 0.06, 0.0]}
        gltf.scenes[0].nodes.append(len(gltf.nodes))
        gltf.nodes.append(Node(name="lookAt"))


def write_wav(track: FaceTrack, path: str | os.PathLike[str]) -> None:
    """Write the track's audio, 16 bit.

    Raises:
        FormatError: the track has none.
        OutputError: the place cannot be written.
    """
    import soundfile

    if track.audio is None:
        raise FormatError("this source has no audio")
    with atomic_path(path) as part:
        try:
            soundfile.write(part, np.clip(track.audio, -1, 1), track.sample_hz, subtype="PCM_16")
        except soundfile.LibsndfileError as error:
            raise OSError(error.error_string) from error


def _glb(gltf: "GLTF2") -> bytes:
    gltf.set_binary_blob(bytes(gltf.binary_blob()))
    return b"".join(gltf.save_to_bytes())
