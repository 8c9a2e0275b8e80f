"""Rows of speech with its text: encoder features of an utterance, from any data set of the project."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..core.timebase import ENCODER_FRAMES_PER_UNIT, ENCODER_HZ
from . import store


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
    snr_db: float = 99.0

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return len(self.features) / ENCODER_HZ


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
