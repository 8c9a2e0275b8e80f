"""The CSV that Epic's Live Link Face app records, read as phones write it and written to the byte."""

import csv
import math
import os
import re
from fractions import Fraction
from typing import Any

import numpy as np

from exomni.core.errors import FormatError
from exomni.core.timebase import FRAME_HZ

from ..core.atomic import write_text
from .names import OTHER_PROGRAMS, ROTATIONS, Naming, pascal, understand
from .reading import Reading, named_in_errors, read_text
from .timecode import Row, even_grid, fill, parse_timecode, timecode
from .track import FaceTrack, as_rate

SHAPES: tuple[str, ...] = tuple(OTHER_PROGRAMS["live_link_order"].split())
"""The file's order of the 52: here the right jaw and mouth come before the left, in the packet after."""

HEADER = ("Timecode", "BlendShapeCount", *(pascal(name) for name in SHAPES), *ROTATIONS)
N_VALUES = len(SHAPES) + len(ROTATIONS)
APP_FPS = 60
"""The app's default, taken where a file is too short to tell its rate and starts at a time of day."""
SLOWEST_FPS = 5


def write_livelink_csv(track: FaceTrack, path: str | os.PathLike[str]) -> None:
    """Write the 63 columns; shapes and rotations that the track does not have are zero.

    Args:
        track: the face; its `start_s` is the first timecode.
    Raises OutputError where it cannot be written.
    """
    values = np.concatenate([track.select(SHAPES), rotations(track)], axis=1).astype(np.float64)
    row_format = ",".join(["%s", str(N_VALUES)] + ["%.10f"] * N_VALUES)
    lines = [",".join(HEADER)]
    lines += [row_format % (timecode(track.start_s, i, track.fps), *row) for i, row in enumerate(values.tolist())]
    write_text(path, "\n".join(lines) + "\n")


def rotations(track: FaceTrack) -> np.ndarray:
    """Head, left eye, right eye in the order of `ROTATIONS`, float32 [T, 9], radians; zero where unknown."""
    out = np.zeros((track.n_frames, len(ROTATIONS)), np.float32)
    if track.head is not None:
        out[:, :3] = track.head
    if track.eyes is not None:
        out[:, 3:] = track.eyes.reshape(-1, 6)
    return out


def read_livelink_csv(path: str | os.PathLike[str], fps: Any = None) -> Reading:
    """Read a capture: any order of columns, with or without the rotations, gaps and lost faces filled.

    Args:
        fps: frames a second, over what the timecodes say.
    Raises:
        InputError: the file cannot be read.
        FormatError: a line cannot be understood; the message has its number and the reason.
    """
    text = read_text(path)
    with named_in_errors(path, csv.Error):
        return _parse(text, fps)


def is_livelink_csv(path: str | os.PathLike[str]) -> bool:
    """Whether a file is such a recording, by its first line. Raises InputError or FormatError as `read_text` does."""
    return is_livelink_header(read_text(path).split("\n", 1)[0])


def is_livelink_header(line: str) -> bool:
    """Whether a first line is the header of such a file: it has a timecode and a count."""
    cells = {cell.strip().strip('"').lower() for cell in re.split("[,;]", line.lstrip("\ufeff"))}
    return {"timecode", "blendshapecount"} <= cells


def _special_columns(header: list[str]) -> tuple[int, int]:
    lower = [cell.lower() for cell in header]
    for name in ("timecode", "blendshapecount"):
        if name not in lower:
            raise FormatError(f"line 1: no column '{name}', so it is not a Live Link Face recording")
    return lower.index("timecode"), lower.index("blendshapecount")


def _parse(text: str, fps: Any) -> Reading:
    delimiter = delimiter_of(text)
    lines = list(csv.reader(text.splitlines(), delimiter=delimiter))
    header = [cell.strip() for cell in lines[0]]
    clock, count = _special_columns(header)
    columns = [i for i in range(len(header)) if i not in (clock, count)]
    naming = understand([header[i] for i in columns])
    rows, notes = _rows(lines, header, clock, count, columns)
    grid = even_grid(rows, APP_FPS if rows[0].second else FRAME_HZ)
    if fps is None and grid.fps < SLOWEST_FPS:
        raise FormatError(
            f"line {rows[1].line}: the timecodes go on by {float(1 / grid.fps):g} s a row; "
            "say how many frames a second with fps"
        )
    table, filled = fill(rows, grid.index)
    track = track_of(naming, table, as_rate(grid.fps if fps is None else fps), grid.start_s)
    notes += grid.notes if fps is None else ()
    return Reading(track, "livelink-csv", _name_notes(naming) + notes + filled)


def delimiter_of(text: str) -> str:
    """What separates the fields of a CSV, by its first line: a comma, semicolon or tab."""
    first = text.split("\n", 1)[0]
    return max(",;\t", key=first.count)


def _name_notes(naming: Naming) -> tuple[str, ...]:
    """PascalCase in the app's order is what the format has; all else is worth saying."""
    notes = naming.notes("PascalCase")
    found = [name for name in naming.columns if name in SHAPES]
    if found != [name for name in SHAPES if name in naming.columns]:
        notes += ("the columns are not in the app's order: they were matched by name",)
    return notes


def _rows(
    lines: list[list[str]], header: list[str], clock: int, count: int, columns: list[int]
) -> tuple[list[Row], tuple[str, ...]]:
    """The lines under the header; those that count 0 shapes or have none are without a face."""
    rows, counts = [], set()
    for number, cells in enumerate(lines[1:], start=2):
        if not cells:
            continue
        if len(cells) != len(header):
            last = " (the last line: the file is cut off)" if number == len(lines) else ""
            raise FormatError(f"line {number}: {len(cells)} fields where the header has {len(header)}{last}")
        second, frame = parse_timecode(cells[clock], number)
        if cells[count].strip() == "0" or not any(cells[i].strip() for i in columns):
            rows.append(Row(number, second, frame, None))
            continue
        counts.add(cells[count].strip())
        rows.append(Row(number, second, frame, [number_at(cells[i], f"line {number}, {header[i]}") for i in columns]))
    if not counts:
        raise FormatError("there is not a single frame" + (" with a face" if rows else ""))
    if counts == {str(len(columns))}:
        return rows, ()
    return rows, (f"the count column says {', '.join(sorted(counts))}: there are {len(columns)} values",)


def number_at(cell: str, place: str) -> float:
    """A cell's number.

    Raises:
        FormatError: it is none, or not finite; the message begins with `place`.
    """
    try:
        value = float(cell)
    except ValueError:
        raise FormatError(f"{place}: '{cell}' is not a number") from None
    if not math.isfinite(value):
        raise FormatError(f"{place}: {value} is not a finite number")
    return value


def track_of(naming: Naming, values: np.ndarray, rate: Fraction, start_s: Fraction = Fraction(0)) -> FaceTrack:
    """A face from columns whose names were understood; rotations that are only partly there are zero elsewhere.

    Args:
        naming: what the columns are.
        values: [T, columns].
        rate: frames a second.
        start_s: timecode of the first frame, in seconds.
    """
    turned = np.zeros((len(values), len(ROTATIONS)))
    for i, name in enumerate(ROTATIONS):
        if name in naming.rotations:
            turned[:, i] = values[:, naming.rotations[name]]
    has_head, has_eyes = (any(name in naming.rotations for name in each) for each in (ROTATIONS[:3], ROTATIONS[3:]))
    return FaceTrack(
        names=tuple(naming.columns),
        fps=rate,
        frames=values[:, list(naming.columns.values())],
        head=turned[:, :3] if has_head else None,
        eyes=turned[:, 3:].reshape(-1, 2, 3) if has_eyes else None,
        start_s=start_s,
    )
