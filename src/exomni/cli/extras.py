"""Which extra brings a package that a command misses, as the installed package's own metadata says."""

import re
import traceback
from importlib.metadata import requires

DISTRIBUTIONS = {"PIL": "pillow", "grpc": "grpcio"}
"""Packages whose name in a package index is not that of their module."""
_ROW = re.compile(r"""(?P<name>[\w.-]+)(\[(?P<parts>[\w,-]+)\])?[^;]*;.*extra == ['"](?P<extra>[\w-]+)['"]""")


def distribution(module: str) -> str:
    """The name, as package indices spell it, of what brings a top-level module."""
    return re.sub(r"[-_.]+", "-", DISTRIBUTIONS.get(module, module)).lower()


def top_level(error: ModuleNotFoundError) -> str:
    """The missing module, or the one that it is in."""
    return (error.name or "").partition(".")[0]


def extra_for(error: ModuleNotFoundError) -> str | None:
    """The extra that brings the missing module: of several, that of the part of exomni which came across it first.

    Returns:
        Its name, or None where no extra brings the module, so that the error is a fault of the program.
    """
    wanted = distribution(top_level(error))
    able = {extra: brought for extra, brought in _brought().items() if wanted in brought}
    modules = (frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__))
    rooms = (name.split(".")[1] for name in modules if name.startswith("exomni."))
    return next((room for room in rooms if room in able), min(able, key=lambda extra: len(able[extra]), default=None))


def _brought() -> dict[str, set[str]]:
    """What each extra installs, with the extras that it is made of."""
    rows = [row for row in map(_ROW.match, requires("exomni") or ()) if row]
    brought: dict[str, set[str]] = {row["extra"]: set() for row in rows}
    for _ in brought:  # as often as extras can stand on one another
        for row in rows:
            brought[row["extra"]].add(distribution(row["name"]))
            if row["name"] == "exomni":
                others = (row["parts"] or "").split(",")
                brought[row["extra"]].update(*(brought.get(other, set()) for other in others))
    return brought
