"""Fit a face to a character by its profile."""

import itertools
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from exomni.core import arkit
from exomni.core.errors import FormatError

from .names import OTHER_PROGRAMS
from .profile import Profile, Shape, Smoothing
from .resample import resample
from .track import FaceTrack

STILL = 1e-3
"""A shape that never goes further than this is not missed."""

REROUTES: Mapping[str, Mapping[str, float]] = {
    name.replace("*", side): {to.replace("*", side): part for to, part in ways.items()}
    for name, ways in OTHER_PROGRAMS["reroutes"].items()
    for side in ("Left", "Right")
}
"""Where a shape goes that a character does not have: to what moves the same skin, weaker (our choice)."""


@dataclass(frozen=True)
class Fitted:
    """A face as the character takes it, and what a person should know of it."""

    track: FaceTrack
    notes: tuple[str, ...]


def retarget(track: FaceTrack, profile: Profile, available: Collection[str] | None = None) -> Fitted:
    """Mirror; gain, offset and mute; reroute what is missing; clamp; smooth; convert the rate: in this order.

    Args:
        profile: of the character.
        available: ARKit shapes that the character has, where the profile does not say.
    Returns:
        The face with the names of the track (without those that the character lacks), and notes that name
        every shape that was rerouted or dropped.
    Raises:
        FormatError: the character has no shape at all to show this face with.
    """
    if profile.mirror:
        track = mirror(track)
    rules = [profile.shape(name) for name in track.names]
    gains = np.array([0.0 if rule.mute else rule.gain for rule in rules])
    offsets = np.array([0.0 if rule.mute else rule.offset for rule in rules])
    values = dict(zip(track.names, (track.frames * gains + offsets).T, strict=True))
    has = available if profile.available is None else profile.available
    notes = _reroute(values, has, profile.reroute) if has is not None else ()
    names = tuple(values)
    rules = [profile.shape(name) for name in names]
    low, high = np.array([(0, 0) if rule.mute else rule.clamp for rule in rules]).T
    frames = np.clip(np.stack([values[name] for name in names], axis=1), low, high)
    frames = _smooth(frames, rules, profile.smoothing, float(track.fps))
    track = track.replace(names=names, frames=frames)
    return Fitted(track if profile.fps is None else resample(track, profile.fps), notes)


def reroute(track: FaceTrack, has: Collection[str]) -> Fitted:
    """Only what `retarget` does about missing shapes; see there."""
    values = dict(zip(track.names, track.frames.T.astype(np.float64), strict=True))
    notes = _reroute(values, has, {})
    return Fitted(track.replace(names=tuple(values), frames=np.stack(list(values.values()), axis=1)), notes)


def mirror(track: FaceTrack) -> FaceTrack:
    """Left and right swapped: shapes, eyes, and the turn and tilt of the head."""
    columns = {_other_side(name): track.column(name) for name in track.names}
    names = tuple(name if name in columns else _other_side(name) for name in track.names)
    flip = np.array([-1.0, 1.0, -1.0])
    return track.replace(
        names=names,
        frames=np.stack([columns[name] for name in names], axis=1),
        head=None if track.head is None else track.head * flip,
        eyes=None if track.eyes is None else track.eyes[:, ::-1] * flip,
    )


def _other_side(name: str) -> str:
    if name.endswith("Left"):
        return name.removesuffix("Left") + "Right"
    return name.removesuffix("Right") + "Left" if name.endswith("Right") else name


def _reroute(
    values: dict[str, np.ndarray], has: Collection[str], own_ways: Mapping[str, Mapping[str, float]]
) -> tuple[str, ...]:
    """Take the shapes that `has` lacks out of `values` and add them where they go; says which."""
    moved, dropped = [], []
    ways = {**REROUTES, **own_ways}
    for name in [n for n in values if n in arkit.INDEX and n not in has]:
        curve = values.pop(name)
        if np.abs(curve).max() <= STILL:
            continue
        ends = list(_ends(name, 1.0, has, ways, frozenset()))
        for to, part in ends:
            values[to] = values.get(to, 0) + part * curve
        into = " and ".join(sorted({to for to, _ in ends}))
        (moved if ends else dropped).append(f"{name} to {into}" if ends else name)
    if not values:
        raise FormatError("the character has none of the shapes of this face, nor any that could stand in")
    notes = []
    if moved:
        notes.append(f"the character lacks {len(moved)} shapes, which were rerouted: {'; '.join(moved)}")
    if dropped:
        notes.append(f"the character lacks {len(dropped)} shapes, which were dropped: {', '.join(dropped)}")
    return tuple(notes)


def _ends(
    name: str,
    weight: float,
    has: Collection[str],
    ways: Mapping[str, Mapping[str, float]],
    passed: frozenset[str],
) -> Iterator[tuple[str, float]]:
    """Shapes that the character has and `name` comes to, on a way of any length, with their weights."""
    for to, part in ways.get(name, {}).items():
        if to in has:
            yield to, weight * part
        elif to not in passed:
            yield from _ends(to, weight * part, has, ways, passed | {name})


def _smooth(frames: np.ndarray, rules: list[Shape], usual: Smoothing | None, fps: float) -> np.ndarray:
    """Smooth whole curves [T, K] without delaying them: the mean of the filter run forwards and backwards."""
    chosen = {i: usual if rule.smoothing is None else rule.smoothing for i, rule in enumerate(rules)}
    filters = {i: each for i, each in chosen.items() if isinstance(each, Smoothing)}
    if filters:
        frames, active = frames.copy(), list(filters)
        settings = np.array([(each.min_cutoff_hz, each.beta, each.derivative_cutoff_hz) for each in filters.values()]).T
        forwards = _one_euro(frames[:, active], fps, *settings)
        backwards = _one_euro(frames[::-1, active], fps, *settings)[::-1]
        frames[:, active] = (forwards + backwards) / 2
    return frames


def _one_euro(
    frames: np.ndarray, fps: float, min_cutoff_hz: np.ndarray, beta: np.ndarray, derivative_cutoff_hz: np.ndarray
) -> np.ndarray:
    """The One Euro filter, steady when a face is still, quick when it moves, run once over [T, K].

    The settings are `Smoothing`'s, [K] each. Source: Casiez, Roussel, Vogel, "1€ Filter", CHI 2012.
    """

    def share(cutoff_hz: np.ndarray) -> np.ndarray:
        """How much of the way to a new value is gone in one frame, 0..1."""
        return 1 / (1 + fps / (2 * np.pi * cutoff_hz))

    out = np.array(frames, np.float64)
    speed = np.zeros(out.shape[1])
    for before, value in itertools.pairwise(out):
        speed = speed + share(derivative_cutoff_hz) * ((value - before) * fps - speed)
        value[:] = before + share(min_cutoff_hz + beta * np.abs(speed)) * (value - before)
    return out
