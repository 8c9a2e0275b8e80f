"""What was built: a table like the paper's, plots, and a manifest."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..core.atomic import atomic_path, write_text
from . import store
from .build import BuildConfig
from .text_sources import SOURCES


def _seconds(folder: Path) -> dict[str, list[float]]:
    """Seconds of each row by source, by task, and of all."""
    seconds: dict[str, list[float]] = defaultdict(list)
    for path in sorted((folder / "speech").glob("*.parquet")):
        for row in store.read_shard(path, ["source", "seconds", "prompt"]):
            for name in (row["source"], "S2SF" if row["prompt"] else "TTSF", "all"):
                seconds[name].append(row["seconds"])
    return seconds


def summarize(folder: Path) -> dict[str, dict[str, float]]:
    """Hours, and mean, median, min, max and std of seconds, for each source and for all rows together."""
    return {name: _figures(np.array(values)) for name, values in _seconds(folder).items()}


def _figures(seconds: np.ndarray) -> dict[str, float]:
    return {
        "rows": len(seconds), "hours": float(seconds.sum() / 3600), "mean_s": float(seconds.mean()),
        "median_s": float(np.median(seconds)), "min_s": float(seconds.min()), "max_s": float(seconds.max()),
        "std_s": float(seconds.std()),
    }  # fmt: skip


def dropped(folder: Path) -> Counter:
    """How many rows were kept, and how many dropped for each fault."""
    counts: Counter = Counter()
    for path in sorted((folder / "speech").glob("*.parquet")):
        counts.update(store.shard_metadata(path).get("counts", {}))
    return counts


def table(summary: dict[str, dict[str, float]]) -> str:
    """The summary as lines of text."""
    heads = ("rows", "hours", "mean_s", "median_s", "min_s", "max_s", "std_s")
    lines = [f"{'':<12}" + "".join(f"{h:>10}" for h in heads)]
    for name, figures in summary.items():
        lines.append(f"{name:<12}{figures['rows']:>10.0f}" + "".join(f"{figures[h]:>10.2f}" for h in heads[1:]))
    return "\n".join(lines)


def plot(folder: Path) -> Path:
    """Draw the durations of each source as a picture in the data folder."""
    seconds = {name: values for name, values in _seconds(folder).items() if name not in ("S2SF", "TTSF", "all")}

    def draw(pyplot):
        figure, axis = pyplot.subplots(figsize=(6, 3.2))
        axis.hist(list(seconds.values()), bins=40, stacked=True, label=list(seconds))
        axis.set_xlabel("seconds")
        axis.set_ylabel("rows")
        axis.legend(fontsize=8)
        return figure

    return save_plot(draw, folder / "durations.png")


def save_plot(draw: Callable[[Any], Any], path: Path) -> Path:
    """Write the figure that a function of `matplotlib.pyplot` draws, and give its path."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure = draw(pyplot)
    figure.tight_layout()
    with atomic_path(path) as part:
        figure.savefig(part, dpi=120)
    pyplot.close(figure)
    return path


def write_manifest(folder: Path, config: BuildConfig, summary: dict[str, dict[str, float]]) -> Path:
    """Write `manifest.json`: sources with their licences, teacher, figures, dropped rows, the data's hash."""
    facts = {
        "seed": config.seed, "teacher": config.teacher,
        "sources": {name: {"licence": SOURCES[name].licence, "hours_wanted": h} for name, h in config.hours.items()},
        "figures": summary, "rows": dropped(folder),
        "data": store.data_hash(folder, [name for name in store.PASSES if name != "units"]),
    }  # fmt: skip
    write_text(folder / "manifest.json", json.dumps(facts, indent=1) + "\n")
    return folder / "manifest.json"
