"""Audio2Face's JSON of blendshape weights, which is also how exomni saves a face (`face.json`)."""

import json
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from exomni.core.errors import FormatError

from ..core.atomic import write_text
from .names import understand
from .reading import Reading, named_in_errors, read_json
from .track import FaceTrack, as_rate


def write_a2f(track: FaceTrack, path: str | os.PathLike[str], track_path: str = "") -> None:
    """Write `exportFps, trackPath, numPoses, numFrames, facsNames, weightMat`, one frame a line.

    Numbers are the shortest that give the same float32 back. Rotations and audio have no place in it.

    Args:
        track: the face, any names.
        track_path: the audio that the face belongs to, as it should stand in the file.
    Raises OutputError where it cannot be written.
    """
    head = {
        "exportFps": float(track.fps),
        "trackPath": track_path,
        "numPoses": len(track.names),
        "numFrames": track.n_frames,
        "facsNames": list(track.names),
    }
    rows = (f"[{', '.join(row)}]" for row in shortest(track.frames))
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
    lines.append('"weightMat": [\n' + ",\n".join(rows) + "\n]")
    write_text(path, "{\n" + ",\n".join(lines) + "\n}\n")


def read_a2f(path: str | os.PathLike[str], fps: Any = None) -> Reading:
    """Read Audio2Face's JSON, names in any convention.

    Args:
        fps: frames a second, over what the file says.
    Raises:
        InputError: the file cannot be read.
        FormatError: it is not what its own counts promise; the message has the frame.
    """
    document = read_json(path)
    with named_in_errors(path):
        names, rows = _list(document, "facsNames"), _list(document, "weightMat")
        if not all(isinstance(name, str) for name in names):
            raise FormatError("'facsNames' holds something else than names")
        _check_counts(document, names, rows)
        if fps is None and "exportFps" not in document:
            raise FormatError("no 'exportFps'; say how many frames a second with fps")
        naming = understand(names)
        try:
            table = np.array(rows, np.float32) if rows else np.zeros((0, len(names)), np.float32)
        except (TypeError, ValueError):
            raise FormatError("'weightMat' holds something else than numbers") from None
        rate = as_rate(document["exportFps"] if fps is None else fps)
        track = FaceTrack(tuple(naming.columns), rate, table[:, list(naming.columns.values())])
        return Reading(track, "a2f", naming.notes())


def shortest(values: np.ndarray) -> list[list[str]]:
    """Each float32 of [T, K] as the shortest decimal that reads back as itself."""
    return values.astype("U16").tolist()


def _list(document: dict[str, Any], key: str) -> list:
    value = document.get(key)
    if not isinstance(value, list):
        raise FormatError(f"no list '{key}', so it is not Audio2Face's JSON")
    return value


def _check_counts(document: dict, names: Sequence, rows: Sequence) -> None:
    for i, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != len(names):
            found = len(row) if isinstance(row, list) else "no"
            raise FormatError(f"frame {i} has {found} weights where 'facsNames' has {len(names)} names")
    for key, count in (("numPoses", len(names)), ("numFrames", len(rows))):
        if document.get(key, count) != count:
            raise FormatError(f"'{key}' is {document[key]} but there are {count}: truncated?")
