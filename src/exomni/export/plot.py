"""A picture of the curves."""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..core.atomic import atomic_path
from .retarget import STILL
from .track import FaceTrack

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GROUPS: Mapping[str, tuple[str, ...]] = {
    "brows": ("brow",),
    "eyes": ("eye",),
    "jaw and tongue": ("jaw", "tongue"),
    "lips": ("mouthClose", "mouthFunnel", "mouthPucker", "mouthPress", "mouthRoll", "mouthShrug"),
    "mouth": ("mouth",),
    "cheeks and nose": ("cheek", "nose"),
    "other": ("",),
}
"""Rows of the picture; a shape goes to the first that its name begins with."""
ROW_INCHES, WIDTH_INCHES = 1.7, 14
LONG_S = 60
"""Longer animations are drawn as a map, one line of colour a shape: curves would be a solid block."""
MAP_COLUMNS = 1200


def write_plot(track: FaceTrack, path: str | os.PathLike[str]) -> None:
    """Draw every shape that moves, by part of the face, under the audio if there is any.

    Args:
        path: a PNG.
    Raises OutputError where it cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = {group: names for group, names in _grouped(track).items() if names} or {"still": []}
    heights = [0.7] * (track.audio is not None)
    heights += [5.0] if track.duration_s > LONG_S else [1.0] * len(rows)
    figure = Figure(figsize=(WIDTH_INCHES, ROW_INCHES * sum(heights) + 0.8), layout="tight")
    axes = list(np.atleast_1d(figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)))
    figure.suptitle(f"{track.n_frames} frames, {float(track.fps):g} a second")
    if track.audio is not None and track.sample_hz is not None:
        _draw_audio(axes.pop(0), track.audio, track.sample_hz)
    if track.duration_s > LONG_S:
        _draw_map(axes[0], track, [name for names in rows.values() for name in names])
    else:
        for (group, names), axis in zip(rows.items(), axes, strict=True):
            _draw_curves(axis, track, group, names)
    figure.axes[-1].set_xlabel("seconds")
    with atomic_path(path) as part:
        FigureCanvasAgg(figure).print_png(part)


def _grouped(track: FaceTrack) -> dict[str, list[str]]:
    rows: dict[str, list[str]] = {group: [] for group in GROUPS}
    for name in track.names:
        if np.abs(track.column(name)).max() > STILL:
            group = next(g for g, starts in GROUPS.items() if name.startswith(starts))
            rows[group].append(name)
    return rows


def _draw_audio(axis: "Axes", samples: np.ndarray, sample_hz: int) -> None:
    size = max(1, len(samples) // MAP_COLUMNS)
    blocks = samples[: len(samples) // size * size].reshape(-1, size)
    times_s = np.arange(len(blocks)) * size / sample_hz
    axis.fill_between(times_s, blocks.min(axis=1), blocks.max(axis=1), color="0.4", linewidth=0.5)
    axis.set_ylabel("audio")


def _draw_curves(axis: "Axes", track: FaceTrack, group: str, names: Sequence[str]) -> None:
    for i, name in enumerate(names):
        style = ("-", "--", ":")[i // 10 % 3]
        axis.plot(track.times_s, track.column(name), style, linewidth=1, label=name)
    axis.set_ylabel(group)
    axis.grid(alpha=0.3)
    if names:
        axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=6, ncols=1 + len(names) // 9)


def _draw_map(axis: "Axes", track: FaceTrack, names: Sequence[str]) -> None:
    size = max(1, track.n_frames // MAP_COLUMNS)
    whole = track.select(names)[: track.n_frames // size * size]
    image = whole.reshape(-1, size, len(names)).max(axis=1).T
    extent = (0, float(track.duration_s), len(names) - 0.5, -0.5)
    axis.imshow(image, aspect="auto", extent=extent, vmin=0, vmax=1, cmap="magma", interpolation="nearest")
    axis.set_yticks(range(len(names)), names, fontsize=6)
