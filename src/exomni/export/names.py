"""Blendshape names as other programs spell them, brought to ARKit's camelCase."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from exomni.core import arkit
from exomni.core.configuration import read_yaml
from exomni.core.errors import FormatError

OTHER_PROGRAMS: dict[str, Any] = read_yaml("other_programs", "export", "a table of exports")
"""What other programs call things, by the sections of `other_programs.yaml`."""

ROTATIONS: tuple[str, ...] = tuple(
    f"{part}{axis}" for part in ("Head", "LeftEye", "RightEye") for axis in ("Yaw", "Pitch", "Roll")
)
"""Live Link Face's nine columns of rotation, in its order."""

NEUTRAL = "_neutral"
"""MediaPipe's first column: how much of no expression there is. It moves nothing."""


@dataclass(frozen=True)
class Naming:
    """How a list of names was understood.

    Attributes:
        columns: column of each ARKit or foreign name, under the name that it now has.
        rotations: column of each of `ROTATIONS` that is there.
        convention: what the spelling is called.
        missing: ARKit names that are not there.
        foreign: names that are not ARKit's, kept as they are.
    """

    columns: dict[str, int]
    rotations: dict[str, int]
    convention: str
    missing: tuple[str, ...]
    foreign: tuple[str, ...]

    def notes(self, expected: str = "camelCase") -> tuple[str, ...]:
        """What a person should know of how the names were read, where `expected` is the usual spelling."""
        notes = []
        if self.convention != expected:
            notes.append(f"names are in {self.convention}")
        if self.missing:
            notes.append(f"{len(self.missing)} of the 52 shapes are missing: {', '.join(self.missing)}")
        if self.foreign:
            notes.append(f"{len(self.foreign)} names are not ARKit's: {', '.join(self.foreign)}")
        return tuple(notes)


def understand(names: Sequence[str]) -> Naming:
    """Match names to ARKit's, whatever the spelling.

    camelCase, PascalCase, snake_case, `_L`/`_R` (also `.L`, `-L`), MediaPipe's, VRM perfect sync's, and any
    of these behind a mesh's name with a dot or colon (`blendShape1.jawOpen`).

    Raises:
        FormatError: not one is an ARKit shape, or two mean the same shape.
    """
    columns: dict[str, int] = {}
    rotations: dict[str, int] = {}
    foreign = []
    known = []
    for i, spelled in enumerate(names):
        name = canonical(spelled)
        if spelled == NEUTRAL:
            continue
        place = rotations if name in ROTATIONS else columns
        if name is None:
            foreign.append(spelled)
            name = spelled
        elif name not in ROTATIONS:
            known.append(spelled)
        if name in place:
            raise FormatError(f"'{names[place[name]]}' and '{spelled}' (column {i + 1}) are both {name}")
        place[name] = i
    if not known:
        some = ", ".join(map(str, names[:5]))
        raise FormatError(f"not one of the {len(names)} names is an ARKit blendshape: {some}…")
    missing = tuple(n for n in arkit.NAMES if n not in columns)
    return Naming(columns, rotations, _convention(known, NEUTRAL in names), missing, tuple(foreign))


def canonical(name: str) -> str | None:
    """The ARKit name (camelCase) or rotation (as in `ROTATIONS`) that `name` spells, or None."""
    whole = _FORMS.get(_plain(name))
    return whole or _FORMS.get(_plain(re.split(r"[.:](?=[^.:]{2,}$)", name)[-1]))


def pascal(name: str) -> str:
    """`jawOpen` as `JawOpen`."""
    return name[:1].upper() + name[1:]


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _forms() -> dict[str, str]:
    forms = {_plain(name): name for name in arkit.NAMES + ROTATIONS}
    for name in arkit.NAMES:
        for side in ("Left", "Right"):
            if name.endswith(side):
                forms[_plain(name.removesuffix(side)) + side[0].lower()] = name
    return forms


_FORMS = _forms()


def _convention(spelled: Sequence[str], has_neutral: bool) -> str:
    """What the spelling of names that were understood is called."""
    if has_neutral:
        return "MediaPipe's order"
    bare = [re.split(r"[.:](?=[^.:]{2,}$)", name)[-1] for name in spelled]
    if any(re.search(r"[._-][LlRr]$", name) for name in bare):
        return "the _L/_R convention"
    if all(name in arkit.INDEX for name in bare):
        return "camelCase" if list(bare) == list(spelled) else "camelCase behind a mesh name"
    known = [canonical(name) or name for name in bare]
    if bare == [pascal(name) for name in known]:
        return "PascalCase"
    if bare == [re.sub("([A-Z])", r"_\1", name).lower() for name in known]:
        return "snake_case"
    return "another spelling"
