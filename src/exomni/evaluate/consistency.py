"""Does it say the words, and does it sound good: word error rate and opinion score, by length of speech."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields

import numpy as np

from ..core.timebase import SAMPLE_HZ
from ..core.word_errors import WordErrors, count_word_errors
from .metric import Goal, Metric, by_key, line
from .systems import System

BINS_S: tuple[tuple[float, float], ...] = ((0, 5), (5, 10), (10, 20), (20, 60), (60, math.inf))
SPANS_S: tuple[tuple[float, float], ...] = (*BINS_S, (0, 20), (0, math.inf))
"""Rows of the table: the bins, replies under 20 s (acceptance), and all."""

Judge = Callable[[np.ndarray, int], str]
Scorer = Callable[[np.ndarray, int], float]


def _errors(rows: Sequence[dict]) -> WordErrors:
    kinds = [field.name for field in fields(WordErrors)]
    return WordErrors(*(sum(row[kind] for row in rows) for kind in kinds))


METRICS = by_key(
    Metric("texts", "texts", len),
    Metric("words", "words", lambda rows: _errors(rows).words),
    Metric(
        "wer", "WER %", lambda rows: _errors(rows).rate, scale=100,
        goals=(
            Goal("WER, replies under 20 s, %", "at most", 5.0, {"system": "exomni", "duration": "under 20 s"}),
            Goal("WER, replies over 60 s, %", "at most", 6.0, {"system": "exomni", "duration": "over 60 s"}),
        ),
    ),
    Metric("left_out", "left out", lambda rows: _errors(rows).deletions),
    Metric("put_in", "put in", lambda rows: _errors(rows).insertions),
    Metric(
        "mos", "MOS", lambda rows: float(np.mean([r["mos"] for r in rows])),
        goals=(
            Goal(
                "MOS below the voice itself", "at most", 0.3, {"system": "exomni", "duration": "all"},
                beside={"system": "cascade", "duration": "all"}, compare=lambda ours, voice: voice - ours,
            ),
        ),
    ),
)  # fmt: skip
"""Each is computed from the rows of `judge_text` for one system and one span of seconds, at least one."""


def judge_text(system: System, group: str, text: str, seed: int, transcribe: Judge, score: Scorer) -> dict:
    """Have a system say a text, and judge it: one row."""
    spoken = system.speak(text, seed)
    transcript = transcribe(spoken.samples, SAMPLE_HZ)
    return {
        "system": system.name, "group": group, "text": text, "heard": transcript, "duration_s": spoken.duration_s,
        **asdict(count_word_errors(text, transcript)), "mos": score(spoken.samples, SAMPLE_HZ),
    }  # fmt: skip


def consistency(
    systems: Sequence[System], texts: Sequence[tuple[str, str]], transcribe: Judge, score: Scorer, progress=iter
) -> dict:
    """Judge every system on every text (group, text), with the same seeds; `progress` wraps the list of texts.

    Returns:
        `table` (a row for each system and span of seconds) and `rows` (each text).
    """
    rows = [
        judge_text(system, group, text, seed, transcribe, score)
        for seed, (group, text) in enumerate(progress(texts))
        for system in systems
    ]
    table = [
        {"duration": span_name(span), "system": system.name, **line(METRICS, own)}
        for span in SPANS_S
        for system in systems
        if (own := [r for r in rows if r["system"] == system.name and span[0] <= r["duration_s"] < span[1]])
    ]
    return {"table": table, "rows": rows}


def span_name(span: tuple[float, float]) -> str:
    """A span of seconds in words."""
    low, high = span
    if math.isinf(high):
        return f"over {low:.0f} s" if low else "all"
    return f"{low:.0f}-{high:.0f} s" if span in BINS_S else f"under {high:.0f} s"
