"""Drawing many frames on all processors, in order."""

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue

import numpy as np

from exomni.core.errors import ServiceError

from .film import Camera, Film
from .puppet import gltf_puppet, own_puppet

CHUNK_FRAMES = 15
"""Frames that a helper draws at a time."""
AHEAD = 2
"""Chunks a helper that may be drawn before somebody takes them: so memory stays flat however long the film."""
WORTH_FRAMES = 90
"""Fewer frames are drawn sooner without helpers, which take some two seconds to start."""


@dataclass(frozen=True)
class Shot:
    """All that is needed to draw frames; plain data.

    Attributes:
        head: path of a glTF head, or None for the project's.
        size: width and height in pixels.
        camera: where the picture is taken from.
        used: largest weight of each shape in the clip, [52].
        samples: samples a pixel in each direction.
    """

    head: str | None
    size: tuple[int, int]
    camera: Camera
    used: np.ndarray
    samples: int

    def film(self) -> Film:
        """Ready to draw."""
        puppet = own_puppet() if self.head is None else gltf_puppet(self.head)
        return Film(puppet, self.size, self.camera, self.used, self.samples)


class Helper:
    """Another process that draws. A plain one, so that it works from any script, not only from guarded ones."""

    def __init__(self, shot: Shot) -> None:
        """Start it."""
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-c", f"from {__name__} import help_to_draw; help_to_draw()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
        pickle.dump(shot, self._process.stdin)

    def draw(self, weights: np.ndarray) -> np.ndarray:
        """Frames of [n, 52], uint8 [n, height, width, 3].

        Raises:
            ServiceError: it has died.
        """
        try:
            pickle.dump(weights, self._process.stdin)
            self._process.stdin.flush()
            return pickle.load(self._process.stdout)
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            raise ServiceError(f"a process that draws has ended ({self._process.poll()})") from error

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()
        with suppress(OSError):
            self._process.stdin.close()


def drawn(
    shot: Shot, weights: np.ndarray, processes: int, progress: Callable[[int, int], None] = lambda done, of: None
) -> Iterator[np.ndarray]:
    """The pictures of [n, 52], in order, RGB uint8 [height, width, 3].

    Args:
        shot: how to draw them.
        weights: of each frame, [n, 52].
        processes: how many draw at once.
        progress: called with the pictures that are drawn and their number.
    """
    if processes == 1 or len(weights) < WORTH_FRAMES:
        film = shot.film()
        pictures: Iterator[np.ndarray] = (film.frame(frame) for frame in weights)
    else:
        pictures = _by_helpers(shot, weights, processes)
    for done, picture in enumerate(pictures, start=1):
        progress(done, len(weights))
        yield picture


def _by_helpers(shot: Shot, weights: np.ndarray, processes: int) -> Iterator[np.ndarray]:
    chunks = [weights[i : i + CHUNK_FRAMES] for i in range(0, len(weights), CHUNK_FRAMES)]
    helpers = [Helper(shot) for _ in range(min(processes, len(chunks)))]
    free: SimpleQueue[Helper] = SimpleQueue()
    for helper in helpers:
        free.put(helper)

    def work(chunk: np.ndarray) -> np.ndarray:
        helper = free.get()
        try:
            return helper.draw(chunk)
        finally:
            free.put(helper)

    pool = ThreadPoolExecutor(len(helpers))
    waiting: list[Future] = []
    try:
        for chunk in chunks:
            waiting.append(pool.submit(work, chunk))
            if len(waiting) > AHEAD * len(helpers):
                yield from waiting.pop(0).result()
        while waiting:
            yield from waiting.pop(0).result()
    finally:
        for future in waiting:
            future.cancel()
        for helper in helpers:
            helper.close()
        pool.shutdown()


def help_to_draw() -> None:
    """A helper's life: take a shot, then frames until there are no more."""
    film = pickle.load(sys.stdin.buffer).film()
    while True:
        try:
            weights = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        pickle.dump(np.stack([film.frame(frame) for frame in weights]), sys.stdout.buffer)
        sys.stdout.buffer.flush()
