"""Builds the data set of the CTC listener: encoder features of texts and questions, said by many voices in many rooms.

Rows lie in shards like those of `store`, one pass (`heard/`): id, text, reply, voice, group, split, snr_db, seconds,
features, and for held-out rows the sound itself.
"""

import itertools
import random
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from ..core.configuration import StrictConfig
from ..core.errors import InputError
from ..core.timebase import ENCODER_FRAMES_PER_UNIT, ENCODER_HZ, ENCODER_SAMPLE_HZ
from . import rooms, store, voices
from .speech_pass import to_flac
from .templates import broad_question

CLEAN_DB = 99.0
"""Stands for no noise at all."""
_NOUN = re.compile(r"^An? ([a-z]{3,12}) is ")
_SENTENCE = re.compile(r"(?<=[.!?])\s+")


class ASRDataConfig(StrictConfig):
    """What to build.

    Attributes:
        seed: of every random choice.
        repeats: training rows of plain texts.
        questions: training rows of questions, with the LLM's own replies.
        voices: weight of each training voice (see `voices.voice`).
        held_out_voices: never trained on; the last figures are theirs.
        held_out_texts: texts, and as many questions, that each held-out voice says.
        snrs_db: signal-to-noise ratios of the held-out voices' rows, besides clean.
        noisy: share of training rows with noise.
        snr_db: range of their noise.
        reply_tokens: longest kept reply.
        rows_per_shard: rows that are made and written together.
        kokoro: folder of Kokoro's voice files; without it `voices/` in the data set's.
    """

    seed: int = 0
    repeats: int = Field(ge=0)
    questions: int = Field(ge=0)
    voices: dict[str, float]
    held_out_voices: tuple[str, ...]
    held_out_texts: int = Field(20, ge=1)
    snrs_db: tuple[float, ...] = (20.0, 10.0)
    noisy: float = Field(0.5, ge=0, le=1)
    snr_db: tuple[float, float] = (5.0, 30.0)
    reply_tokens: int = Field(40, ge=1)
    rows_per_shard: int = Field(100, ge=1)
    kokoro: Path | None = None


@dataclass(frozen=True)
class Planned:
    """A row before it is said: its text, whether it is a question, who says it, for which split."""

    id: str
    text: str
    is_question: bool
    voice: str
    split: str


def plan(own: Path, config: ASRDataConfig) -> list[list[Planned]]:
    """The shards, those of the held-out voices last; each is made alone, so that a stopped build goes on.

    The texts are those of `own`, the data set of the one voice.
    """
    rng, n = random.Random(config.seed), config.held_out_texts
    texts, nouns = _texts(own)
    trained = {sentence for sentence, split in texts if split == "train"}
    plain = [t for t in texts if t[1] == "train" or t[0] not in trained]
    rng.shuffle(plain)
    asked = _questions(rng, nouns)
    # The same texts for every held-out voice; others by voices that are trained on.
    tested, checked = _said(plain, asked, "test", n, n), _said(plain, asked, "validation", 2 * n, 2 * n)
    said = _said(plain, asked, "train", config.repeats, config.questions)
    rng.shuffle(said)
    names, weights = list(config.voices), list(config.voices.values())
    rows = [(*row, name, "validation") for row, name in zip(checked, itertools.cycle(names))]
    rows += [(*row, rng.choices(names, weights)[0], "train") for row in said]
    rows += [(*row, name, "test") for name in config.held_out_voices for row in tested]
    numbered = [Planned(f"{i:05d}", *row) for i, row in enumerate(rows)]
    return [numbered[i : i + config.rows_per_shard] for i in range(0, len(numbered), config.rows_per_shard)]


def _said(
    plain: Iterable[tuple[str, str]], asked: Iterator[tuple[str, str]], split: str, n_texts: int, n_questions: int
) -> list[tuple[str, bool]]:
    """Texts and questions of a split, each with whether it is a question."""
    questions = itertools.islice((text for text, own_split in asked if own_split == split), n_questions)
    texts = itertools.islice((text for text, own_split in plain if own_split == split), n_texts)
    return [(text, False) for text in texts] + [(text, True) for text in questions]


def _texts(own: Path) -> tuple[list[tuple[str, str]], list[str]]:
    """Sentences of the one voice's texts with their splits, and nouns that WordNet explains there."""
    sentences, nouns = {}, set()
    for path in sorted((own / "texts").glob("*.parquet")):
        for row in store.read_shard(path, ["text", "split"]):
            if match := _NOUN.match(row["text"]):
                nouns.add(match.group(1))
            for sentence in _SENTENCE.split(row["text"]):
                if 8 <= len(sentence) <= 110:
                    sentences.setdefault(sentence, row["split"])
    if not sentences:
        raise InputError(f"{own} holds no texts; build it with: exomni data build")
    return list(sentences.items()), sorted(nouns)


def _questions(rng: random.Random, nouns: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Questions without repeats, with their splits."""
    seen: set[str] = set()
    while True:
        text = broad_question(rng, nouns or ("word",))
        if text not in seen:
            seen.add(text)
            yield text, store.split_of(text)


@dataclass(frozen=True)
class Tools:
    """What rows are made with: the LLM's replies to a list of prompts, at most so many tokens long; the speech encoder,
    from 16 kHz samples to [T, D]; and the voice of a name, see `voices.voice`.
    """

    answer: Callable[[list[str], int], list[str]]
    features: Callable[[np.ndarray], Any]
    voice: Callable[[str, Path | None], voices.Say] = voices.voice


def load_tools() -> Tools:
    """The LLM and the speech encoder of `nano`."""
    import torch

    from ..parts.loading import load_parts
    from .llm_replies import Answers

    encoder = load_parts("nano").speech_encoder

    def features(samples: np.ndarray) -> torch.Tensor:
        # Half the time, for an error of 2%: a tenth of the noise that training adds to these features.
        with torch.autocast("cpu", torch.bfloat16):
            return encoder(samples).float()

    return Tools(Answers(), features)


def build(
    own: Path, folder: Path, config: ASRDataConfig, *, tools: Callable[[], Tools] = load_tools, n_workers: int = 1,
    report=print,
) -> None:  # fmt: skip
    """Make every shard of `folder` that is missing, from the texts of `own`, the data set of the one voice.

    Args:
        tools: makes the tools, once in each process that has something to do; goes to other processes by pickle.
        n_workers: processes at once; 1 works in this one.
        report: called with a line for each shard.
    """
    config = config.model_copy(update={"kokoro": config.kokoro or folder / "voices"})
    todo = []
    for number, planned in enumerate(plan(own, config)):
        path = folder / "heard" / f"{number:04d}.parquet"
        if not path.exists():
            todo.append((path, planned))
        elif store.shard_metadata(path) != {"seed": config.seed}:
            raise InputError(f"{folder} was built with another seed; give another folder, or remove it")
    if not todo:
        return
    if n_workers == 1:
        made = tools()
        for path, planned in todo:
            report(_make_shard(path, planned, config, made))
        return
    with ProcessPoolExecutor(n_workers, initializer=_begin_worker, initargs=(tools,)) as pool:
        jobs = [pool.submit(_work, path, planned, config) for path, planned in todo]
        try:
            for done, job in enumerate(as_completed(jobs), 1):
                report(f"{done}/{len(todo)} shards, {job.result()}")
        except BaseException:
            pool.shutdown(cancel_futures=True)  # what is wrong is said now, and not after all other shards
            raise


_worker_tools: Callable[[], Tools]
"""Of a worker process, set when it begins."""


def _begin_worker(tools: Callable[[], Tools]) -> None:
    import torch

    global _worker_tools
    torch.set_num_threads(1)
    # Made by the first shard: what fails here breaks the pool without its message.
    _worker_tools = cache(tools)


def _work(path: Path, planned: list[Planned], config: ASRDataConfig) -> str:
    return _make_shard(path, planned, config, _worker_tools())


def _make_shard(path: Path, planned: list[Planned], config: ASRDataConfig, tools: Tools) -> str:
    """Make one shard; gives a line that tells of it."""
    asked = [p.text for p in planned if p.is_question and p.split != "test"]
    replies = dict(zip(asked, tools.answer(asked, config.reply_tokens), strict=True))
    rows = list(_spoken_rows(planned, replies, config, tools))
    store.write_shard(path, rows, {"seed": config.seed})
    return f"{path.name}: {len(rows)} rows, {sum(r['seconds'] for r in rows):.0f} s"


def _spoken_rows(planned: Iterable[Planned], replies: dict, config: ASRDataConfig, tools: Tools) -> Iterator[dict]:
    others: list[np.ndarray] = []
    for row in planned:
        rng = np.random.default_rng([config.seed, int(row.id)])
        held_out = row.split == "test"
        try:
            clip = _say(row, tools.voice(row.voice, config.kokoro), rng, plain=held_out)
        except InputError:
            continue  # a voice that cannot say this text
        for snr_db in (CLEAN_DB, *config.snrs_db) if held_out else (None,):
            sound, snr_db = _in_place(clip, snr_db, config, rng, others)
            frames = tools.features(sound)[: len(sound) * ENCODER_HZ // ENCODER_SAMPLE_HZ].half().numpy()
            yield asdict(row) | {
                "reply": replies.get(row.text, ""), "group": row.voice.partition(":")[0],
                "snr_db": snr_db, "seconds": len(sound) / ENCODER_SAMPLE_HZ,
                "features": frames, "sound": to_flac(sound, ENCODER_SAMPLE_HZ) if held_out else b"",
            }  # fmt: skip
        others = [*others[-9:], clip]


def _say(row: Planned, say: voices.Say, rng: np.random.Generator, plain: bool) -> np.ndarray:
    """The row's text at 16 kHz; in training at any speed, from another throat too."""
    from ..core.audio import resample

    speed = 1.0 if plain else float(rng.uniform(0.85, 1.2))
    reach = 0.25 if row.voice.startswith("own") else 0.12
    factor = 1.0 if plain or rng.random() < 0.4 else float(np.exp(rng.uniform(-reach, reach)))
    samples, rate = say(row.text, speed / factor)
    samples = rooms.shifted(resample(samples, rate, ENCODER_SAMPLE_HZ), factor)
    if not len(samples) or not np.isfinite(samples).all() or np.abs(samples).max() < 1e-3:
        raise InputError(f"{row.voice} was silent on {row.text[:40]!r}")
    return samples


def _in_place(
    clip: np.ndarray, snr_db: float | None, config: ASRDataConfig, rng: np.random.Generator, others: list
) -> tuple[np.ndarray, float]:
    """A clip between two silences, in a room, at some level, with noise at `snr_db` (None: drawn), which is given."""
    before, after = rng.uniform(0.05, 0.4), rng.uniform(0.1, 1.2)
    sound = np.pad(clip, (int(before * ENCODER_SAMPLE_HZ), int(after * ENCODER_SAMPLE_HZ)))
    drawn = snr_db is None
    if drawn and rng.random() < 0.5:
        sound = rooms.in_room(sound, ENCODER_SAMPLE_HZ, rng).astype(np.float32)
    if drawn:
        snr_db = float(rng.uniform(*config.snr_db)) if rng.random() < config.noisy else CLEAN_DB
    if snr_db < CLEAN_DB:
        sound = rooms.with_noise(sound, ENCODER_SAMPLE_HZ, snr_db, str(rng.choice(rooms.NOISES)), rng, others)
    return rooms.at_level(sound, float(np.exp(rng.uniform(np.log(0.02), np.log(1.3)))) if drawn else 0.6), snr_db


@dataclass(frozen=True, eq=False)
class ASRRow:
    """An utterance and its text.

    Attributes:
        text: what is said.
        reply: the LLM's own answer to it ("" where none is kept).
        features: of the speech encoder, 50 a second, float16 [T, D].
        voice: who says it.
        group: of voices, for figures: "own", "disguised", or what the data set calls it.
        snr_db: power of the speech over that of the noise, 99 without noise.
    """

    text: str
    reply: str
    features: np.ndarray
    voice: str
    group: str
    snr_db: float = CLEAN_DB

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return len(self.features) / ENCODER_HZ


def read_rows(folder: Path, split: str) -> Iterator[ASRRow]:
    """Rows of one split of a data set."""
    for path in sorted((folder / "heard").glob("*.parquet")):
        for row in store.read_shard(path, ["text", "reply", "voice", "group", "split", "features", "snr_db"]):
            if row["split"] == split:
                yield ASRRow(row["text"], row["reply"], row["features"], row["voice"], row["group"], row["snr_db"])


def own_replies(folder: Path) -> dict[str, str]:
    """The beginning of the LLM's reply to each prompt of a data set of `data.build`."""
    replies: dict[str, str] = {}
    for path in sorted((folder / "texts").glob("*.parquet")):
        for row in store.read_shard(path, ["text", "prompt"]):
            if row["prompt"]:
                replies.setdefault(row["prompt"], row["text"])
    return replies


def read_own_voice(
    folder: Path, split: str, longest_s: float, shards: slice, replies: Mapping[str, str]
) -> Iterator[ASRRow]:
    """Rows of a data set of `data.build`: the one voice, some of them disguised; longer ones are left out.

    `shards` picks the shards to read; `replies` are the LLM's, to texts that happen to be prompts too.
    """
    for path in sorted((folder / "speech").glob("*.parquet"))[shards]:
        features = {r["id"]: r["features"] for r in store.read_shard(folder / "features" / path.name)}
        for row in store.read_shard(path, ["id", "text", "split", "disguised", "seconds"]):
            if row["split"] == split and row["seconds"] <= longest_s:
                frames = as_frames(features[row["id"]], row["seconds"])
                group = "disguised" if row["disguised"] else "own"
                yield ASRRow(row["text"], replies.get(row["text"], ""), frames, "heart", group)


def as_frames(units: np.ndarray, seconds: float) -> np.ndarray:
    """Features that lie four frames side by side [T_unit, 4 * D] as frames [T, D], cut to the speech's length."""
    frames = units.reshape(len(units) * ENCODER_FRAMES_PER_UNIT, -1)
    return frames[: max(1, round(seconds * ENCODER_HZ))]
