"""A metric is one entry of a suite's table `METRICS`: its key, its heading, how it is computed, and its goals.

`consistency`, `facial`, `latency` and `speech_input` each hold the table of their suite. To add a metric, add an entry
there: the printed table, the JSON and the check of the goals follow from it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np


@dataclass(frozen=True)
class Goal:
    """What a metric should reach in some line of its suite's table, on two free cores.

    Attributes:
        what: in words.
        limit: whether the bound is the most or the least that is allowed.
        bound: in the unit of the table.
        line: picks the first line whose columns hold these words.
        beside: picks a second line, whose figure `compare` takes too; without words there is none.
        compare: what is held against the bound, from the figures of the lines; None where they say nothing.
        rank: a suite's goals are printed by rank, and within one in the order of its metrics.
    """

    what: str
    limit: Literal["at most", "at least"]
    bound: float
    line: Mapping[str, str]
    beside: Mapping[str, str] = field(default_factory=dict)
    compare: Callable[..., float | None] = lambda figure: figure
    rank: int = 0


@dataclass(frozen=True)
class Metric:
    """One figure of a suite.

    Attributes:
        key: names it in code, and in those parts of the JSON that are not the printed table.
        heading: of its column in the printed table; "" keeps it out.
        figure: computes it from what the suite measured (the suite's table says from what); None where there is
            nothing to compute it from.
        scale: what the table multiplies it by: 100 for a share that is shown in per cent.
        goals: bounds that it should keep.
    """

    key: str
    heading: str
    figure: Callable[[Any], float | None]
    scale: float = 1
    goals: tuple[Goal, ...] = ()


Metrics = Mapping[str, Metric]
"""A suite's metrics by key, in the order of their columns."""


def mean(values: Sequence[float] | np.ndarray) -> float:
    """Their mean; not a number where there is none."""
    return float(np.mean(values)) if len(values) else math.nan


def by_key(*metrics: Metric) -> Metrics:
    """Metrics as a suite's table."""
    return {m.key: m for m in metrics}


def compute(metrics: Metrics, measured: Any) -> dict[str, float]:
    """Figures by key; those that cannot be computed are left out."""
    figures = {key: metric.figure(measured) for key, metric in metrics.items()}
    return {key: figure for key, figure in figures.items() if figure is not None}


def columns(metrics: Metrics, figures: Mapping[str, float]) -> dict[str, float]:
    """The figures of `compute` as a line of the printed table, by heading."""
    shown = {m.heading: (figures.get(key, math.nan), m.scale) for key, m in metrics.items() if m.heading}
    return {heading: figure if scale == 1 else figure * scale for heading, (figure, scale) in shown.items()}


def line(metrics: Metrics, measured: Any) -> dict[str, float]:
    """What a suite measured as a line of the printed table, by heading."""
    return columns(metrics, compute(metrics, measured))


def check_goals(metrics: Metrics, table: Sequence[Mapping]) -> list[dict]:
    """The goals that a table has figures for: rows with `goal`, `bound`, `reached` and `met`."""
    found = [(goal, reached) for metric in metrics.values() for goal in metric.goals
             if (reached := _reached(goal, metric.heading, table)) is not None]  # fmt: skip
    return [
        {"goal": goal.what, "bound": f"{goal.limit} {goal.bound:g}", "reached": float(reached),
         "met": "yes" if (reached <= goal.bound if goal.limit == "at most" else reached >= goal.bound) else "no"}
        for goal, reached in sorted(found, key=lambda item: item[0].rank)
    ]  # fmt: skip


def _reached(goal: Goal, heading: str, table: Sequence[Mapping]) -> float | None:
    figures = []
    for where in filter(None, (goal.line, goal.beside)):
        found = next((row for row in table if all(words in str(row[k]) for k, words in where.items())), None)
        if found is None:
            return None
        figures.append(found[heading])
    return goal.compare(*figures)
