"""The data builder's passes: texts, speech, features (later passes need a trained tokenizer; see `label`)."""

import hashlib
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import soxr
from pydantic import Field

from ..core.configuration import StrictConfig
from ..core.errors import ConfigError, InputError
from ..core.timebase import ENCODER_FRAMES_PER_UNIT, ENCODER_SAMPLE_HZ, SAMPLE_HZ
from ..core.word_errors import count_word_errors
from ..parts.loading import load_parts
from . import store
from .speech_pass import fault_of, load_speaker, to_flac
from .text import SourceInput, TextRow
from .text_sources import SOURCES
from .whisper_judge import WhisperJudge

CHARS_PER_SECOND = 14.5
"""How fast the voice reads, for planning how many texts make an hour."""


class BuildConfig(StrictConfig):
    """What to build.

    Attributes:
        seed: of every random choice.
        hours: of speech wanted from each text source, by name ("dialogue" is an LLM's own words).
        disguised: share of rows said in another timbre, pitch and room (for the tokenizer alone).
        rows_per_shard: rows that are made and written together.
        judged: share of rows that are transcribed back and dropped when wrong.
        max_wer: word error rate above which a judged row is dropped.
        paths: folders of the sources that read files.
        teacher: labels the faces (one of `teachers.TEACHERS`).
        teacher_options: fields of its own configuration.
    """

    seed: int = 0
    hours: dict[str, float]
    disguised: float = Field(0.2, ge=0, le=1)
    rows_per_shard: int = Field(100, ge=1)
    judged: float = Field(0.02, ge=0, le=1)
    max_wer: float = Field(0.5, ge=0)
    paths: dict[str, Path] = Field({})
    teacher: str = "openfacefx"
    teacher_options: dict[str, Any] = Field({})


def plan_texts(folder: Path, config: BuildConfig, source: str) -> None:
    """Write the text shards of one source, unless they are there.

    Raises:
        ConfigError: no such source.
    """
    if source not in SOURCES:
        raise ConfigError(f"no text source {source!r}; there are {', '.join(SOURCES)}")
    given = SourceInput(config.seed, source, config.paths.get(source), folder / source)
    rows = SOURCES[source].rows(given)
    wanted = _until_hours(_without_repeats(rows), config.hours[source])
    for number, batch in enumerate(_batched(wanted, config.rows_per_shard)):
        path = folder / "texts" / f"{source}-{number:04d}.parquet"
        if path.exists() and store.shard_metadata(path) != {"seed": config.seed}:
            raise ConfigError(f"{folder} was built with another seed; give another folder, or remove it")
        if not path.exists():
            records = [
                {"id": f"{source}-{number:04d}-{i:03d}", "text": r.text, "prompt": r.prompt, "source": r.source,
                 "split": store.split_of(r.text)}
                for i, r in enumerate(batch)
            ]  # fmt: skip
            store.write_shard(path, records, {"seed": config.seed})


def _batched(rows: Iterable, size: int) -> Iterator[list]:
    rows = iter(rows)
    while batch := list(itertools.islice(rows, size)):
        yield batch


def _without_repeats(rows: Iterable[TextRow]) -> Iterator[TextRow]:
    # Short texts ("Yes.") are wanted in every voice state, long ones once.
    seen: Counter[str] = Counter()
    for row in rows:
        seen[row.text] += 1
        if seen[row.text] <= (4 if len(row.text) < 30 else 1):
            yield row


def _until_hours(rows: Iterable[TextRow], hours: float) -> Iterator[TextRow]:
    seconds = 0.0
    for row in rows:
        if seconds >= hours * 3600:
            return
        seconds += len(row.text) / CHARS_PER_SECOND + 0.5
        yield row


class _Worker:
    """What a worker process loads once."""

    def __init__(self):
        import torch

        torch.set_num_threads(1)
        self.speaker, self.features = load_speaker(), load_parts("nano").speech_encoder

    @cached_property
    def judge(self) -> WhisperJudge:
        """Transcribes; loaded for the first row that is judged."""
        return WhisperJudge(beam_size=1, n_threads=1)


_worker: _Worker | None = None


def speak_shard(folder: Path, config: BuildConfig, name: str) -> dict[str, int]:
    """Make one shard of speech and features.

    Returns:
        How many rows were kept, and how many were dropped for each fault.
    """
    global _worker
    _worker = _worker or _Worker()
    counts: Counter[str] = Counter()
    speech_rows, feature_rows = [], []
    for row in store.read_shard(folder / "texts" / f"{name}.parquet"):
        seed = int.from_bytes(hashlib.sha256(f"{config.seed}:{row['id']}".encode()).digest()[:4], "big")
        kept = _speak_row(_worker, config, row, seed)
        if isinstance(kept, str):
            counts[kept] += 1
            continue
        counts["kept"] += 1
        speech_rows.append(kept[0])
        feature_rows.append({"id": row["id"], "features": kept[1]})
    meta = {"seed": config.seed, "counts": counts}
    store.write_shard(folder / "features" / f"{name}.parquet", feature_rows, meta)
    store.write_shard(folder / "speech" / f"{name}.parquet", speech_rows, meta)
    return dict(counts)


def _speak_row(worker: _Worker, config: BuildConfig, row: dict, seed: int) -> tuple[dict, np.ndarray] | str:
    rng = np.random.default_rng(seed + 1)
    try:
        speech = worker.speaker.say(row["text"], seed, rng.random() < config.disguised)
    except InputError:
        return "unspeakable"
    if fault := fault_of(speech):
        return fault
    samples = soxr.resample(speech.samples, SAMPLE_HZ, ENCODER_SAMPLE_HZ)
    if rng.random() < config.judged:
        transcript = worker.judge(samples, ENCODER_SAMPLE_HZ)
        if count_word_errors(row["text"], transcript).rate > config.max_wer:
            return "wer"
    features = worker.features(samples)
    units = features.reshape(len(features) // ENCODER_FRAMES_PER_UNIT, -1).half().numpy()
    record = row | {
        "phonemes": speech.phonemes, "ticks": speech.ticks, "disguised": speech.disguised,
        "seconds": len(speech.samples) / SAMPLE_HZ, "acoustic": speech.acoustic, "speech": to_flac(speech.samples),
    }  # fmt: skip
    return record, units


def speak_all(folder: Path, config: BuildConfig, n_workers: int = 2, report=print) -> Counter:
    """Make all shards of speech and features that are missing, in parallel; resumable shard by shard."""
    names = [p.stem for p in sorted((folder / "texts").glob("*.parquet"))]
    todo = [n for n in names if not (folder / "speech" / f"{n}.parquet").exists()]
    counts: Counter = Counter()
    with ProcessPoolExecutor(n_workers) as pool:
        jobs = [pool.submit(speak_shard, folder, config, n) for n in todo]
        try:
            for done, job in enumerate(as_completed(jobs), 1):
                counts.update(job.result())
                report(f"{done}/{len(todo)} shards, {dict(counts)}")
        except BaseException:
            pool.shutdown(cancel_futures=True)  # what is wrong is said now, and not after all other shards
            raise
    return counts
