"""Coefficients as a table: CSV, Parquet and NPZ, one row a frame, one column a shape."""

import csv
import io
import json
import os
import zipfile
import zlib
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from exomni.core.errors import FormatError

from ..core.atomic import atomic_path, write_text
from .a2f import shortest
from .column_orders import name_columns
from .livelink_csv import delimiter_of, number_at, rotations, track_of
from .names import ROTATIONS, understand
from .reading import Reading, named_in_errors, read_bytes, read_text
from .track import FaceTrack, as_rate

TIME_COLUMNS = {
    "time_s": 1.0, "time": 1.0, "t": 1.0, "seconds": 1.0, "timestamp": 1.0, "timestamp_s": 1.0,
    "time_ms": 1e-3, "ms": 1e-3, "timestamp_ms": 1e-3,
}  # fmt: skip
"""Columns that are a clock, and the seconds in their unit."""
COUNTER_COLUMNS = ("frame", "frame_index", "index", "", "unnamed: 0")
UNEVEN = 0.1
"""Part of a frame by which a step in time may differ from the others before rows are interpolated."""
META = b"exomni"
_NUMPY_ERRORS = (ValueError, OSError, EOFError, RuntimeError, KeyError, OverflowError, MemoryError)
_NUMPY_ERRORS += (zipfile.BadZipFile, zlib.error)
"""What NumPy and zipfile raise for files that are none of theirs, or damaged."""


def write_csv(track: FaceTrack, path: str | os.PathLike[str]) -> None:
    """Write `time_s`, the shapes and, if the track has any, the rotations; shortest exact decimals.

    Raises OutputError where it cannot be written.
    """
    names, values = _columns(track)
    lines = [",".join(["time_s", *names])]
    for time_s, row in zip(track.times_s.tolist(), shortest(values), strict=True):
        lines.append(f"{time_s:.9f},{','.join(row)}")
    write_text(path, "\n".join(lines) + "\n")


def write_parquet(track: FaceTrack, path: str | os.PathLike[str]) -> None:
    """Write the same columns as `write_csv`, with the exact frame rate in the file's metadata.

    Raises OutputError where it cannot be written.
    """
    import pyarrow
    import pyarrow.parquet

    names, values = _columns(track)
    arrays = [pyarrow.array(track.times_s), *(pyarrow.array(column) for column in values.T.copy())]
    meta = {"fps": str(track.fps), "start_s": str(track.start_s), "text": track.text}
    table = pyarrow.table(arrays, names=["time_s", *names]).replace_schema_metadata({META: json.dumps(meta)})
    with atomic_path(path) as part:
        pyarrow.parquet.write_table(table, part)


def write_npz(track: FaceTrack, path: str | os.PathLike[str]) -> None:
    """Write `names, fps, frames`, and `head, eyes, audio, sample_hz, text` where the track has them.

    Raises OutputError where it cannot be written.
    """
    arrays = {"names": np.array(track.names), "fps": np.array(str(track.fps)), "frames": track.frames}
    arrays["start_s"] = np.array(str(track.start_s))
    for key in ("head", "eyes", "audio", "sample_hz", "text"):
        if getattr(track, key) is not None:
            arrays[key] = np.array(getattr(track, key))
    with atomic_path(path) as part:
        np.savez(part, allow_pickle=False, **arrays)


def read_csv(path: str | os.PathLike[str], fps: Any = None, order: str | None = None) -> Reading:
    """Read a table with or without a header and a clock.

    Args:
        fps: frames a second; needed where no column is a clock.
        order: of the columns, where they have no names (`column_orders.ORDERS`).
    Raises:
        InputError: the file cannot be read.
        FormatError: a line cannot be understood; the message has its number and the reason.
    """
    text = read_text(path)
    with named_in_errors(path, csv.Error):
        lines = list(csv.reader(io.StringIO(text), delimiter=delimiter_of(text)))
        header = [cell.strip() for cell in lines[0]]
        named = not all(_is_number(cell) for cell in header)
        rows = [(n, cells) for n, cells in enumerate(lines, start=1) if cells][1 if named else 0 :]
        table = np.array([_numbers(n, cells, header, named, len(lines)) for n, cells in rows], np.float64)
        table = table.reshape(len(rows), len(header))
        return from_table("csv", header if named else None, table, fps, order)


def read_parquet(path: str | os.PathLike[str], fps: Any = None) -> Reading:
    """Read a table whose columns have names; see `read_csv` for the arguments and errors."""
    import pyarrow
    import pyarrow.parquet

    data = read_bytes(path)
    try:
        table = pyarrow.parquet.read_table(pyarrow.BufferReader(data))
        values = np.stack([column.to_numpy().astype(np.float64) for column in table.columns], axis=1)
    except (pyarrow.ArrowException, OSError, ValueError, TypeError) as error:
        raise FormatError(f"{path}: not a Parquet table of numbers ({error})") from None
    meta = json.loads((table.schema.metadata or {}).get(META, b"{}"))
    with named_in_errors(path):
        reading = from_table("parquet", table.column_names, values, fps or meta.get("fps"), None)
    track = reading.track.replace(start_s=Fraction(meta.get("start_s", 0)), text=meta.get("text"))
    return Reading(track, "parquet", reading.notes)


def read_npz(path: str | os.PathLike[str], fps: Any = None, order: str | None = None) -> Reading:
    """Read what `write_npz` writes, or an `.npz`/`.npy` with one [T, columns] array of any name.

    Args and errors are those of `read_csv`.
    """
    data = read_bytes(path)
    try:
        loaded = np.load(io.BytesIO(data), allow_pickle=False)
        arrays = {"frames": loaded} if isinstance(loaded, np.ndarray) else dict(loaded)
        if "frames" not in arrays:
            tables = [key for key, value in arrays.items() if value.ndim == 2]
            if len(tables) != 1:
                raise FormatError(f"no array 'frames', and not just one of two dimensions: {sorted(arrays)}")
            arrays["frames"] = arrays.pop(tables[0])
        return _from_arrays(arrays, fps, order)
    except _NUMPY_ERRORS as error:
        raise FormatError(f"{path}: not a NumPy file ({error})") from None
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from None


def from_table(kind: str, header: Sequence[str] | None, table: np.ndarray, fps: Any, order: str | None) -> Reading:
    """A face from columns with or without names, and with or without a clock among them.

    Args:
        kind: name of the format, for the reading.
        header: names of the columns, or None.
        table: [T, columns].
        fps: frames a second, over what a clock says; needed where there is none.
        order: of nameless columns.
    Raises:
        FormatError: it cannot be understood.
    """
    notes: tuple[str, ...] = ()
    if table.ndim != 2 or not len(table):
        raise FormatError(f"not a single frame (an array of shape {list(table.shape)})")
    if header is None:
        header, note = name_columns(table, order)
        notes = (note,)
    if len(header) != table.shape[1]:
        raise FormatError(f"{len(header)} names for {table.shape[1]} columns")
    clock = next((i for i, cell in enumerate(header) if cell.lower() in TIME_COLUMNS), None)
    shapes = [i for i, cell in enumerate(header) if i != clock and cell.lower() not in COUNTER_COLUMNS]
    if clock is None and fps is None:
        raise FormatError("nothing tells the frame rate; say it with fps")
    naming = understand([header[i] for i in shapes])
    table = np.array(table, np.float64)
    if clock is not None:
        times_s = table[:, clock] * TIME_COLUMNS[header[clock].lower()]
        table, rate, late = _on_even_times(times_s, table, fps)
        notes += late
    else:
        rate = as_rate(fps)
    values = table[:, shapes]
    return Reading(track_of(naming, values, rate), kind, notes + naming.notes())


def _on_even_times(times_s: np.ndarray, table: np.ndarray, fps: Any) -> tuple[np.ndarray, Fraction, tuple[str, ...]]:
    """Rows on an even grid, its rate, and a note if rows had to be interpolated onto it."""
    steps = np.diff(times_s)
    if not np.isfinite(times_s).all() or (steps <= 0).any():
        at = int(np.argmax(~(steps > 0)))
        raise FormatError(f"row {at + 2}: its time does not come after that of row {at + 1}")
    if len(steps) == 0 and fps is None:
        raise FormatError("one frame does not tell the frame rate; say it with fps")
    even = len(steps) == 0 or np.abs(steps / steps.mean() - 1).max() < UNEVEN
    rate = as_rate(fps) if fps is not None else as_rate(round(float(1 / np.median(steps)), 2))
    if even:
        return table, rate, ()
    n_frames = int((times_s[-1] - times_s[0]) * float(rate) + 0.5) + 1
    grid_s = np.arange(n_frames) / float(rate)
    moved = np.stack([np.interp(grid_s, times_s - times_s[0], column) for column in table.T], axis=1)
    return moved, rate, (f"its times are uneven; they were interpolated to {float(rate):g} frames a second",)


def _from_arrays(arrays: dict[str, np.ndarray], fps: Any, order: str | None) -> Reading:
    if not np.issubdtype(arrays["frames"].dtype, np.number):
        raise FormatError(f"an array of {arrays['frames'].dtype} where numbers were expected")
    names = [str(name) for name in arrays["names"]] if "names" in arrays else None
    if fps is None and "fps" in arrays:
        fps = arrays["fps"].item()
    reading = from_table("npz", names, arrays["frames"], fps, order)
    extra: dict[str, Any] = {key: arrays[key] for key in ("head", "eyes", "audio") if key in arrays}
    extra |= {key: arrays[key].item() for key in ("sample_hz", "text") if key in arrays}
    start_s = Fraction(arrays["start_s"].item()) if "start_s" in arrays else Fraction(0)
    return Reading(reading.track.replace(start_s=start_s, **extra), "npz", reading.notes)


def _columns(track: FaceTrack) -> tuple[list[str], np.ndarray]:
    turns = ROTATIONS if track.head is not None or track.eyes is not None else ()
    values = np.concatenate([track.frames, rotations(track)], axis=1) if turns else track.frames
    return [*track.names, *turns], values


def _is_number(cell: str) -> bool:
    try:
        return float(cell) is not None
    except ValueError:
        return False


def _numbers(number: int, cells: list[str], header: list[str], named: bool, n_lines: int) -> list[float]:
    if len(cells) != len(header):
        last = " (the last line: the file is cut off)" if number == n_lines else ""
        raise FormatError(f"line {number}: {len(cells)} fields where the first line has {len(header)}{last}")
    places = [f"line {number}, {column}" if named else f"line {number}" for column in header]
    return [number_at(cell, place) for cell, place in zip(cells, places, strict=True)]
