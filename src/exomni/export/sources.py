"""Any face comes in here: a saved result, a file of any format that is read, or an object."""

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from exomni.core.errors import FormatError, InputError

from .a2f import read_a2f
from .livelink_csv import is_livelink_header, read_livelink_csv
from .reading import Reading, read_bytes, read_json, read_text
from .tables import from_table, read_csv, read_npz, read_parquet
from .track import FaceTrack, Word

FACE, CAPTURE, SPEECH, REPLY = "face.json", "face.csv", "speech.wav", "reply.json"
"""The files of a saved result."""


def load(source: Any, *, fps: Any = None, order: str | None = None, audio: Any = None) -> Reading:
    """Read a face from anything that has one.

    Args:
        source: a folder that `save` or `-o` made; a path to Audio2Face JSON, a Live Link Face or other CSV,
            Parquet, NPZ/NPY or GLB; a FaceTrack, a Reading, anything with such a `track`; an array
            [T, columns]; or a mapping of names to columns.
        fps: frames a second, over what the source says.
        order: of the columns, for tables without names (`orders.ORDERS`).
        audio: a sound file that belongs to it, over one that the source brings.
    Raises:
        InputError: it cannot be read, or nothing here reads such a thing.
        FormatError: it does not follow its format; the message has the place and the reason.
    """
    if isinstance(source, str | os.PathLike):
        try:
            reading = _from_path(Path(source), fps, order)
        except FormatError as error:
            told = str(source) in str(error)
            raise error if told else FormatError(f"{source}: {error}") from None
    else:
        reading = _from_object(source, fps, order)
    if audio is None:
        return reading
    samples, sample_hz = read_audio(audio)
    return _with_audio(reading, samples, sample_hz)


def read_audio(path: str | os.PathLike[str]) -> tuple[np.ndarray, int]:
    """Mono samples, float32 [N] in -1..1, and their rate.

    Raises:
        InputError: the file cannot be read.
        FormatError: it is no sound file.
    """
    import soundfile

    data = read_bytes(path)
    try:
        samples, sample_hz = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise FormatError(f"{path}: {error.error_string}") from None
    return samples.mean(axis=1), sample_hz


def _from_path(path: Path, fps: Any, order: str | None) -> Reading:
    if path.is_dir():
        return _saved_result(path, fps)
    suffix = path.suffix.lower()
    if suffix in (".glb", ".gltf", ".vrm"):
        from .gltf import read_gltf

        return read_gltf(path, fps)
    if suffix == ".parquet":
        return read_parquet(path, fps)
    if suffix in (".npz", ".npy"):
        return read_npz(path, fps, order)
    if suffix == ".json":
        return read_a2f(path, fps)
    if suffix in (".csv", ".tsv", ".txt"):
        first = read_text(path).split("\n", 1)[0]
        return read_livelink_csv(path, fps) if is_livelink_header(first) else read_csv(path, fps, order)
    read_bytes(path)
    raise InputError(f"{path}: no face is read from '{suffix}' files, only from .json .csv .parquet .npz .glb")


def _from_object(source: Any, fps: Any, order: str | None) -> Reading:
    if isinstance(source, Reading):
        return source
    track = source if isinstance(source, FaceTrack) else getattr(source, "track", None)
    if isinstance(track, FaceTrack):
        return Reading(track if fps is None else track.replace(fps=fps), "object")
    try:
        if isinstance(source, Mapping):
            return from_table("object", list(source), np.array(list(source.values())).T, fps, order)
        if isinstance(source, np.ndarray | list | tuple):
            return from_table("object", None, np.array(source, np.float64), fps, order)
    except ValueError:
        raise FormatError("columns or rows of different length, or something else than numbers") from None
    raise InputError(f"a {type(source).__name__} has no face")


def _saved_result(folder: Path, fps: Any) -> Reading:
    """The folder of `-o`: `face.json`, or `face.csv` in its place, and whatever else is there."""
    if (folder / FACE).exists():
        reading = read_a2f(folder / FACE, fps)
        reading = _with_rotations(reading, folder / CAPTURE)
    elif (folder / CAPTURE).exists():
        reading = read_livelink_csv(folder / CAPTURE, fps)
    else:
        raise InputError(f"{folder} has neither {FACE} nor {CAPTURE}, so it is not a saved result")
    track = reading.track
    if (folder / REPLY).exists():
        reply = read_json(folder / REPLY)
        track = track.replace(text=reply.get("text"), words=_words(folder / REPLY, reply.get("words", [])))
    reading = Reading(track, "result", reading.notes)
    if not (folder / SPEECH).exists():
        return Reading(track, "result", (*reading.notes, f"there is no {SPEECH}"))
    return _with_audio(reading, *read_audio(folder / SPEECH))


def _with_rotations(reading: Reading, capture: Path) -> Reading:
    """Head and eyes from the Live Link Face file beside, which is the only one that holds them."""
    if not capture.exists():
        return reading
    turned = read_livelink_csv(capture, reading.track.fps).track
    if turned.n_frames != reading.track.n_frames:
        note = f"{capture.name} has {turned.n_frames} frames, {FACE} {reading.track.n_frames}: only {FACE} used"
        return Reading(reading.track, reading.format, (*reading.notes, note))
    changes = {key: getattr(turned, key) for key in ("head", "eyes") if getattr(turned, key) is not None}
    moved = {key: value for key, value in changes.items() if value.any()}
    return Reading(reading.track.replace(**moved), reading.format, reading.notes)


def _words(path: Path, words: Any) -> tuple[Word, ...]:
    try:
        return tuple(Word(str(w["text"]), float(w["start_s"]), float(w["end_s"])) for w in words)
    except (KeyError, TypeError, ValueError):
        raise FormatError(f"{path}: 'words' is not a list of text, start_s, end_s") from None


def _with_audio(reading: Reading, samples: np.ndarray, sample_hz: int) -> Reading:
    track = reading.track.replace(audio=samples, sample_hz=sample_hz)
    apart_s = len(samples) / sample_hz - float(track.duration_s)
    if abs(apart_s) <= 1 / track.fps:
        return Reading(track, reading.format, reading.notes)
    longer = "longer" if apart_s > 0 else "shorter"
    note = f"the audio is {abs(apart_s):.3f} s {longer} than the animation"
    return Reading(track, reading.format, (*reading.notes, note))
