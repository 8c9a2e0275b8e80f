"""The heads that ship, by name: one to measure on, and two people."""

import os
from importlib import resources
from pathlib import Path

from exomni.core.errors import AssetError

PLAIN = "plain"
"""The head that faces are measured on: small, without textures."""
PEOPLE = ("woman", "man")
HEADS = (PLAIN, *PEOPLE)


def head_file(head: str | os.PathLike[str]) -> Path | None:
    """The glTF file of a head.

    Args:
        head: a name in `HEADS`, or the path of another file.
    Returns:
        None for the plain head, which is no file.
    Raises:
        AssetError: a head that ships is not there.
    """
    if head == PLAIN:
        return None
    if head not in PEOPLE:
        return Path(head)
    file = Path(str(resources.files("exomni") / "serve" / "web" / "heads" / f"{head}.glb"))
    if not file.is_file():
        raise AssetError(f"the head {head}.glb is not installed; reinstall exomni, or choose --head {PLAIN}")
    return file
