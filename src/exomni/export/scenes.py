"""Whole 3D files: a head that speaks (GLB), and expressions for any VRM avatar (VRMA)."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from exomni.core import arkit
from exomni.core.errors import FormatError

from .atomic import atomic_path, write_bytes
from .gltf import add_accessor, animate, available_shapes, load_gltf
from .names import pascal
from .puppets import derived, openfacefx_track
from .retarget import reroute
from .track import FaceTrack
from .visemes import blinks, vowels

if TYPE_CHECKING:
    from pygltflib import GLTF2

CASINGS = {"camel": str, "pascal": pascal}
"""How perfect-sync avatars spell their expressions: `jawOpen` or `JawOpen`."""


def write_glb(
    track: FaceTrack, path: str | os.PathLike[str], head: str | os.PathLike[str] | None = None
) -> tuple[str, ...]:
    """Write a head with the animation, and its audio as a WAV of the same name.

    Args:
        track: the face.
        path: the file.
        head: a `.glb`, `.gltf` or `.vrm` with ARKit morph targets in any spelling; the project's without it.
    Returns:
        Notes that name the shapes that the head lacks, and where they went.
    Raises:
        InputError, FormatError: the head cannot be read, or has no ARKit shape.
        OutputError: the place cannot be written.
    """
    if head is None:
        from .head_glb import head_document

        gltf = head_document()
    else:
        gltf = load_gltf(head)
    try:
        fitted = reroute(track, available_shapes(gltf))
        animate(gltf, fitted.track)
    except FormatError as error:
        raise FormatError(f"{head}: {error}") from None
    path = Path(path)
    if track.audio is not None:
        write_wav(track, path.with_suffix(".wav"))
        gltf.animations[0].extras = {"audio": path.with_suffix(".wav").name}
    write_bytes(path, _glb(gltf))
    return fitted.notes


def write_vrma(track: FaceTrack, path: str | os.PathLike[str]) -> None:
    """Write a VRM animation of the five vowels and both blinks, which every VRM avatar has.

    Raises:
        OutputError: the place cannot be written.
    """
    import openfacefx

    source = openfacefx_track(derived(track, {**vowels(track), **blinks(track)}))
    with atomic_path(path) as part:
        openfacefx.write_vrma(source, str(part), preset=None)


def write_vrma_perfect_sync(track: FaceTrack, path: str | os.PathLike[str], casing: str = "camel") -> None:
    """Write a VRM animation of all ARKit shapes, for avatars with perfect sync.

    Args:
        track: the face.
        path: the file.
        casing: key of `CASINGS`, as the avatar spells its expressions.
    Raises:
        OutputError: the place cannot be written.
    """
    from pygltflib import (
        GLTF2,
        Animation,
        AnimationChannel,
        AnimationChannelTarget,
        AnimationSampler,
        Asset,
        Node,
        Scene,
    )

    gltf = GLTF2(asset=Asset(version="2.0", generator="exomni"), scene=0)
    animation = Animation(name="exomni", channels=[], samplers=[])
    times = add_accessor(gltf, track.times_s.astype(np.float32), "SCALAR", with_range=True)
    names = [name for name in track.names if name in arkit.INDEX]
    for i, name in enumerate(names):
        moved = np.zeros((track.n_frames, 3), np.float32)
        moved[:, 0] = np.clip(track.column(name), 0, 1)
        sampler = AnimationSampler(input=times, output=add_accessor(gltf, moved, "VEC3"), interpolation="LINEAR")
        animation.samplers.append(sampler)
        target = AnimationChannelTarget(node=i, path="translation")
        animation.channels.append(AnimationChannel(sampler=i, target=target))
        gltf.nodes.append(Node(name=name, translation=[0.0, 0.0, 0.0]))
    gltf.animations.append(animation)
    gltf.scenes.append(Scene(nodes=list(range(len(names)))))
    gltf.extensionsUsed = ["VRMC_vrm_animation"]
    custom = {CASINGS[casing](name): {"node": i} for i, name in enumerate(names)}
    gltf.extensions = {"VRMC_vrm_animation": {"specVersion": "1.0", "expressions": {"custom": custom}}}
    write_bytes(path, _glb(gltf))


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
