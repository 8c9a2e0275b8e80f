"""A character's profile: how its face takes the curves. A YAML file that can be saved with the character."""

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from exomni.core import arkit
from exomni.core.errors import ConfigError, FormatError, InputError

from ..core.atomic import write_text
from .names import canonical
from .track import as_rate

MAX_GAIN = 10.0


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Smoothing(_Strict):
    """One Euro filter.

    Attributes:
        min_cutoff_hz: lower is smoother when the face is still.
        beta: higher follows fast motion more closely.
        derivative_cutoff_hz: cut-off of the speed that `beta` looks at.
    """

    min_cutoff_hz: float = Field(default=4.0, gt=0)
    beta: float = Field(default=2.0, ge=0)
    derivative_cutoff_hz: float = Field(default=2.0, gt=0)


class Shape(_Strict):
    """How one shape is taken: `clamp(gain * value + offset)`, or not at all.

    Attributes:
        gain: factor, may be negative.
        offset: added after the gain.
        clamp: least and most that may come out.
        mute: True holds the shape at 0.
        smoothing: in place of the profile's; False (YAML's `off`) for none.
    """

    gain: float = Field(default=1.0, ge=-MAX_GAIN, le=MAX_GAIN)
    offset: float = Field(default=0.0, ge=-1, le=1)
    clamp: tuple[float, float] = (0.0, 1.0)
    mute: bool = False
    smoothing: Smoothing | Literal[False] | None = None

    @model_validator(mode="after")
    def _checked(self) -> "Shape":
        if self.clamp[0] > self.clamp[1]:
            raise ValueError(f"clamp {list(self.clamp)}: the least is above the most")
        return self


class Profile(_Strict):
    """What is done to curves on their way to a character.

    Attributes:
        name: the character's.
        fps: frame rate to convert to (`30`, `29.97`, `30000/1001`), or None to keep it.
        mirror: swap left and right.
        smoothing: filter for every shape, or None.
        every: gain, offset and clamp of the shapes that `shapes` does not name.
        shapes: by ARKit name.
        available: the shapes that the character has, or None for all.
        reroute: where a missing shape goes, shape by shape: {to: weight}; empty drops it. Over the usual
            ways in `retarget.REROUTES`.
    """

    name: str = ""
    fps: float | str | None = None
    mirror: bool = False
    smoothing: Smoothing | None = None
    every: Shape = Shape()
    shapes: Mapping[str, Shape] = {}
    available: tuple[str, ...] | None = None
    reroute: Mapping[str, Mapping[str, float]] = {}

    @field_validator("fps")
    @classmethod
    def _rate(cls, value: float | str | None) -> float | str | None:
        try:
            return value if value is None or as_rate(value) else None
        except FormatError as error:
            raise ValueError(str(error)) from None

    @field_validator("shapes", "reroute")
    @classmethod
    def _known_keys(cls, value: Mapping[str, Any]) -> Mapping[str, Any]:
        for name, target in value.items():
            for each in (name, *(target if isinstance(target, Mapping) else ())):
                if each not in arkit.INDEX:
                    raise ValueError(_unknown(each))
        return value

    @field_validator("available")
    @classmethod
    def _known_names(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value is None:
            return None
        known = {name: canonical(name) or "" for name in value}
        for name, shape in known.items():
            if shape not in arkit.INDEX:
                raise ValueError(_unknown(name))
        return tuple(known[name] for name in value)

    def shape(self, name: str) -> Shape:
        """How one shape is taken."""
        return self.shapes.get(name, self.every)


def load_profile(path: str | os.PathLike[str]) -> Profile:
    """Read a profile.

    Raises:
        InputError: the file cannot be read.
        ConfigError: it is no YAML (with the line), or has a key or value that is not understood.
    """
    try:
        document = yaml.safe_load(Path(path).read_text("utf-8"))
        return Profile.model_validate(document if document is not None else {})
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{path}{place}: {getattr(error, 'problem', None) or error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "the file"
        raise ConfigError(f"{path}: {key}: {first['msg'].removeprefix('Value error, ')}") from None


def save_profile(profile: Profile, path: str | os.PathLike[str]) -> None:
    """Write a profile; only what differs from the defaults. Raises OutputError where it cannot be written."""
    document = profile.model_dump(mode="json", exclude_defaults=True)
    write_text(path, yaml.safe_dump(document, sort_keys=False, allow_unicode=True))


def _unknown(name: str) -> str:
    close = difflib.get_close_matches(name, arkit.NAMES, n=1)
    return f"'{name}' is not an ARKit shape" + (f"; did you mean {close[0]}?" if close else "")
