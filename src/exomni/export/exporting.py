"""Writes a face from any source to files of any formats."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .face_sources import load_fitted
from .formats import FORMATS, Format, Options, find, guess
from .profile import Profile, load_profile


@dataclass(frozen=True)
class Export:
    """One file that was written.

    Attributes:
        path: the file.
        format: name in the table of formats.
        notes: what a person should know: how the source was understood, which shapes went elsewhere.
    """

    path: Path
    format: str
    notes: tuple[str, ...]


def export(
    source: Any,
    to: Sequence[str],
    out: str | os.PathLike[str] | None = None,
    *,
    profile: Profile | str | os.PathLike[str] | None = None,
    options: Options | None = None,
    fps: Any = None,
    order: str | None = None,
    audio: str | os.PathLike[str] | None = None,
) -> list[Export]:
    """Write a face in any number of formats; each file appears whole or not at all.

    Args:
        source: anything that `face_sources.load` takes.
        to: for each file a format (`glb`), a path whose suffix tells it (`clip.glb`), or both
            (`livelink-csv=take.csv`).
        out: folder for the formats without a path; without it, where the source is, or here.
        profile: of the character, or the YAML file that holds it.
        options: what some formats need to know of the character.
        fps: frames a second of the source, over what it says.
        order: of the source's columns, where they have no names.
        audio: a sound file that belongs to the source.
    Returns:
        What was written, in the order of `to`.
    Raises:
        InputError, FormatError, ConfigError: the source, the formats or the profile cannot be understood;
            nothing was written.
        OutputError: a place cannot be written; the files before it are there.
    """
    wanted = [_target(item, _folder(source, out), _stem(source)) for item in to]
    character = load_profile(profile) if isinstance(profile, str | os.PathLike) else profile
    fitted = load_fitted(source, character, fps=fps, order=order, audio=audio)
    done = []
    for chosen, path in wanted:
        more = chosen.write(fitted.track, path, options or Options()) or ()
        done.append(Export(path, chosen.name, (*fitted.notes, *more)))
    return done


def _target(item: str, folder: Path, stem: str) -> tuple[Format, Path]:
    if item in FORMATS:
        return FORMATS[item], folder / (stem + FORMATS[item].suffix)
    name, equals, path = item.partition("=")
    if equals:
        return find(name), Path(path)
    if os.sep in item or "." in item:
        return guess(Path(item)), Path(item)
    return find(item), folder


def _folder(source: Any, out: str | os.PathLike[str] | None) -> Path:
    if out is not None:
        return Path(out)
    if isinstance(source, str | os.PathLike):
        return Path(source) if Path(source).is_dir() else Path(source).parent
    return Path()


def _stem(source: Any) -> str:
    """The name of the files: that of the source without its suffixes."""
    if not isinstance(source, str | os.PathLike):
        return "face"
    return Path(source).resolve().name.split(".")[0] or "face"
