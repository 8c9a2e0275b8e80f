"""Names the columns of tables without a header: known orders of the 52, told apart by how left and right move."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from exomni.core import arkit
from exomni.core.errors import FormatError

from .livelink_csv import SHAPES
from .names import NEUTRAL, ROTATIONS
from .track import FaceTrack


def _swapped(names: Sequence[str]) -> tuple[str, ...]:
    other = {a + x: a + y for a in ("jaw", "mouth") for x, y in (("Left", "Right"), ("Right", "Left"))}
    return tuple(other.get(name, name) for name in names)


ORDERS: Mapping[str, tuple[str, ...]] = {
    "exomni": arkit.NAMES,
    "mediapipe": (NEUTRAL, *arkit.NAMES[:-1]),
    "livelink-csv": SHAPES,
    "livelink-udp": _swapped(SHAPES),
}
"""Alphabetical, MediaPipe's, and Live Link Face's in its recordings and in its packets."""

MOVES = 1e-3
"""Standard deviation under which a shape is held to be still."""
ENOUGH_PAIRS = 4
GOOD_FIT = 0.5
CLEAR_LEAD = 0.2
LEAD = 0.25
"""How much better another order must fit before the names are doubted."""


def name_columns(table: np.ndarray, order: str | None) -> tuple[tuple[str, ...], str]:
    """Names for 51, 52, 60 or 61 nameless columns, and a note of how they were come by.

    Args:
        table: [T, columns].
        order: a key of `ORDERS`, or None to judge by how left and right move together.
    Raises:
        FormatError: no such order, no such number of columns, or the motion does not tell.
    """
    n_columns = table.shape[1]
    if order is not None and order not in ORDERS:
        raise FormatError(f"no order '{order}': there are {', '.join(ORDERS)}")
    choices = {key: layout(key, n_columns) for key in ORDERS if order in (None, key)}
    choices = {key: names for key, names in choices.items() if names is not None}
    if not choices:
        raise FormatError(f"{n_columns} columns without names; only 51, 52, 60 or 61 could be ARKit's")
    if order is not None:
        return choices[order], f"the columns have no names; they were taken in the order '{order}'"
    best, lead, fit = _best(table, choices)
    if fit < GOOD_FIT or lead < CLEAR_LEAD:
        raise FormatError(
            f"{n_columns} columns without names, and the motion does not tell their order; "
            f"say it with order, one of {', '.join(choices)}"
        )
    note = f"the columns have no names; left and right move together ({fit:.2f}) in the order '{best}'"
    if best.startswith("livelink"):
        note += " (or in the other of Live Link's two, which swap jaw and mouth sideways)"
    return choices[best], note


def doubted_order(track: FaceTrack) -> Iterator[str]:
    """Left and right move together on a face; where they do so under other names, the names are wrong."""
    names = tuple(name for name in track.names if name in arkit.INDEX)
    table = track.select(names)
    fit = pair_fit(names, table)
    if fit is None:
        return
    standards = {order: layout(order, len(names)) for order in ORDERS}
    others = [
        (pair_fit(standard, table) or -1.0, order)
        for order, standard in standards.items()
        if standard is not None and standard != names
    ]
    best_fit, best = max(others, key=lambda pair: pair[0], default=(-1.0, ""))
    if best_fit > fit + LEAD:
        yield (
            f"the columns look to be in the order '{best}' under wrong names: left and right then move together "
            f"({best_fit:.2f}), but not as they are named ({fit:.2f})"
        )


def layout(order: str, n_columns: int) -> tuple[str, ...] | None:
    """An order whole (52) or without the tongue (51), and either with the nine rotations behind it."""
    names = ORDERS[order]
    if order == "mediapipe":
        return names if n_columns == len(names) else None
    short = tuple(name for name in names if name != "tongueOut")
    return {51: short, 52: names, 60: short + ROTATIONS, 61: names + ROTATIONS}.get(n_columns)


def pair_fit(names: Sequence[str], table: np.ndarray) -> float | None:
    """How well left and right move together under these names: mean correlation, -1..1.

    Args:
        names: of the columns.
        table: [T, columns].
    Returns:
        None where too few pairs move to judge.
    """
    where = {name: i for i, name in enumerate(names)}
    fits = []
    for name, i in where.items():
        twin = name.removesuffix("Left") + "Right"
        sideways = name.startswith(("jaw", "mouthL", "eyeLookIn", "eyeLookOut")) and "Lower" not in name
        if not name.endswith("Left") or twin not in where or sideways:
            continue
        a, b = table[:, i], table[:, where[twin]]
        if max(a.std(), b.std()) > MOVES:
            fits.append(0.0 if min(a.std(), b.std()) < MOVES else float(np.corrcoef(a, b)[0, 1]))
    return float(np.mean(fits)) if len(fits) >= ENOUGH_PAIRS else None


def _best(table: np.ndarray, choices: Mapping[str, tuple[str, ...]]) -> tuple[str, float, float]:
    """The best-fitting order, its lead over the best of another family, and its fit."""
    measured = {key: pair_fit(names, table) for key, names in choices.items()}
    fits = {key: fit for key, fit in measured.items() if fit is not None}
    if not fits:
        return next(iter(choices)), 0.0, -1.0
    best = max(fits, key=lambda key: fits[key])
    family = best.split("-")[0]
    others = [fit for key, fit in fits.items() if key.split("-")[0] != family]
    return best, fits[best] - max(others, default=-1.0), fits[best]
