"""Drawing many frames on all processors, in order."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue

import numpy as np

from ...face.camera import Viewpoint
from ...face.render_mesh import RenderMesh
from ...face.renderer import Renderer

AHEAD = 4
"""Pictures a thread that may be drawn before they are taken: so memory stays flat however long the film."""


@dataclass(frozen=True, eq=False)
class Shot:
    """How frames are drawn.

    Attributes:
        mesh: the head.
        size: width and height in pixels.
        camera: where the picture is taken from.
        used: largest weight of each shape in the clip, [52].
        samples: samples a pixel in each direction.
        turned_rad: how far the head turns at most.
    """

    mesh: RenderMesh
    size: tuple[int, int]
    camera: Viewpoint
    used: np.ndarray
    samples: int
    turned_rad: float = 0.0

    def renderer(self) -> Renderer:
        """Ready to draw, by one thread."""
        return Renderer(self.mesh, self.size, self.camera, self.used, self.samples, self.turned_rad)


def draw_frames(
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
    idle: SimpleQueue[Renderer] = SimpleQueue()
    for _ in range(min(threads, len(weights))):
        idle.put(shot.renderer())

    def draw(i: int) -> np.ndarray:
        renderer = idle.get()
        try:
            return renderer.frame(weights[i], None if turns is None else turns[i])
        finally:
            idle.put(renderer)

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
