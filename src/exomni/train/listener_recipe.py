"""How the CTC listener is made: its recipe, and its rows in the table of stages."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from pydantic import Field

from ..core.configuration import StrictConfig, read_config
from ..core.errors import UserError
from ..data import asr_build
from ..data.asr_build import ASRRow, own_replies, read_own_voice
from ..model.config import OmniConfig
from ..model.ctc_listener import CTCListener
from ..parts.loading import load_parts
from .ctc import CTCTask, Spelling
from .listener_stages import LLMListenerConfig, LLMListenerTask
from .loop import LoopConfig, load_modules
from .stage import SHIPPED_RECIPES, Stage, earlier_weights

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class RowsConfig(StrictConfig):
    """Which rows a stage sees.

    Attributes:
        longest_s: longer ones are left out.
        every_shard: of the one voice's data set, every so many-th shard is read.
        many_voices: how often the rows of many voices are taken for each time of the others.
        held_out: most rows of each data set to validate on.
    """

    longest_s: float = Field(10.0, gt=0)
    every_shard: int = Field(1, ge=1)
    many_voices: int = Field(3, ge=1)
    held_out: int = Field(60, ge=1)


class CTCRecipe(StrictConfig):
    """Stage "reading": how the listener is warmed up by CTC."""

    rows: RowsConfig
    n_rivals: int = Field(3000, ge=0)
    noise: float = Field(0.2, ge=0)
    loop: LoopConfig


class LLMListenerRecipe(StrictConfig):
    """Stages "listening" and "dialogue": how the listener and the adapters are trained through the LLM."""

    rows: RowsConfig
    task: LLMListenerConfig
    loop: LoopConfig


class ListenerRecipe(StrictConfig):
    """How the weights of listening are made; `own` is the recipe whose data set holds the one voice."""

    own: str
    data: asr_build.ASRDataConfig
    reading: CTCRecipe
    listening: LLMListenerRecipe
    dialogue: LLMListenerRecipe


def load_listener_recipe(source: str | Path) -> ListenerRecipe:
    """Read a recipe of listening by name ("hearing") or a YAML file by path; a ConfigError says what is wrong."""
    return read_config(source, ListenerRecipe, *SHIPPED_RECIPES)


def own_folder(recipe: ListenerRecipe, data: Path) -> Path:
    """The one voice's data set, which lies beside that of many voices.

    Raises:
        UserError: it is not there.
    """
    folder = data.with_name(recipe.own)
    if not (folder / "features").is_dir():
        raise UserError(f"no data set in {folder}; build it with: exomni data build --config {recipe.own}")
    return folder


def read_rows(recipe: ListenerRecipe, rows: RowsConfig, data: Path) -> tuple[list[ASRRow], list[ASRRow]]:
    """Rows to train on and to validate on, of the one voice and of many."""
    own, shards = own_folder(recipe, data), slice(None, None, rows.every_shard)
    replies = own_replies(own)
    train = list(read_own_voice(own, "train", rows.longest_s, shards, replies))
    train += rows.many_voices * _short(asr_build.read_rows(data, "train"), rows.longest_s)
    held_out = _spread(read_own_voice(own, "validation", rows.longest_s, shards, replies), rows.held_out)
    held_out += _spread(_short(asr_build.read_rows(data, "validation"), rows.longest_s), rows.held_out)
    return train, held_out


def known_tokens(recipe: ListenerRecipe, data: Path) -> torch.Tensor:
    """Ids of the tokens that stage "reading" writes its rows with: what speech can be transcribed as."""
    train, _ = read_rows(recipe, recipe.reading.rows, data)
    return Spelling(_table_and_tokenizer()[1], (row.text for row in train)).known()


def _short(rows: Iterable[ASRRow], longest_s: float) -> list[ASRRow]:
    return [row for row in rows if row.seconds <= longest_s]


def _spread(rows: Iterable[ASRRow], n: int) -> list[ASRRow]:
    """At most `n` rows, from all over."""
    rows = list(rows)
    return rows[:: max(1, -(-len(rows) // n))]


def _table_and_tokenizer() -> tuple[torch.Tensor, "Tokenizer"]:
    """The LLM's word embeddings, float32 [n_tokens, D], and its tokenizer."""
    vocabulary = load_parts("nano").vocabulary
    return torch.from_numpy(vocabulary.embeddings()), vocabulary.tokenizer


def _reading(recipe: ListenerRecipe, config: OmniConfig, data: Path, runs: Path) -> CTCTask:
    section = recipe.reading
    train, held_out = read_rows(recipe, section.rows, data)
    return CTCTask(
        train, held_out, *_table_and_tokenizer(), config.speech_projector, n_rivals=section.n_rivals,
        noise=section.noise, seed=section.loop.seed,
    )  # fmt: skip


def _through_llm(
    recipe: ListenerRecipe, config: OmniConfig, data: Path, runs: Path, *, stage: str, before: str
) -> LLMListenerTask:
    """The task of a stage that trains through the LLM, from where the stage before it left off."""
    from ..data.llm_replies import load_llm

    weights, section = earlier_weights(runs, before, "goes on from"), getattr(recipe, stage)
    train, held_out = read_rows(recipe, section.rows, data)
    listener = CTCListener(config.speech_encoder.d_model, config.language_model.d_model, config.speech_projector)
    (_, tokenizer), (llm, _) = _table_and_tokenizer(), load_llm()
    known = known_tokens(recipe, data)
    task = LLMListenerTask(train, held_out, listener, llm, tokenizer, known, section.task, section.loop.seed)
    load_modules({name: m for name, m in task.modules.items() if before != "reading" or name == "listener"}, weights)
    return task


_listener_stage = partial(Stage, passes=("heard",), recipe="hearing", load=load_listener_recipe)
_llm_stage = partial(_listener_stage, trains=("speech projector", "LLM's adapters"), frozen=("speech encoder", "LLM"))

LISTENER_STAGES: dict[str, Stage] = {
    "reading": _listener_stage(
        trains=("speech projector",),
        frozen=("speech encoder", "LLM's word embeddings"),
        losses=("CTC over the LLM's tokens",),
        setup=_reading,
        continues=True,
    ),
    "listening": _llm_stage(
        losses=("text cross-entropy",), setup=partial(_through_llm, stage="listening", before="reading")
    ),
    "dialogue": _llm_stage(
        losses=("text cross-entropy", "divergence from the typed prompt's reply"),
        setup=partial(_through_llm, stage="dialogue", before="listening"),
    ),
}
