"""How many pictures a second a film is drawn at, without a GPU.

    python benchmarks/export_film.py [--head woman] [--size 512] [--frames 120] [--threads N]

Prints the wall's rate and the processor time a picture, which other work on the machine does not change.
"""

import argparse
import os
import time
from functools import partial

import numpy as np

from exomni.core import arkit
from exomni.core.timebase import FRAME_HZ
from exomni.export.gltf_mesh import shipped_head_mesh
from exomni.export.shipped_heads import HEADS
from exomni.export.video import CAMERAS, FILMED
from exomni.export.video.parallel import draw_frames
from exomni.face.renderer import Renderer


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--head", choices=HEADS, default=FILMED)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    options = parser.parse_args()
    times_s = np.arange(options.frames)[:, None] / FRAME_HZ
    speaking = [i for i, name in enumerate(arkit.NAMES) if name.startswith(("jawOpen", "mouth", "brow", "eyeBlink"))]
    weights = np.zeros((options.frames, arkit.K), np.float32)
    weights[:, speaking] = 0.15 + 0.15 * np.sin(times_s * np.linspace(4, 20, len(speaking)))
    mesh = shipped_head_mesh(options.head)
    print(f"{options.head}, {options.size} x {options.size}, {options.threads} threads")
    for samples in (1, 2):
        for camera in ("head", "face"):
            make = partial(Renderer, mesh, (options.size,) * 2, CAMERAS[camera], weights.max(axis=0), samples)
            renderer = make()
            renderer.frame(weights[0])
            start = time.process_time()
            for frame in weights[:10]:
                renderer.frame(frame)
            cpu_s = (time.process_time() - start) / 10
            pictures = draw_frames(make, weights, None, options.threads)
            next(pictures)
            start = time.perf_counter()
            n_pictures = sum(1 for _ in pictures)
            wall_s = (time.perf_counter() - start) / n_pictures
            smooth = "smooth edges" if samples == 2 else "plain edges"
            print(f"{camera:6} {smooth:13} {1 / wall_s:6.1f} a second; {1000 * cpu_s:6.1f} ms of one processor each")


if __name__ == "__main__":
    main()
