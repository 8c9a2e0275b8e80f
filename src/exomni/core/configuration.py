"""Strict configurations: sections that refuse unknown keys, and the YAML files that they are read from."""

from importlib import resources
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from .errors import ConfigError


class StrictConfig(BaseModel):
    """Base of every section: unknown keys are refused and nothing is changed after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


C = TypeVar("C", bound=StrictConfig)


def read_config(source: str | Path, kind: type[C], folder: str, what: str) -> C:
    """Read a configuration that ships with exomni by its name, or a YAML file by path.

    Args:
        source: a name in `folder`, or a path.
        kind: what the file must hold.
        folder: of those that ship, in the package, with "/".
        what: those that ship are called in the message where there is none.
    Raises:
        ConfigError: no such configuration or file, not YAML, or not a valid one; says which field.
    """
    packaged = resources.files("exomni").joinpath(*folder.split("/"), f"{source}.yaml")
    file = packaged if packaged.is_file() else Path(source)
    try:
        return kind.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
    except OSError:
        raise ConfigError(f"'{source}' is neither {what} nor a file") from None
    except (yaml.YAMLError, ValidationError) as error:
        raise ConfigError(f"{source}: {error}") from error
