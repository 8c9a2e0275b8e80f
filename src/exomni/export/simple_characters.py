"""Animation for characters with few mouth shapes: Live2D, MikuMikuDance, and the mouth cues of Rhubarb."""

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ..core.atomic import atomic_path, write_text
from .keyframes import curves
from .resample import resample
from .track import FaceTrack
from .visemes import blinks, mean_of, rhubarb_shapes, vowels

if TYPE_CHECKING:
    from openfacefx import FaceTrack as KeyTrack

HEAD_DEGREES = 30.0
"""Where Live2D's head angles end."""
MMD_FPS = 30
MMD_VOWELS = ("aa", "ih", "ou", "ee", "oh")


def write_live2d(track: FaceTrack, path: str | os.PathLike[str]) -> None:
    """Write Cubism's `motion3.json` for the standard parameters: mouth, eyes, brows, cheeks, gaze, head.

    openfacefx's writer cuts values to 0..1, which half of the standard parameters leave, so this is our own.

    Raises OutputError where it cannot be written.
    """
    parameters = live2d_parameters(track)
    entries, n_points = [], 0
    for curve in curves(derived(track, parameters)):
        points = list(zip(curve.times_s.round(4).tolist(), curve.values.round(4).tolist(), strict=True))
        if len(points) == 1:
            points.append((round(float(track.duration_s), 4), points[0][1]))
        segments = [*points[0], *(number for point in points[1:] for number in (0, *point))]
        entries.append({"Target": "Parameter", "Id": curve.name, "Segments": segments})
        n_points += len(points)
    meta = {
        "Duration": round(float(track.duration_s), 4),
        "Fps": float(track.fps),
        "Loop": False,
        "AreBeziersRestricted": True,
        "CurveCount": len(entries),
        "TotalSegmentCount": n_points - len(entries),
        "TotalPointCount": n_points,
        "UserDataCount": 0,
        "TotalUserDataSize": 0,
    }
    write_text(path, json.dumps({"Version": 3, "Meta": meta, "Curves": entries}) + "\n")


def live2d_parameters(track: FaceTrack) -> Mapping[str, np.ndarray]:
    """Cubism's standard parameters in their own ranges, [T] each."""
    mouths = vowels(track)
    gaze_left = track.column("eyeLookOutLeft") + track.column("eyeLookInRight")
    gaze_right = track.column("eyeLookInLeft") + track.column("eyeLookOutRight")
    smile = mean_of(track, "mouthSmile") + 0.5 * mean_of(track, "mouthStretch") - mean_of(track, "mouthFrown")
    narrow = track.column("mouthPucker") + 0.5 * track.column("mouthFunnel")
    parameters = {
        "ParamMouthOpenY": np.clip(mouths["aa"] + mouths["ee"] + mouths["oh"] + 0.3 * mouths["ih"], 0, 1),
        "ParamMouthForm": np.clip(smile - narrow, -1, 1),
        "ParamCheek": np.clip(track.column("cheekPuff"), 0, 1),
        "ParamEyeBallX": np.clip((gaze_left - gaze_right) / 2, -1, 1),
        "ParamEyeBallY": np.clip(mean_of(track, "eyeLookUp") - mean_of(track, "eyeLookDown"), -1, 1),
    }
    for side in ("Left", "Right"):
        wide = 0.5 * track.column("eyeWide" + side)
        parameters[f"ParamEye{side[0]}Open"] = np.clip(1 - track.column("eyeBlink" + side) + wide, 0, 1.5)
        parameters[f"ParamEye{side[0]}Smile"] = np.clip(track.column("cheekSquint" + side), 0, 1)
        up = np.maximum(track.column("browOuterUp" + side), track.column("browInnerUp"))
        parameters[f"ParamBrow{side[0]}Y"] = np.clip(up - track.column("browDown" + side), -1, 1)
    if track.head is not None:
        degrees = np.clip(np.degrees(track.head), -HEAD_DEGREES, HEAD_DEGREES)
        signs = {"ParamAngleX": 1, "ParamAngleY": -1, "ParamAngleZ": -1}
        parameters |= {name: sign * degrees[:, i] for i, (name, sign) in enumerate(signs.items())}
    return parameters


def write_vmd(track: FaceTrack, path: str | os.PathLike[str]) -> None:
    """Write MikuMikuDance's motion: vowels, blinks, winks and brows, at its 30 frames a second.

    Raises OutputError where it cannot be written.
    """
    import openfacefx

    slower = resample(track, MMD_FPS)
    morphs = mmd_morphs(slower)
    source, names = openfacefx_track(derived(slower, morphs)), {name: name for name in morphs}
    with atomic_path(path) as part:
        openfacefx.write_vmd(source, str(part), model_name="exomni", fps=MMD_FPS, morph_map=names)


def mmd_morphs(track: FaceTrack) -> Mapping[str, np.ndarray]:
    """MikuMikuDance's customary morphs, by their Japanese names, [T] each in 0..1."""
    mouths = vowels(track)
    left, right = blinks(track).values()
    both = np.minimum(left, right)
    morphs = {name: mouths[vowel] for name, vowel in zip("あいうえお", MMD_VOWELS, strict=True)}
    morphs |= {"まばたき": both, "ウィンク２": left - both, "ｳｨﾝｸ２右": right - both}
    morphs |= {"困る": track.column("browInnerUp"), "怒り": mean_of(track, "browDown")}
    return morphs | {"上": mean_of(track, "browOuterUp"), "にやり": mean_of(track, "mouthSmile")}


def write_rhubarb(track: FaceTrack, path: str | os.PathLike[str], dialect: str = "tsv") -> None:
    """Write Rhubarb Lip Sync's cues: which of nine drawn mouths to show when.

    Args:
        dialect: `tsv`, `xml` or `json`.
    Raises OutputError where it cannot be written.
    """
    import openfacefx

    write = getattr(openfacefx, f"write_rhubarb_{dialect}")
    source = openfacefx_track(derived(track, rhubarb_shapes(track)))
    with atomic_path(path) as part:
        write(source, str(part))


def derived(track: FaceTrack, columns: Mapping[str, np.ndarray]) -> FaceTrack:
    """The same time with other curves."""
    return FaceTrack(tuple(columns), track.fps, np.stack(list(columns.values()), axis=1))


def openfacefx_track(track: FaceTrack) -> "KeyTrack":
    """openfacefx's own track; the last value is held to the end of the last frame."""
    from openfacefx import Channel, Keyframe
    from openfacefx import FaceTrack as KeyTrack

    end_s = float(track.duration_s)
    channels = []
    for curve in curves(track):
        keys = [Keyframe(t, v) for t, v in zip(curve.times_s.tolist(), curve.values.tolist(), strict=True)]
        channels.append(Channel(curve.name, [*keys, Keyframe(end_s, float(track.column(curve.name)[-1]))]))
    return KeyTrack(fps=float(track.fps), channels=channels, target_set=list(track.names))
