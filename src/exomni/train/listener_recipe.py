"""How the listener is made: the recipe of hearing, and its rows in the table of stages."""

from collections.abc import Iterable
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, Field

from ..core.errors import UserError
from ..data import asr_build as hearing
from ..data.asr_rows import HeardRow, own_replies, read_own_voice
from ..model.config import OmniConfig
from ..model.ctc_listener import Listener
from .ctc import ReadingTask
from .ctc_spelling import Spelling
from .listener_stages import ListeningConfig, ListeningTask
from .loop import LoopConfig, Task, load_parts, load_weights
from .stage import Stage, read_recipe


class RowsConfig(BaseModel):
    """Which rows a stage sees.

    Attributes:
        longest_s: longer ones are left out.
        every_shard: of the one voice's data set, every so many-th shard is read.
        many_voices: how often the rows of many voices are taken for each time of the others.
        held_out: most rows of each data set to validate on.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    longest_s: float = Field(10.0, gt=0)
    every_shard: int = Field(1, ge=1)
    many_voices: int = Field(3, ge=1)
    held_out: int = Field(60, ge=1)


class ReadingRecipe(BaseModel):
    """Stage "reading": how the listener is warmed up by CTC."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: RowsConfig
    n_rivals: int = Field(3000, ge=0)
    noise: float = Field(0.2, ge=0)
    loop: LoopConfig


class ListeningRecipe(BaseModel):
    """Stages "listening" and "dialogue": how the listener and the adapters are trained through the LLM."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: RowsConfig
    task: ListeningConfig
    loop: LoopConfig


class HearingRecipe(BaseModel):
    """How the weights of listening are made; `own` is the recipe whose data set holds the one voice."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    own: str
    data: hearing.HearingConfig
    reading: ReadingRecipe
    listening: ListeningRecipe
    dialogue: ListeningRecipe


def load_hearing_recipe(source: str | Path) -> HearingRecipe:
    """Read a recipe of hearing by name ("hearing") or a YAML file by path.

    Raises:
        ConfigError: no such recipe or file, or not a valid one; says which field.
    """
    return read_recipe(source, HearingRecipe)


def own_folder(recipe: HearingRecipe, data: Path) -> Path:
    """The one voice's data set, which lies beside that of many voices.

    Raises:
        UserError: it is not there.
    """
    folder = data.with_name(recipe.own)
    if not (folder / "features").is_dir():
        raise UserError(f"no data set in {folder}; build it with: exomni data build --config {recipe.own}")
    return folder


def read_rows(recipe: HearingRecipe, rows: RowsConfig, data: Path) -> tuple[list[HeardRow], list[HeardRow]]:
    """Rows to train on and to validate on, of the one voice and of many."""
    own, shards = own_folder(recipe, data), slice(None, None, rows.every_shard)
    replies = own_replies(own)
    train = list(read_own_voice(own, "train", rows.longest_s, shards, replies))
    train += rows.many_voices * _short(hearing.read_rows(data, "train"), rows.longest_s)
    held_out = _spread(read_own_voice(own, "validation", rows.longest_s, shards, replies), rows.held_out)
    held_out += _spread(_short(hearing.read_rows(data, "validation"), rows.longest_s), rows.held_out)
    return train, held_out


def known_tokens(recipe: HearingRecipe, data: Path) -> torch.Tensor:
    """Ids of the tokens that stage "reading" writes its rows with: what speech can be read as."""
    train, _ = read_rows(recipe, recipe.reading.rows, data)
    return Spelling(_table_and_tokenizer()[1], (row.text for row in train)).known()


def _short(rows: Iterable[HeardRow], longest_s: float) -> list[HeardRow]:
    return [row for row in rows if row.seconds <= longest_s]


def _spread(rows: Iterable[HeardRow], n: int) -> list[HeardRow]:
    """At most `n` rows, from all over."""
    rows = list(rows)
    return rows[:: max(1, -(-len(rows) // n))]


def _table_and_tokenizer() -> tuple[torch.Tensor, object]:
    """The LLM's word embeddings, float32 [n_tokens, D], and its tokenizer."""
    import numpy as np
    from tokenizers import Tokenizer

    from ..parts.smollm.conversion import LLM
    from ..parts.smollm.session import EMBEDDINGS_FILE, TOKENIZER_FILE

    folder = LLM.folder()
    table = torch.from_numpy(np.load(folder / EMBEDDINGS_FILE).astype(np.float32))
    return table, Tokenizer.from_file(str(folder / TOKENIZER_FILE))


def _reading(recipe: HearingRecipe, config: OmniConfig, data: Path, runs: Path) -> Task:
    train, held_out = read_rows(recipe, recipe.reading.rows, data)
    return ReadingTask(
        train, held_out, *_table_and_tokenizer(), config.speech_projector, n_rivals=recipe.reading.n_rivals,
        noise=recipe.reading.noise, seed=recipe.reading.loop.seed,
    )  # fmt: skip


def _through_llm(recipe: HearingRecipe, config: OmniConfig, data: Path, runs: Path, stage: str, before: str) -> Task:
    """The task of a stage that trains through the LLM, from where the stage before it left off."""
    from ..data.llm_replies import load_llm

    path, section = runs / before / "model.safetensors", getattr(recipe, stage)
    if not path.is_file():
        raise UserError(f"this stage goes on from stage '{before}', and there is no {path}: train it first")
    train, held_out = read_rows(recipe, section.rows, data)
    listener = Listener(config.speech_encoder.d_model, config.language_model.d_model, config.speech_projector)
    (_, tokenizer), (llm, _) = _table_and_tokenizer(), load_llm()
    known = known_tokens(recipe, data)
    task = ListeningTask(train, held_out, listener, llm, tokenizer, known, section.task, section.loop.seed)
    weights = load_weights(path)
    load_parts({name: m for name, m in task.modules.items() if before != "reading" or name == "listener"}, weights)
    return task


def _listening(recipe: HearingRecipe, config: OmniConfig, data: Path, runs: Path) -> Task:
    return _through_llm(recipe, config, data, runs, "listening", "reading")


def _dialogue(recipe: HearingRecipe, config: OmniConfig, data: Path, runs: Path) -> Task:
    return _through_llm(recipe, config, data, runs, "dialogue", "listening")


HEARING_STAGES: dict[str, Stage] = {
    "reading": Stage(
        ("speech projector",),
        ("speech encoder", "LLM's word embeddings"),
        ("heard",),
        ("CTC over the LLM's tokens",),
        _reading,
        "hearing",
        load_hearing_recipe,
        continues=True,
    ),
    "listening": Stage(
        ("speech projector", "LLM's adapters"),
        ("speech encoder", "LLM"),
        ("heard",),
        ("text cross-entropy",),
        _listening,
        "hearing",
        load_hearing_recipe,
    ),
    "dialogue": Stage(
        ("speech projector", "LLM's adapters"),
        ("speech encoder", "LLM"),
        ("heard",),
        ("text cross-entropy", "divergence from the typed prompt's reply"),
        _dialogue,
        "hearing",
        load_hearing_recipe,
    ),
}
