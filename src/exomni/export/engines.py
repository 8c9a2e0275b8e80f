"""Animation clips for game engines: Unity's `.anim` and Godot's `.tres`, all shapes, by name."""

import os

import numpy as np

from ..core.atomic import write_text
from .keyframes import Curve, curves
from .names import OTHER_PROGRAMS
from .track import FaceTrack

UNITY_PERCENT = 100.0
UNITY_LINEAR = 69
"""Unity's tangent mode for broken tangents, linear on both sides."""


def write_unity(track: FaceTrack, path: str | os.PathLike[str], mesh_path: str = "Head") -> None:
    """Write an AnimationClip that drives `blendShape.NAME` of a SkinnedMeshRenderer, 0..100, linear.

    openfacefx's writer knows its fifteen visemes alone and eases in and out of every key, so this is our own.

    Args:
        mesh_path: from the Animator's object to the renderer's; empty if they are one.
    Raises OutputError where it cannot be written.
    """
    blocks = [_unity_curve(curve, mesh_path) for curve in curves(track)]
    text = OTHER_PROGRAMS["unity"]["clip"].format(
        name="exomni",
        curves="\n".join(blocks),
        fps=_number(float(track.fps)),
        stop=_number(float(track.duration_s)),
    )
    write_text(path, text)


def write_godot(track: FaceTrack, path: str | os.PathLike[str], node: str = "Head") -> None:
    """Write a Godot 4 Animation with one linear value track a shape, `NODE:blend_shapes/NAME`.

    openfacefx's writer knows its fifteen visemes alone, so this is our own.

    Args:
        node: path of the MeshInstance3D from the AnimationPlayer's root node.
    Raises OutputError where it cannot be written.
    """
    templates = OTHER_PROGRAMS["godot"]
    parts = [templates["animation"].format(length=_decimal(float(track.duration_s)))]
    for i, curve in enumerate(curves(track)):
        times = ", ".join(_number(t) for t in curve.times_s)
        values = ", ".join(_decimal(v) for v in curve.values)
        ones = ", ".join("1" * len(curve.values))
        parts.append(templates["track"].format(i=i, node=node, name=curve.name, times=times, values=values, ones=ones))
    write_text(path, "".join(parts))


def _unity_curve(curve: Curve, mesh_path: str) -> str:
    slopes = np.concatenate([[0.0], curve.slopes, [0.0]]) * UNITY_PERCENT
    columns = np.stack([curve.times_s, curve.values * UNITY_PERCENT, slopes[:-1], slopes[1:]], axis=1)
    rows = columns.tolist()
    templates = OTHER_PROGRAMS["unity"]
    keys = "\n".join(templates["key"] % (*row, UNITY_LINEAR) for row in rows)
    return templates["curve"].format(keys=keys, name=curve.name, path=mesh_path)


def _number(value: float) -> str:
    """At most six decimals, no exponent, no trailing zeros."""
    text = f"{value:.6f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _decimal(value: float) -> str:
    """The same with a decimal point, so that Godot does not take it for an integer."""
    text = _number(value)
    return text if "." in text else text + ".0"
