"""What an evaluation leaves behind: a plain table, JSON, plots and contact sheets."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..core.atomic import atomic_path, write_text
from ..core.timebase import FRAME_HZ
from ..data.teachers.poses import CLOSED
from . import consistency, latency
from .facial import MeasuredFace
from .phones import is_open_vowel, phone_name

SHEET_GROUPS = ("lips", "joyful", "sad", "angry", "questions")
"""Groups of which the first text is drawn."""
SHEET_FACES = 16
FACE_PX = 192


def format_table(rows: Sequence[Mapping]) -> str:
    """Rows with the same keys as aligned text; "-" where there is no number."""
    if not rows:
        return "nothing was measured"
    cells = [list(rows[0]), *([_cell(v) for v in row.values()] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    numeric = [isinstance(v, int | float) for v in rows[0].values()]
    lines = [
        "  ".join(c.rjust(w) if n else c.ljust(w) for c, w, n in zip(line, widths, numeric, strict=True)).rstrip()
        for line in cells
    ]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def format_result(result: Mapping) -> str:
    """A suite's table, and its goals below it."""
    parts = [format_table(result["table"])]
    parts += [format_table(result[name]) for name in ("questions", "goals") if result.get(name)]
    return "\n\n".join(parts) + "\n"


def _cell(value) -> str:
    if isinstance(value, float):
        if not math.isfinite(value):
            return "-"
        return f"{value:.4f}" if 0 < abs(value) < 0.1 else f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value)


def plain(value):
    """A result as JSON knows it: numpy gone, figures that are not numbers null, floats to six digits."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value


def write_report(result: dict, out: Path, faces: Mapping[str, Sequence[MeasuredFace]] | None = None) -> list[Path]:
    """Write `SUITE.json`, `SUITE.txt`, the suite's plots, and sheets of the measured faces by system; give the files.

    Raises:
        OutputError: the folder cannot be written.
    """
    suite = result["suite"]
    files = [out / f"{suite}.json", out / f"{suite}.txt"]
    write_text(files[0], json.dumps(plain(result), ensure_ascii=False, indent=1) + "\n")
    write_text(files[1], format_result(result))
    files.append(_plot(result, out / f"{suite}.png"))
    for name, own in (faces or {}).items():
        files += write_sheets(own, out, f"{suite}-{name}")
    return files


def _plot(result: dict, path: Path) -> Path:
    from ..data.report import save_plot

    plots = {"consistency": _plot_consistency, "face": _plot_face, "latency": _plot_latency,
             "speech-input": _plot_speech_input}  # fmt: skip
    return save_plot(lambda pyplot: plots[result["suite"]](result, pyplot), path)


def _plot_consistency(result: dict, pyplot):
    """Word error rate and opinion score of each bin of seconds."""
    names = [consistency.span_name(b) for b in consistency.BINS_S]
    systems = list(dict.fromkeys(line["system"] for line in result["table"]))
    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.2))
    for axis, key in zip(axes, ("wer", "mos"), strict=True):
        measure = consistency.METRICS[key].heading
        for i, system in enumerate(systems):
            known = {line["duration"]: line[measure] for line in result["table"] if line["system"] == system}
            places = np.arange(len(names)) + (i - (len(systems) - 1) / 2) * 0.38
            axis.bar(places, [known.get(n, 0.0) for n in names], 0.36, label=system)
        axis.set_xticks(range(len(names)), names, fontsize=8)
        axis.set_title(measure, fontsize=9)
    axes[0].legend(fontsize=8)
    return figure


def _plot_face(result: dict, pyplot):
    """Correlation of each shape with the teacher's."""
    known = {name: shapes for name, shapes in result["shapes"].items() if shapes}
    names = sorted({n for shapes in known.values() for n in shapes})
    figure, axis = pyplot.subplots(figsize=(max(5.0, 0.28 * len(names)), 4.0))
    for i, (system, shapes) in enumerate(known.items()):
        width = 0.8 / len(known)
        axis.bar(np.arange(len(names)) + i * width - 0.4, [shapes.get(n, 0.0) for n in names], width, label=system)
    axis.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
    axis.set_ylabel("correlation with the teacher", fontsize=8)
    if known:
        axis.legend(fontsize=8, ncols=len(known), loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return figure


def _plot_latency(result: dict, pyplot):
    """Where the time goes, in milliseconds a second of speech."""
    figure, axis = pyplot.subplots(figsize=(6, 1.2 + 0.6 * len(result["table"])))
    systems = [line["system"] for line in result["table"]]
    left = np.zeros(len(systems))
    for key in latency.PARTS:
        spent = np.array([line[latency.METRICS[key].heading] for line in result["table"]])
        axis.barh(systems, spent, left=left, label=key)
        left += spent
    axis.set_xlabel("ms a second of speech", fontsize=8)
    axis.legend(fontsize=8)
    return figure


def _plot_speech_input(result: dict, pyplot):
    """Word errors of the repeated clips by noise, for each way in which speech reaches the LLM."""
    from .speech_input import METRICS

    lines = [line for line in result["table"] if line["voice"] == "all"]
    noises = list(dict.fromkeys(line["noise"] for line in lines))
    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.2))
    for axis, key in zip(axes, ("repeat_wer", "same_content"), strict=True):
        measure = METRICS[key].heading
        for way in dict.fromkeys(line["way"] for line in lines):
            axis.plot(noises, [line[measure] for line in lines if line["way"] == way], "o-", label=way)
        axis.set_title(measure, fontsize=9)
        axis.set_ylim(bottom=0)
    axes[0].legend(fontsize=8)
    return figure


def sheet_frames(face: MeasuredFace) -> list[tuple[int, str]]:
    """Frames worth looking at, with captions: the middles of phones, lips that meet and open vowels first."""
    sounds = [p for p in face.phones if p.symbol and p.end_s * FRAME_HZ < len(face.frames)]
    telling = [p for p in sounds if p.symbol in CLOSED or is_open_vowel(p)]
    others = [p for p in sounds if p not in telling]
    chosen = [*telling[:SHEET_FACES], *others[: max(0, SHEET_FACES - len(telling))]]
    return [
        (int((p.start_s + p.end_s) / 2 * FRAME_HZ), f"{phone_name(p.symbol)}  {(p.start_s + p.end_s) / 2:.2f} s")
        for p in sorted(chosen, key=lambda p: p.start_s)
    ]


def write_sheets(faces: Sequence[MeasuredFace], out: Path, stem: str) -> list[Path]:
    """A contact sheet of the first text of each of `SHEET_GROUPS`."""
    from PIL import Image

    from ..face.pictures import contact_sheet

    files = []
    for group in SHEET_GROUPS:
        face = next((f for f in faces if f.name == group), None)
        frames = sheet_frames(face) if face else []
        if face is None or not frames:
            continue
        picture = contact_sheet(face.frames[[k for k, _ in frames]], [c for _, c in frames], FACE_PX)
        files.append(out / f"{stem}-{group}.png")
        with atomic_path(files[-1]) as part:
            Image.fromarray(picture).save(part)
    return files
