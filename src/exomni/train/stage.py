"""What a row of the table of stages holds, and how a recipe is read."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from ..core.errors import ConfigError
from ..model.config import OmniConfig
from .loop import Task

R = TypeVar("R", bound=BaseModel)


@dataclass(frozen=True)
class Stage:
    """One row of the table.

    Attributes:
        trains: parts whose weights change.
        frozen: parts that are used as they are.
        passes: of the data set that it reads.
        losses: what is minimised.
        setup: makes the task from (recipe, model configuration, data folder, folder of all runs).
        recipe: name of the recipe that has a section for it.
        load: reads such a recipe.
        continues: whether it can begin with an earlier release's weights (`task.start_from`).
    """

    trains: tuple[str, ...]
    frozen: tuple[str, ...]
    passes: tuple[str, ...]
    losses: tuple[str, ...]
    setup: Callable[[BaseModel, OmniConfig, Path, Path], Task]
    recipe: str
    load: Callable[[str | Path], BaseModel]
    continues: bool = False


def read_recipe(source: str | Path, kind: type[R]) -> R:
    """Read a recipe by name or a YAML file by path.

    Raises:
        ConfigError: no such recipe or file, or not a valid one; says which field.
    """
    packaged = resources.files("exomni") / "configs" / "recipes" / f"{source}.yaml"
    file = packaged if packaged.is_file() else Path(source)
    try:
        return kind.model_validate(yaml.safe_load(file.read_text("utf-8")))
    except OSError:
        raise ConfigError(f"'{source}' is neither a recipe of exomni nor a file") from None
    except (yaml.YAMLError, ValidationError) as error:
        raise ConfigError(f"{source}: {error}") from error
