"""The data builder's later passes: hidden states, units and faces of rows that have been spoken."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from ..core.emotion import EMOTIONS
from ..core.timebase import SAMPLE_HZ, samples_to_frames
from ..parts.ports import Reader
from . import store
from .speech_pass import from_flac
from .teachers import PAD, Clip, FaceTeacher
from .text_emotion import estimate_emotion

Label = Callable[[dict], dict]
"""What a pass adds to one row of its source; {} leaves the row out."""


def run_pass(
    folder: Path, name: str, columns: list[str], label: Label, metadata: dict, progress=iter, source: str = "speech"
) -> int:
    """Label every row of every shard of a pass, shard by shard; shards made with the same `metadata` are left alone.

    `columns` are those of the pass `source` that the label reads; `progress` wraps the list of shards. Gives how many
    rows were labelled now.
    """
    done = {p.name for p in (folder / name).glob("*.parquet") if store.shard_metadata(p) == metadata}
    todo = [p for p in sorted((folder / source).glob("*.parquet")) if p.name not in done]
    n_rows = 0
    for path in progress(todo):
        rows = []
        for row in store.read_shard(path, ["id", *columns]):
            if added := label(row):
                rows.append({"id": row["id"]} | added)
        store.write_shard(folder / name / path.name, rows, metadata)
        n_rows += len(rows)
    return n_rows


def hidden_label(reader: Reader) -> Label:
    """LLM states of each text, float16 [T_llm, D], as an answer to its prompt."""

    def label(row: dict) -> dict:
        states = reader.read(row["text"], row["prompt"]).hidden_states
        assert states is not None, "a reader gives the states of what it reads"
        return {"hidden": states.half().numpy()}

    return label


def face_columns(teacher: FaceTeacher) -> list[str]:
    """Columns of `speech/` that `face_label` reads for a teacher."""
    return ["text", "phonemes", "ticks", "seconds", "disguised", *(["speech"] if teacher.listens else [])]


def felt(row: dict) -> np.ndarray:
    """The emotion of a row's words, float32 [5]."""
    return estimate_emotion(row["text"])


def drawn(row: dict) -> np.ndarray:
    """An emotion drawn for a row, float32 [5]: one, a mixture of two, or now and then none, at any strength.

    Words hardly ever say fear or disgust, but a user who sets an emotion by hand may choose either.
    """
    rng = np.random.default_rng(_seed_of(row))
    emotion = np.zeros(len(EMOTIONS), np.float32)
    n_kinds = rng.choice([0, 1, 2], p=[0.1, 0.7, 0.2])
    emotion[rng.permutation(len(EMOTIONS))[:n_kinds]] = rng.uniform(0.1, 1.0, n_kinds)
    return emotion


def _seed_of(row: dict) -> int:
    return int.from_bytes(hashlib.sha256(row["id"].encode()).digest()[:4], "big")


def face_label(teacher: FaceTeacher, symbols: dict[int, str], emotion_of: Callable[[dict], np.ndarray] = felt) -> Label:
    """Blendshapes of each row, float16 [T_frame, 52], and the emotion that coloured them, float32 [5].

    `symbols` are those of the phonemes by id; the emotion of a row is `felt` or `drawn`.
    """

    def label(row: dict) -> dict:
        if row["disguised"]:
            return {}
        emotion = emotion_of(row)
        n_frames = samples_to_frames(round(row["seconds"] * SAMPLE_HZ))
        said = [symbols[int(i)] or PAD for i in row["phonemes"]]
        audio = from_flac(row["speech"]) if teacher.listens else None
        clip = Clip(said, row["ticks"].astype(int), n_frames, emotion, _seed_of(row), audio)
        return {"blendshapes": teacher.label(clip).astype(np.float16), "emotion": emotion.astype(np.float32)}

    return label


@torch.inference_mode()
def _tokenize(tokenizer, features: np.ndarray) -> np.ndarray:
    _, ids = tokenizer(torch.from_numpy(features.astype(np.float32))[None])
    return ids[0].numpy().astype(np.int16)


def label_units(folder: Path, tokenizer, metadata: dict, progress=iter) -> None:
    """Units of every row, int16 [T_unit]; made again when the tokenizer is another (`metadata` differs)."""
    label = lambda row: {"units": _tokenize(tokenizer.eval(), row["features"])}  # noqa: E731
    run_pass(folder, "units", ["features"], label, metadata, progress, source="features")
