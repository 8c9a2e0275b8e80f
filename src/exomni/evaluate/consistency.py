"""Does it say what it should, and does it sound good: word error rate and opinion score, by length of speech."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from ..core.timebase import SAMPLE_HZ
from ..core.word_errors import WordErrors, count_word_errors
from .systems import Spoken, System

BINS_S: tuple[tuple[float, float], ...] = ((0, 5), (5, 10), (10, 20), (20, 60), (60, math.inf))
SPANS_S: tuple[tuple[float, float], ...] = (*BINS_S, (0, 20), (0, math.inf))
"""Rows of the table: the bins, replies under 20 s (acceptance), and all."""

Judge = Callable[[np.ndarray, int], str]
Scorer = Callable[[np.ndarray, int], float]


def judge_text(system: System, group: str, text: str, seed: int, transcribe: Judge, score: Scorer) -> dict:
    """Have a system say a text, and judge it: one row."""
    spoken: Spoken = system.speak(text, seed)
    heard = transcribe(spoken.samples, SAMPLE_HZ)
    errors = count_word_errors(text, heard)
    return {
        "system": system.name, "group": group, "text": text, "heard": heard, "duration_s": spoken.duration_s,
        "substitutions": errors.substitutions, "deletions": errors.deletions, "insertions": errors.insertions,
        "words": errors.words, "mos": score(spoken.samples, SAMPLE_HZ),
    }  # fmt: skip


def consistency(
    systems: Sequence[System], texts: Sequence[tuple[str, str]], transcribe: Judge, score: Scorer, progress=iter
) -> dict:
    """Judge every system on every text.

    Args:
        systems: to compare, on the same texts and seeds.
        texts: (group, text).
        transcribe: judge of the words.
        score: judge of the sound.
        progress: wraps the list of texts, for a progress bar.
    Returns:
        `table` (a row for each system and span of seconds) and `rows` (each text).
    """
    rows = [
        judge_text(system, group, text, seed, transcribe, score)
        for seed, (group, text) in enumerate(progress(texts))
        for system in systems
    ]
    table = [
        _summary(system.name, span, [r for r in rows if r["system"] == system.name and _inside(r, span)])
        for span in SPANS_S
        for system in systems
    ]
    return {"table": [line for line in table if line["texts"]], "rows": rows}


def _inside(row: dict, span: tuple[float, float]) -> bool:
    return span[0] <= row["duration_s"] < span[1]


def span_name(span: tuple[float, float]) -> str:
    """A span of seconds in words."""
    low, high = span
    if math.isinf(high):
        return f"over {low:.0f} s" if low else "all"
    return f"{low:.0f}-{high:.0f} s" if span in BINS_S else f"under {high:.0f} s"


def _summary(system: str, span: tuple[float, float], rows: Sequence[dict]) -> dict:
    total = WordErrors(0, 0, 0, 0)
    for row in rows:
        total += WordErrors(row["substitutions"], row["deletions"], row["insertions"], row["words"])
    return {
        "duration": span_name(span), "system": system, "texts": len(rows), "words": total.words,
        "WER %": 100 * total.rate, "left out": total.deletions, "put in": total.insertions,
        "MOS": float(np.mean([r["mos"] for r in rows])) if rows else float("nan"),
    }  # fmt: skip
