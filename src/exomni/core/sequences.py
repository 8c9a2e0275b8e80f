"""Where sequences are alike."""

from collections.abc import Sequence


def n_shared(one: Sequence, other: Sequence) -> int:
    """How many items two begin with in common."""
    n = 0
    while n < min(len(one), len(other)) and one[n] == other[n]:
        n += 1
    return n


def n_shared_ends(one: Sequence, other: Sequence) -> int:
    """How many items two end with in common, of those that they do not begin with in common."""
    start = n_shared(one, other)
    return n_shared(one[start:][::-1], other[start:][::-1])
