"""What a row of the table of stages holds, and how a stage finds what an earlier one left."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..core.configuration import StrictConfig
from ..core.errors import UserError
from ..model.config import OmniConfig
from .loop import Task, load_weights

SHIPPED_RECIPES = ("configs/recipes", "a recipe of exomni")
"""Where recipes lie in the package, and what they are called (`read_config`)."""


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
        continues: whether it can begin with an earlier release's weights (its task is a `ContinuedTask`).
    """

    trains: tuple[str, ...]
    frozen: tuple[str, ...]
    passes: tuple[str, ...]
    losses: tuple[str, ...]
    setup: Callable[[Any, OmniConfig, Path, Path], Task]
    recipe: str
    load: Callable[[str | Path], StrictConfig]
    continues: bool = False


def earlier_weights(runs: Path, stage: str, use: str) -> dict[str, torch.Tensor]:
    """Weights that an earlier stage left; `use` says what for: "goes on from", "needs the tokenizer of".

    Raises:
        UserError: it has not run.
        CheckpointError: its weights cannot be read.
    """
    path = runs / stage / "model.safetensors"
    if not path.is_file():
        raise UserError(f"this stage {use} stage '{stage}', and there is no {path}: train it first")
    return load_weights(path)
