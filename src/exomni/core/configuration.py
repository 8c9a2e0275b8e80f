"""Strict configurations: sections that refuse unknown keys, and the YAML files that they are read from."""

from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from .errors import ConfigError


class StrictConfig(BaseModel):
    """Base of every section: unknown keys are refused and nothing is changed after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


C = TypeVar("C", bound=StrictConfig)


def read_yaml(source: str | Path, folder: str, what: str) -> Any:
    """What is in a YAML file that ships with exomni, by its name, or in one by path.

    `base: NAME` in it names one that ships; then it holds only what differs: entries of its sections take the place of
    those.

    Args:
        source: a name in `folder`, or a path.
        folder: of those that ship, in the package, with "/".
        what: those that ship are called in the message where there is none.
    Raises:
        ConfigError: no such file, or not YAML.
    """
    shipped = Path(str(resources.files("exomni"))).joinpath(*folder.split("/"))
    packaged = shipped / f"{source}.yaml"
    file = packaged if packaged.is_file() else Path(source)
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError:
        raise ConfigError(f"'{source}' is neither {what} nor a file") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{source}: {error}") from error
    base = values.pop("base", None) if isinstance(values, dict) else None
    if base is not None and (base == source or not (shipped / f"{base}.yaml").is_file()):
        raise ConfigError(f"{source}: {base!r} is no base; give the name of {what}")
    for name, section in (read_yaml(base, folder, what) if base is not None else {}).items():
        own = values.setdefault(name, section)
        values[name] = section | own if isinstance(section, dict) and isinstance(own, dict) else own
    return values


def as_config(values: Any, kind: type[C], source: str | Path) -> C:
    """Values as a configuration.

    Raises:
        ConfigError: not a valid one; says which field.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{source}: {error}") from error


def read_config(source: str | Path, kind: type[C], folder: str, what: str) -> C:
    """Read a configuration of some kind as `read_yaml` reads a file.

    Raises:
        ConfigError: no such file, not YAML, or not a valid configuration; says which field.
    """
    return as_config(read_yaml(source, folder, what), kind, source)
