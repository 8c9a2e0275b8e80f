"""The table of stages, and how those of talking are set up from a recipe."""

import hashlib
import subprocess
from collections.abc import Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path

from ..core.configuration import StrictConfig, read_config
from ..core.errors import UserError
from ..data import store
from ..data.build import BuildConfig
from ..data.label import label_units
from ..model.config import OmniConfig, SpeechDecoderConfig
from ..model.unit_tokenizer import UnitTokenizer
from .joint import JointConfig, JointTask
from .listener_recipe import LISTENER_STAGES
from .loop import LoopConfig, load_modules
from .speech import SpeechTask
from .stage import SHIPPED_RECIPES, Stage, earlier_weights


class SpeechRecipe(StrictConfig):
    """Stages "speech" and "decoder": how to train the tokenizer with the speech decoder, then the decoder alone."""

    crop_units: int = 50
    loop: LoopConfig


class JointRecipe(StrictConfig):
    """Stages "joint" (the paper's II), "expression" and "face": how to train generator and blendshape decoder."""

    losses: JointConfig
    loop: LoopConfig


class Recipe(StrictConfig):
    """How the weights of talking are made, start to end."""

    data: BuildConfig
    speech: SpeechRecipe
    decoder: SpeechRecipe
    joint: JointRecipe
    expression: JointRecipe
    face: JointRecipe


def load_recipe(source: str | Path) -> Recipe:
    """Read a recipe of talking by name ("nano") or a YAML file by path; a ConfigError says what is wrong."""
    return read_config(source, Recipe, *SHIPPED_RECIPES)


def _speech(recipe: Recipe, config: OmniConfig, data: Path, runs: Path) -> SpeechTask:
    assert config.unit_tokenizer is not None
    assert isinstance(config.speech_decoder, SpeechDecoderConfig)
    section = recipe.speech
    return SpeechTask(data, config.unit_tokenizer, config.speech_decoder, section.crop_units, section.loop.seed)


def _decoder(recipe: Recipe, config: OmniConfig, data: Path, runs: Path) -> SpeechTask:
    task = _speech(recipe, config, data, runs)
    load_modules(task.modules, earlier_weights(runs, "speech", "needs the tokenizer of"))
    return task


def _joint_task(section: JointRecipe, config: OmniConfig, data: Path, runs: Path) -> JointTask:
    """A task on units of every row by the tokenizer that stage "speech" left."""
    assert config.unit_tokenizer is not None
    tokenizer = UnitTokenizer(config.unit_tokenizer)
    load_modules({"tokenizer": tokenizer}, earlier_weights(runs, "speech", "needs the tokenizer of"))
    digest = hashlib.sha256(b"".join(v.numpy().tobytes() for v in tokenizer.state_dict().values())).hexdigest()
    label_units(data, tokenizer, {"tokenizer": digest})
    return JointTask(data, config.unit_generator, config.blendshape_decoder, section.losses, section.loop.seed)


def _joint(recipe: Recipe, config: OmniConfig, data: Path, runs: Path) -> JointTask:
    return _joint_task(recipe.joint, config, data, runs)


def _expression(recipe: Recipe, config: OmniConfig, data: Path, runs: Path) -> JointTask:
    weights = earlier_weights(runs, "joint", "needs the generator of")
    task = _joint_task(recipe.expression, config, data, runs)
    task.start_from(weights, same_units=True)
    return task


def _face(recipe: Recipe, config: OmniConfig, data: Path, runs: Path) -> JointTask:
    weights = earlier_weights(runs, "joint", "needs the generator of")
    task = _joint_task(recipe.face, config, data, runs)
    load_modules({"generator": task.generator}, weights)
    return task


_speech_stage = partial(
    Stage,
    passes=("speech", "features"),
    losses=("phonetic channels, pitch, loudness", "voicing and phoneme cross-entropy"),
    recipe="nano",
    load=load_recipe,
)
_joint_stage = partial(
    Stage, passes=("texts", "speech", "units", "hidden", "faces", "posed"), recipe="nano", load=load_recipe
)
_decoder_stage = partial(
    _joint_stage,
    trains=("blendshape decoder",),
    frozen=("LLM", "unit tokenizer", "unit generator"),
    losses=("emotion cross-entropy", "blendshapes with velocity", "lip vertices"),
)

STAGES: dict[str, Stage] = {
    "speech": _speech_stage(
        trains=("unit tokenizer", "speech decoder"), frozen=("speech encoder", "vocoder"), setup=_speech
    ),
    "decoder": _speech_stage(
        trains=("speech decoder",), frozen=("speech encoder", "unit tokenizer", "vocoder"), setup=_decoder
    ),
    "joint": _joint_stage(
        trains=("unit generator", "blendshape decoder"),
        frozen=("LLM", "unit tokenizer"),
        losses=("unit cross-entropy", "log-duration", *_decoder_stage.keywords["losses"]),
        setup=_joint,
        continues=True,
    ),
    "expression": _decoder_stage(setup=_expression),
    "face": _decoder_stage(setup=_face),
    **LISTENER_STAGES,
}


def checked_stage(name: str, continued: bool = False) -> Stage:
    """A row of the table by its name.

    Raises:
        UserError: no such stage, or, if `continued`, one that cannot begin with the weights of a release.
    """
    if name not in STAGES:
        raise UserError(f"no stage {name!r}; there are {', '.join(STAGES)}")
    if continued and not STAGES[name].continues:
        able = ", ".join(known for known, row in STAGES.items() if row.continues)
        raise UserError(f"--start-from is for the stages {able}")
    return STAGES[name]


def provenance(data: Path, passes: Sequence[str] = store.PASSES) -> dict[str, str]:
    """What a checkpoint records of where it came from: version and commit of the code, hash of the data's passes."""
    try:
        here = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
        commit = subprocess.run(here, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        commit = ""  # no git here: an installed package has only its version
    return {"version": version("exomni"), "commit": commit, "data": store.data_hash(data, passes)}
