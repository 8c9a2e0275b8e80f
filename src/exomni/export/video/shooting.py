"""Drawing many frames on all processors, in order."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue

import numpy as np

from .camera import Camera
from .film import Film
from .puppet import Puppet

AHEAD = 4
"""Pictures a thread that may be drawn before somebody takes them: so memory stays flat however long the film."""


@dataclass(frozen=True, eq=False)
class Shot:
    """How frames are drawn.

    Attributes:
        puppet: the head.
        size: width and height in pixels.
        camera: where the picture is taken from.
        used: largest weight of each shape in the clip, [52].
        samples: samples a pixel in each direction.
        turned_rad: how far the head turns at most.
    """

    puppet: Puppet
    size: tuple[int, int]
    camera: Camera
    used: np.ndarray
    samples: int
    turned_rad: float = 0.0

    def film(self) -> Film:
        """Ready to draw, by one thread."""
        return Film(self.puppet, self.size, self.camera, self.used, self.samples, self.turned_rad)


def drawn(
    shot: Shot,
    weights: np.ndarray,
    turns: np.ndarray | None,
    threads: int,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Iterator[np.ndarray]:
    """The pictures of [n, 52], in order, RGB uint8 [height, width, 3].

    Args:
        shot: how to draw them.
        weights: of each frame, [n, 52].
        turns: yaw, pitch and roll of the head in radians, [n, 3], or None.
        threads: how many draw at once; drawing needs no lock of Python's.
        progress: called with the pictures that are drawn and their number.
    """
    films: SimpleQueue[Film] = SimpleQueue()
    for _ in range(min(threads, len(weights))):
        films.put(shot.film())

    def draw(i: int) -> np.ndarray:
        film = films.get()
        try:
            return film.frame(weights[i], None if turns is None else turns[i])
        finally:
            films.put(film)

    waiting: list[Future] = []
    with ThreadPoolExecutor(threads) as pool:
        try:
            for i in range(len(weights)):
                while len(waiting) < min(AHEAD * threads, len(weights) - i):
                    waiting.append(pool.submit(draw, i + len(waiting)))
                picture = waiting.pop(0).result()
                progress(i + 1, len(weights))
                yield picture
        finally:
            for future in waiting:
                future.cancel()
