"""Animation clips for game engines: Unity's `.anim` and Godot's `.tres`, all shapes, by name."""

import os

import numpy as np

from ..core.atomic import write_text
from .keyframes import Curve, curves
from .track import FaceTrack

UNITY_MESH_PATH = "Head"
"""Path from the Animator to the SkinnedMeshRenderer."""
GODOT_NODE = "Head"
"""The MeshInstance3D, seen from the AnimationPlayer's root node."""
UNITY_PERCENT = 100.0
UNITY_LINEAR = 69
"""Unity's tangent mode for broken tangents, linear on both sides."""

_UNITY = """%YAML 1.1
%TAG !u! tag:unity3d.com,2011:
--- !u!74 &7400000
AnimationClip:
  m_ObjectHideFlags: 0
  m_Name: {name}
  serializedVersion: 6
  m_Legacy: 0
  m_Compressed: 0
  m_UseHighQualityCurve: 1
  m_RotationCurves: []
  m_CompressedRotationCurves: []
  m_EulerCurves: []
  m_PositionCurves: []
  m_ScaleCurves: []
  m_FloatCurves:
{curves}
  m_PPtrCurves: []
  m_SampleRate: {fps}
  m_WrapMode: 0
  m_Bounds:
    m_Center: {{x: 0, y: 0, z: 0}}
    m_Extent: {{x: 0, y: 0, z: 0}}
  m_ClipBindingConstant:
    genericBindings: []
    pptrCurveMapping: []
  m_AnimationClipSettings:
    serializedVersion: 2
    m_StartTime: 0
    m_StopTime: {stop}
    m_LoopTime: 0
    m_KeepOriginalPositionY: 1
  m_EditorCurves:
{curves}
  m_EulerEditorCurves: []
  m_HasGenericRootTransform: 0
  m_HasMotionFloatCurves: 0
  m_Events: []
"""
_UNITY_CURVE = """  - curve:
      serializedVersion: 2
      m_Curve:
{keys}
      m_PreInfinity: 2
      m_PostInfinity: 2
      m_RotationOrder: 4
    attribute: blendShape.{name}
    path: {path}
    classID: 137
    script: {{fileID: 0}}"""
_UNITY_KEY = """      - serializedVersion: 3
        time: %.9g
        value: %.7g
        inSlope: %.7g
        outSlope: %.7g
        tangentMode: %d
        weightedMode: 0
        inWeight: 0.33333334
        outWeight: 0.33333334"""


def write_unity(track: FaceTrack, path: str | os.PathLike[str], mesh_path: str = UNITY_MESH_PATH) -> None:
    """Write an AnimationClip that drives `blendShape.NAME` of a SkinnedMeshRenderer, 0..100, linear.

    openfacefx's writer knows its fifteen visemes alone and eases in and out of every key, so this is our own.

    Args:
        track: the face.
        path: the file.
        mesh_path: from the Animator's object to the renderer's; empty if they are one.
    Raises:
        OutputError: the place cannot be written.
    """
    blocks = [_unity_curve(curve, mesh_path) for curve in curves(track)]
    text = _UNITY.format(
        name="exomni",
        curves="\n".join(blocks),
        fps=_number(float(track.fps)),
        stop=_number(float(track.duration_s)),
    )
    write_text(path, text)


def write_godot(track: FaceTrack, path: str | os.PathLike[str], node: str = GODOT_NODE) -> None:
    """Write a Godot 4 Animation with one linear value track a shape, `NODE:blend_shapes/NAME`.

    openfacefx's writer knows its fifteen visemes alone, so this is our own.

    Args:
        track: the face.
        path: the file.
        node: path of the MeshInstance3D from the AnimationPlayer's root node.
    Raises:
        OutputError: the place cannot be written.
    """
    lines = ['[gd_resource type="Animation" format=3]', "", "[resource]"]
    lines.append(f"length = {_decimal(float(track.duration_s))}")
    for i, curve in enumerate(curves(track)):
        times = ", ".join(_number(t) for t in curve.times_s)
        values = ", ".join(_decimal(v) for v in curve.values)
        lines += [
            f'tracks/{i}/type = "value"',
            f"tracks/{i}/imported = false",
            f"tracks/{i}/enabled = true",
            f'tracks/{i}/path = NodePath("{node}:blend_shapes/{curve.name}")',
            f"tracks/{i}/interp = 1",
            f"tracks/{i}/loop_wrap = true",
            f"tracks/{i}/keys = {{",
            f'"times": PackedFloat32Array({times}),',
            f'"transitions": PackedFloat32Array({", ".join("1" * len(curve.values))}),',
            f'"update": 0,\n"values": [{values}]',
            "}",
        ]
    write_text(path, "\n".join(lines) + "\n")


def _unity_curve(curve: Curve, mesh_path: str) -> str:
    slopes = np.concatenate([[0.0], curve.slopes, [0.0]]) * UNITY_PERCENT
    columns = np.stack([curve.times_s, curve.values * UNITY_PERCENT, slopes[:-1], slopes[1:]], axis=1)
    rows = columns.tolist()
    keys = "\n".join(_UNITY_KEY % (*row, UNITY_LINEAR) for row in rows)
    return _UNITY_CURVE.format(keys=keys, name=curve.name, path=mesh_path)


def _number(value: float) -> str:
    """At most six decimals, no exponent, no trailing zeros."""
    text = f"{value:.6f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _decimal(value: float) -> str:
    """The same with a decimal point, so that Godot does not take it for an integer."""
    text = _number(value)
    return text if "." in text else text + ".0"
