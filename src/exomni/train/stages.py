"""The table of stages, and how each is set up from a recipe."""

import hashlib
import subprocess
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from ..core.errors import UserError
from ..data import store
from ..data.build import BuildConfig
from ..data.label import label_units
from ..model.config import OmniConfig, SpeechDecoderConfig
from ..model.unit_tokenizer import UnitTokenizer
from .joint import JointConfig, JointTask
from .listener_recipe import LISTENER_STAGES
from .loop import LoopConfig, Task, load_parts, load_weights
from .speech import SpeechTask
from .stage import Stage, read_recipe


class SpeechRecipe(BaseModel):
    """Stages "speech" and "decoder": how to train the tokenizer with the speech decoder, then the decoder alone."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    crop_units: int = 50
    loop: LoopConfig


class JointRecipe(BaseModel):
    """Stages "joint" (the paper's II), "expression" and "face": how to train generator and blendshape decoder, or that
    alone.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    losses: JointConfig
    loop: LoopConfig


class Recipe(BaseModel):
    """How weights are made, start to end."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: BuildConfig
    speech: SpeechRecipe
    decoder: SpeechRecipe
    joint: JointRecipe
    expression: JointRecipe
    face: JointRecipe


def _speech(recipe: Recipe, config: OmniConfig, data: Path, runs: Path) -> Task:
    assert config.unit_tokenizer is not None
    assert isinstance(config.speech_decoder, SpeechDecoderConfig)
    return SpeechTask(
        data, config.unit_tokenizer, config.speech_decoder, recipe.speech.crop_units, recipe.speech.loop.seed
    )


def _decoder(recipe: Recipe, config: OmniConfig, data: Path, runs: Path) -> Task:
    task = _speech(recipe, config, data, runs)
    load_parts(task.modules, load_weights(_tokenizer_weights(runs)))
    return task


def _tokenizer_weights(runs: Path) -> Path:
    path = runs / "speech" / "model.safetensors"
    if not path.is_file():
        raise UserError(f"this stage needs the tokenizer of stage 'speech', and there is no {path}: train it first")
    return path


def _label_units(config: OmniConfig, data: Path, runs: Path) -> None:
    """Units of every row by the tokenizer that stage "speech" left."""
    assert config.unit_tokenizer is not None
    tokenizer = UnitTokenizer(config.unit_tokenizer)
    load_parts({"tokenizer": tokenizer}, load_weights(_tokenizer_weights(runs)))
    digest = hashlib.sha256(b"".join(v.numpy().tobytes() for v in tokenizer.state_dict().values())).hexdigest()
    label_units(data, tokenizer, {"tokenizer": digest})


def _joint(recipe: Recipe, config: OmniConfig, data: Path, runs: Path) -> Task:
    _label_units(config, data, runs)
    return JointTask(
        data, config.unit_generator, config.blendshape_decoder, recipe.joint.losses, recipe.joint.loop.seed
    )


def _alone(recipe: Recipe, config: OmniConfig, data: Path, runs: Path, section: JointRecipe) -> tuple[JointTask, dict]:
    """A task of the blendshape decoder alone, and what stage "joint" left."""
    path = runs / "joint" / "model.safetensors"
    if not path.is_file():
        raise UserError(f"this stage needs the generator of stage 'joint', and there is no {path}: train it first")
    _label_units(config, data, runs)
    weights = load_weights(path)
    return JointTask(data, config.unit_generator, config.blendshape_decoder, section.losses, section.loop.seed), weights


def _expression(recipe: Recipe, config: OmniConfig, data: Path, runs: Path) -> Task:
    task, weights = _alone(recipe, config, data, runs, recipe.expression)
    task.start_from(weights, same_units=True)
    return task


def _face(recipe: Recipe, config: OmniConfig, data: Path, runs: Path) -> Task:
    task, weights = _alone(recipe, config, data, runs, recipe.face)
    load_parts({"generator": task.generator}, weights)
    return task


def load_recipe(source: str | Path) -> Recipe:
    """Read a recipe of talking by name ("nano") or a YAML file by path.

    Raises:
        ConfigError: no such recipe or file, or not a valid one; says which field.
    """
    return read_recipe(source, Recipe)


STAGES: dict[str, Stage] = {
    "speech": Stage(
        ("unit tokenizer", "speech decoder"),
        ("speech encoder", "vocoder"),
        ("speech", "features"),
        ("phonetic channels, pitch, loudness", "voicing and phoneme cross-entropy"),
        _speech,
        "nano",
        load_recipe,
    ),
    "decoder": Stage(
        ("speech decoder",),
        ("speech encoder", "unit tokenizer", "vocoder"),
        ("speech", "features"),
        ("phonetic channels, pitch, loudness", "voicing and phoneme cross-entropy"),
        _decoder,
        "nano",
        load_recipe,
    ),
    "joint": Stage(
        ("unit generator", "blendshape decoder"),
        ("LLM", "unit tokenizer"),
        ("texts", "speech", "units", "hidden", "faces", "posed"),
        ("unit cross-entropy", "log-duration", "emotion cross-entropy", "blendshapes with velocity", "lip vertices"),
        _joint,
        "nano",
        load_recipe,
        continues=True,
    ),
    "expression": Stage(
        ("blendshape decoder",),
        ("LLM", "unit tokenizer", "unit generator"),
        ("texts", "speech", "units", "hidden", "faces", "posed"),
        ("emotion cross-entropy", "blendshapes with velocity", "lip vertices"),
        _expression,
        "nano",
        load_recipe,
    ),
    "face": Stage(
        ("blendshape decoder",),
        ("LLM", "unit tokenizer", "unit generator"),
        ("texts", "speech", "units", "hidden", "faces", "posed"),
        ("emotion cross-entropy", "blendshapes with velocity", "lip vertices"),
        _face,
        "nano",
        load_recipe,
    ),
    **LISTENER_STAGES,
}


def provenance(data: Path, passes: Sequence[str] = store.PASSES) -> dict[str, str]:
    """What a checkpoint records of where it came from: version and commit of the code, hash of the data's passes."""
    try:
        here = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
        commit = subprocess.run(here, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        commit = ""  # no git here: an installed package has only its version
    return {"version": version("exomni"), "commit": commit, "data": store.data_hash(data, passes)}
