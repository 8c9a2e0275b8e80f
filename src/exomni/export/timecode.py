"""SMPTE timecodes with sub-frames, and rows of a recording put on an even grid by them."""

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from exomni.core.errors import FormatError
from exomni.core.timebase import FRAME_HZ

DAY_S = 86_400
NOMINAL_FPS = (24, 25, 30, 48, 50, 60, 90, 100, 120)
"""Frames that a second of timecode can be counted in."""
SUBFRAMES = 1000
_TIMECODE = re.compile(r"\s*(\d+):(\d\d):(\d\d)[:;](\d+)(?:\.(\d+))?\s*")


def timecode(start_s: Fraction, frame: int, fps: Fraction) -> str:
    """`HH:MM:SS:FF.mmm` of a frame, non-drop, wrapping at midnight.

    Args:
        start_s: timecode of frame 0, in seconds.
        frame: index of the frame.
        fps: frames a second; 29.97 counts 30 to the second, as clocks do.
    """
    nominal = math.ceil(fps)
    ticks = round((start_s * nominal + frame) * SUBFRAMES) % (DAY_S * nominal * SUBFRAMES)
    frames, sub = divmod(ticks, SUBFRAMES)
    seconds, ff = divmod(frames, nominal)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}:{ff:02d}.{sub:03d}"


def parse_timecode(text: str, line: int) -> tuple[int, Fraction]:
    """Whole seconds, and frames with their sub-frame as a fraction.

    Raises:
        FormatError: it is no timecode; the message has the line.
    """
    match = _TIMECODE.fullmatch(text)
    if match is None or int(match[2]) > 59 or int(match[3]) > 59:
        raise FormatError(f"line {line}: '{text}' is not a timecode HH:MM:SS:FF.mmm")
    sub = Fraction(int(match[5] or 0), 10 ** len(match[5] or ""))
    return int(match[1]) * 3600 + int(match[2]) * 60 + int(match[3]), int(match[4]) + sub


@dataclass(frozen=True)
class Row:
    """One line of a recording.

    Attributes:
        line: its number in the file.
        second: whole seconds of its timecode.
        frame: frames of its timecode within the second, sub-frame included.
        values: its numbers, or None where no face was seen.
    """

    line: int
    second: int
    frame: Fraction
    values: list[float] | None


@dataclass(frozen=True)
class Grid:
    """Where the rows of a recording lie in time.

    Attributes:
        fps: frames a second.
        start_s: timecode of the first row in seconds.
        index: frame of each row, counted from the first, never falling, int64 [rows].
        notes: what had to be supposed.
    """

    fps: Fraction
    start_s: Fraction
    index: np.ndarray
    notes: tuple[str, ...]


def even_grid(rows: Sequence[Row], short_fps: int) -> Grid:
    """Find the frame rate that the timecodes tell, and the frame that each row is.

    Args:
        rows: one at least, in the order of the file; past midnight they begin again at 0.
        short_fps: frames a second of timecode, where no row comes near the end of its second.
    Raises:
        FormatError: timecodes stand still or run backwards; the message has the line.
    """
    nominal, notes = _nominal(rows, short_fps)
    ticks = [row.second * nominal + row.frame for row in rows]
    day = DAY_S * nominal
    steps = np.array([float((b - a) % day) for a, b in itertools.pairwise(ticks)])
    wrong = (steps == 0) | (steps > day / 2)
    if wrong.any():
        at = int(np.argmax(wrong))
        raise FormatError(f"line {rows[at + 1].line}: its timecode does not come after that of line {rows[at].line}")
    step = max(1, round(float(np.median(steps)))) if len(steps) else 1
    if ((steps > 0.25 * step) & (steps < 1.75 * step)).all():
        index = np.arange(len(rows))
    else:
        index = np.round(np.concatenate([[0], np.cumsum(steps)]) / step).astype(np.int64)
    return Grid(Fraction(nominal, step), ticks[0] / nominal, index, notes)


def fill(rows: Sequence[Row], index: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Values on every frame, float64 [T, columns], and a note if frames had to be interpolated.

    Args:
        rows: one at least has values.
        index: frame of each row, counted from the first.
    """
    faces = [i for i, row in enumerate(rows) if row.values is not None]
    at, first = np.unique(index[faces], return_index=True)
    table = np.array([rows[faces[i]].values for i in first], np.float64)
    grid = np.arange(int(index[-1]) + 1)
    if len(at) == len(grid):
        return table, ()
    blind = [str(row.line) for row in rows if row.values is None]
    because = f" (no face on {len(blind)} lines from {blind[0]})" if blind else ""
    note = f"{len(grid) - len(at)} of {len(grid)} frames are not there{because}; they were interpolated"
    return np.stack([np.interp(grid, at, column) for column in table.T], axis=1), (note,)


def _nominal(rows: Sequence[Row], short_fps: int) -> tuple[int, tuple[str, ...]]:
    """Frames that a second of timecode counts."""
    least = math.floor(max(row.frame for row in rows)) + 1
    if rows[0].second != rows[-1].second:
        return next((fps for fps in NOMINAL_FPS if fps >= least), least), ()
    nominal = next((fps for fps in (short_fps, 2 * FRAME_HZ, 4 * FRAME_HZ) if fps >= least), least)
    if len(rows) == 1 or least == nominal:
        return nominal, ()
    return nominal, (f"too short to tell its frame rate: {nominal} a second were taken",)
