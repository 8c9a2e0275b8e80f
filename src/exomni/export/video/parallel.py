"""Drawing many frames on all processors, in order."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue

import numpy as np

from ...face.renderer import Renderer

AHEAD = 4
"""Pictures a thread that may be drawn before they are taken: so memory stays flat however long the film."""


def draw_frames(
    renderer: Callable[[], Renderer],
    weights: np.ndarray,
    turns: np.ndarray | None,
    threads: int,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Iterator[np.ndarray]:
    """The pictures of [n, 52], in order, RGB uint8 [height, width, 3].

    Args:
        renderer: makes what draws them, one for each thread.
        weights: of each frame, [n, 52].
        turns: yaw, pitch and roll of the head in radians, [n, 3], or None.
        threads: how many draw at once; drawing needs no lock of Python's.
        progress: called with the pictures that are drawn and their number.
    """
    idle: SimpleQueue[Renderer] = SimpleQueue()
    for _ in range(min(threads, len(weights))):
        idle.put(renderer())

    def draw(i: int) -> np.ndarray:
        mine = idle.get()
        try:
            return mine.frame(weights[i], None if turns is None else turns[i])
        finally:
            idle.put(mine)

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
