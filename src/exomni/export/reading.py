"""The result of every reader of a face, and helpers that read whole files."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exomni.core.errors import FormatError, InputError

from .track import FaceTrack


@dataclass(frozen=True)
class Reading:
    """What a reader found.

    Attributes:
        track: the face.
        format: name of the format in the table of formats.
        notes: how everything that is not as the format has it was understood.
    """

    track: FaceTrack
    format: str
    notes: tuple[str, ...] = ()


@contextmanager
def named_in_errors(path: str | os.PathLike[str], *others: type[Exception]) -> Iterator[None]:
    """Put the file before the message of a FormatError, or of one of `others`, which becomes a FormatError."""
    try:
        yield
    except (FormatError, *others) as error:
        raise FormatError(f"{path}: {error}") from None


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """A whole file.

    Raises:
        InputError: it cannot be read.
        FormatError: it is empty.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    if not data.strip(b"\0 \t\r\n"):
        raise FormatError(f"{path} is empty")
    return data


def read_text(path: str | os.PathLike[str]) -> str:
    """A whole text file, UTF-8 with or without a byte-order mark (UTF-16 with one).

    Raises:
        InputError: it cannot be read.
        FormatError: it is empty, or no text.
    """
    data = read_bytes(path)
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise FormatError(f"{path} is not text (byte {error.start} is no {encoding})") from None


def read_json(path: str | os.PathLike[str]) -> dict[str, Any]:
    """A JSON object.

    Raises:
        InputError: the file cannot be read.
        FormatError: it is not JSON (with the line), or not an object.
    """
    try:
        document = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise FormatError(f"{path}, line {error.lineno}, column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise FormatError(f"{path}: nested too deeply to be an animation") from None
    if not isinstance(document, dict):
        raise FormatError(f"{path}: a JSON {type(document).__name__} where an object was expected")
    return document
