"""Reports what a source holds (format, rate, names, ranges) and warns of what looks wrong."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from exomni.core import arkit

from .column_orders import doubted_order
from .face_sources import load
from .plot import write_plot
from .track import FaceTrack, audio_mismatch

SLACK = 1e-3
"""How far a value may leave 0..1 without a word: rounding does that."""
STILL = 1e-3
FROZEN_S = 2.0
"""A face that does not change at all for longer than this was not seen by the camera."""
SHARP = 0.10
"""Turning back and forth by more than this from frame to frame, all the time, is noise."""
JITTER_SHARE = 0.15
"""Share of frames with such a turn that makes a shape jittery."""
JUMP = 0.6
"""More than this from one frame to the next, and not back: a cut or a lost frame."""
MOUTH_MIN = 0.02
TURN_RAD = 2 * np.pi


@dataclass(frozen=True)
class ShapeReport:
    """One shape's least, most and mean value, and whether it moves at all."""

    name: str
    low: float
    high: float
    mean: float
    moves: bool


@dataclass(frozen=True)
class Inspection:
    """What a source is.

    Attributes:
        format: name in the table of formats.
        fps: frames a second.
        found: ARKit names that are there, in the source's order.
        missing: ARKit names that are not.
        foreign: other names.
        has_head, has_eyes: whether there are rotations.
        audio_s: length of the audio in seconds, or None without any.
        text: what is said, or None.
        shapes: range of each shape.
        notes: how the source was understood.
        warnings: what looks wrong, the worst first.
    """

    format: str
    fps: float
    n_frames: int
    duration_s: float
    found: tuple[str, ...]
    missing: tuple[str, ...]
    foreign: tuple[str, ...]
    has_head: bool
    has_eyes: bool
    audio_s: float | None
    text: str | None
    shapes: tuple[ShapeReport, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]

    def lines(self) -> Iterator[str]:
        """The report as a person reads it."""
        yield f"format    {self.format}"
        yield f"time      {self.n_frames} frames at {self.fps:g} a second = {self.duration_s:.3f} s"
        yield f"names     {len(self.found)} of the {arkit.K} ARKit shapes"
        if self.missing:
            yield f"missing   {', '.join(self.missing)}"
        if self.foreign:
            yield f"others    {', '.join(self.foreign)}"
        turns = [part for part, has in (("head", self.has_head), ("eyes", self.has_eyes)) if has]
        yield f"rotation  {' and '.join(turns) or 'none'}"
        yield f"audio     {'none' if self.audio_s is None else f'{self.audio_s:.3f} s'}"
        if self.text:
            yield f"text      {self.text}"
        yield from (f"note      {note}" for note in self.notes)
        yield from (f"WARNING   {warning}" for warning in self.warnings)
        yield f"{'shape':20} {'least':>8} {'most':>8} {'mean':>8}"
        for shape in self.shapes:
            row = f"{shape.name:20} {shape.low:8.3f} {shape.high:8.3f} {shape.mean:8.3f}"
            yield row if shape.moves else f"{row}  still"


def inspect(
    source: Any, *, plot: str | os.PathLike[str] | None = None, fps: Any = None, order: str | None = None
) -> Inspection:
    """Say what a source is: format, rate, names, ranges, and suspicious values; and draw its curves.

    Args:
        source: anything that `face_sources.load` takes.
        plot: a PNG to draw the curves to.
        fps: frames a second, over what the source says.
        order: of the source's columns, where they have no names.
    Raises:
        InputError, FormatError: the source cannot be understood.
        OutputError: the picture cannot be written.
    """
    reading = load(source, fps=fps, order=order)
    track = reading.track
    if plot is not None:
        write_plot(track, plot)
    shapes = tuple(
        ShapeReport(name, float(c.min()), float(c.max()), float(c.mean()), bool(np.ptp(c) > STILL))
        for name, c in zip(track.names, track.frames.T, strict=True)
    )
    return Inspection(
        format=reading.format,
        fps=float(track.fps),
        n_frames=track.n_frames,
        duration_s=float(track.duration_s),
        found=tuple(name for name in track.names if name in arkit.INDEX),
        missing=tuple(name for name in arkit.NAMES if name not in track.names),
        foreign=tuple(name for name in track.names if name not in arkit.INDEX),
        has_head=track.head is not None,
        has_eyes=track.eyes is not None,
        audio_s=track.audio_s,
        text=track.text,
        shapes=shapes,
        notes=reading.notes,
        warnings=tuple(suspicions(track)),
    )


def suspicions(track: FaceTrack) -> Iterator[str]:
    """What looks wrong about a face, the worst first."""
    yield from doubted_order(track)
    yield from _out_of_range(track)
    yield from _frozen(track)
    yield from _jitter(track)
    yield from _jumps(track)
    yield from _nothing_said(track)


def _out_of_range(track: FaceTrack) -> Iterator[str]:
    for name, curve in zip(track.names, track.frames.T, strict=True):
        outside = (curve < -SLACK) | (curve > 1 + SLACK)
        if outside.any():
            percent = " (percent rather than parts?)" if 2 < curve.max() <= 100 else ""
            yield (
                f"{name} leaves 0..1 in {int(outside.sum())} frames from frame {int(np.argmax(outside))}: "
                f"{curve.min():.3f} to {curve.max():.3f}{percent}"
            )
    for what, turned in (("head", track.head), ("eyes", track.eyes)):
        if turned is not None and np.abs(turned).max() > TURN_RAD:
            yield f"the {what} turn by up to {np.abs(turned).max():.1f} radians: are these degrees?"


def _frozen(track: FaceTrack) -> Iterator[str]:
    if track.n_frames > 1 and np.ptp(track.frames, axis=0).max() <= STILL:
        yield "nothing moves in the whole animation"
        return
    still = np.concatenate([[0], (np.abs(np.diff(track.frames, axis=0)).max(axis=1) == 0).astype(np.int8), [0]])
    edges = np.flatnonzero(np.diff(still))
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        length_s = float((end - start) / track.fps)
        if length_s > FROZEN_S:
            yield f"the whole face is frozen for {length_s:.1f} s from {float(start / track.fps):.2f} s (frame {start})"


def _jitter(track: FaceTrack) -> Iterator[str]:
    """Shapes that turn back and forth between frames all the time."""
    if track.n_frames < 8:
        return
    steps = np.diff(track.frames, axis=0)
    turns = (steps[1:] * steps[:-1] < 0) & (np.minimum(np.abs(steps[1:]), np.abs(steps[:-1])) > SHARP)
    share = turns.mean(axis=0)
    worst = sorted((i for i in range(len(share)) if share[i] > JITTER_SHARE), key=lambda i: -share[i])
    if worst:
        named = ", ".join(f"{track.names[i]} ({100 * share[i]:.0f}%)" for i in worst[:8])
        yield f"{len(worst)} shapes jitter, turning back from one frame to the next: {named}"


def _jumps(track: FaceTrack) -> Iterator[str]:
    """Whole faces that change at once; a blink or a burst of the lips moves a few shapes only."""
    changed = (np.abs(np.diff(track.frames, axis=0)) > JUMP).sum(axis=1)
    frames = np.flatnonzero(changed >= max(3, len(track.names) // 8))
    if len(frames):
        first = int(frames[0]) + 1
        yield f"the face jumps {len(frames)} times, first at frame {first} ({float(first / track.fps):.2f} s): cuts?"


def _nothing_said(track: FaceTrack) -> Iterator[str]:
    if track.audio is None:
        return
    yield from audio_mismatch(track)
    if np.abs(track.audio).max(initial=0) > MOUTH_MIN and np.ptp(track.column("jawOpen")) < MOUTH_MIN:
        yield "there is sound, but the jaw does not move"
