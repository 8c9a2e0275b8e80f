"""How fast somebody may go."""

from collections.abc import Callable


class Bucket:
    """Fills steadily, and is emptied by what is taken.

    Args:
        per_s: what flows in.
        size: what fits in.
        clock: seconds that only go forward.
    """

    def __init__(self, per_s: float, size: float, clock: Callable[[], float]):
        self._per_s, self._size, self._clock = per_s, size, clock
        self._level, self._at = size, clock()

    def spend(self, amount: float) -> float:
        """Take so much, even where it is not there; returns the seconds until the debt is paid."""
        self._fill()
        self._level -= amount
        return max(0.0, -self._level / self._per_s)

    def wait_s(self, amount: float = 1.0) -> float:
        """Seconds until so much is there; 0 takes it."""
        self._fill()
        if self._level >= amount:
            self._level -= amount
            return 0.0
        return (amount - self._level) / self._per_s

    def _fill(self) -> None:
        now = self._clock()
        self._level = min(self._size, self._level + (now - self._at) * self._per_s)
        self._at = now
