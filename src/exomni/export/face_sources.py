"""Reads a face from a saved result, a file of any format that can be read, or an object."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import FormatError, InputError
from .a2f import read_a2f
from .audio_files import read_audio
from .column_orders import doubted_order
from .formats import read_file
from .livelink_csv import read_livelink_csv
from .profile import Profile
from .reading import Reading, read_json
from .retarget import Fitted, retarget
from .tables import from_table
from .track import FaceTrack, Word, audio_mismatch

FACE, CAPTURE, SPEECH, REPLY = "face.json", "face.csv", "speech.wav", "reply.json"
"""The files of a saved result."""


def load(source: Any, *, fps: Any = None, order: str | None = None, audio: Any = None) -> Reading:
    """Read a face from anything that has one.

    Args:
        source: a folder that `save` or `-o` made; a path to Audio2Face JSON, a Live Link Face or other CSV,
            Parquet, NPZ/NPY or GLB; a FaceTrack, a Reading, anything with such a `track`; an array
            [T, columns]; or a mapping of names to columns.
        fps: frames a second, over what the source says.
        order: of the columns, for tables without names (`column_orders.ORDERS`).
        audio: a sound file that belongs to it, over one that the source brings.
    Raises:
        InputError: it cannot be read, or nothing here reads such a thing.
        FormatError: it does not follow its format; the message has the place and the reason.
    """
    if isinstance(source, str | os.PathLike):
        try:
            path = Path(source)
            reading = _saved_result(path, fps) if path.is_dir() else read_file(path, fps, order)
        except FormatError as error:
            told = str(source) in str(error)
            raise error if told else FormatError(f"{source}: {error}") from None
    else:
        reading = _from_object(source, fps, order)
    if audio is None:
        return reading
    samples, sample_hz = read_audio(audio)
    return _with_audio(reading, samples, sample_hz)


def load_fitted(
    source: Any, profile: Profile | None, *, fps: Any = None, order: str | None = None, audio: Any = None
) -> Fitted:
    """Read a face and fit it to a character; notes say how it was understood, what looks wrong, what was rerouted.

    Args and errors are those of `load`; `profile` is of the character, or None.
    """
    reading = load(source, fps=fps, order=order, audio=audio)
    notes = (*reading.notes, *doubted_order(reading.track))
    if profile is None:
        return Fitted(reading.track, notes)
    fitted = retarget(reading.track, profile)
    return Fitted(fitted.track, notes + fitted.notes)


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
    return Reading(track, reading.format, (*reading.notes, *audio_mismatch(track)))
