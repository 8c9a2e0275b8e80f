"""Files appear whole or not at all."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from exomni.core.errors import OutputError


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A name beside `path` to write to; it becomes `path` when the block ends without an error.

    The name has the same suffix, for writers that choose a format by it. Missing folders are made.

    Raises:
        OutputError: the place cannot be written (read-only, full, no folder); nothing is left behind.
    """
    path = Path(path)
    part = path.with_name(f".{path.stem}-{uuid.uuid4().hex}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        with open(part, "rb") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a whole file of bytes. Raises OutputError as `atomic_path` does."""
    with atomic_path(path) as part:
        part.write_bytes(data)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a whole UTF-8 file, line ends as they are in `text`. Raises OutputError as `atomic_path` does."""
    write_bytes(path, text.encode("utf-8"))
