"""Renders a speaking head as a film with sound, a moving GIF, or a sheet of pictures."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import InputError
from ...face.camera import CAMERAS, Camera, Viewpoint
from ...face.renderer import Renderer
from ..captions import caption_cues
from ..face_sources import load_fitted
from ..gltf_mesh import gltf_head_mesh, shipped_head_mesh
from ..profile import Profile
from ..resample import resample
from ..retarget import reroute
from ..shipped_heads import HEADS
from ..track import FaceTrack
from .encode import CODECS, write_gif, write_sheet, write_video
from .parallel import draw_frames

__all__ = ["CAMERAS", "FILMED", "Camera", "Rendered", "render"]

SMALLEST, LARGEST = 32, 4096
FILM_FPS = 60
"""A film has the track's own rate, but not more than this."""
FILMED = "woman"
"""The head that is filmed if no other is named."""
GIF_SIZE = 256
SHEET_PICTURES, SHEET_COLUMNS, SHEET_SIZE = 24, 6, 256


@dataclass(frozen=True)
class Rendered:
    """What was drawn.

    Attributes:
        path: the file.
        n_frames: pictures in it.
        fps: pictures a second; 0 for a sheet.
        notes: what a person should know: how the source was understood, which shapes went elsewhere.
    """

    path: Path
    n_frames: int
    fps: float
    notes: tuple[str, ...]


def render(
    source: Any,
    out: str | os.PathLike[str],
    *,
    head: str | os.PathLike[str] = FILMED,
    camera: str | Viewpoint = "head",
    size: tuple[int, int] | None = None,
    captions: bool = False,
    profile: Profile | None = None,
    threads: int | None = None,
    smooth: bool = True,
    fps: Any = None,
    order: str | None = None,
    audio: str | os.PathLike[str] | None = None,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Rendered:
    """Film a head that speaks: `.mp4`, `.webm`, `.gif`, or `.png` for a sheet of moments.

    Args:
        source: anything that `face_sources.load` takes.
        out: the file; its suffix says what it is.
        head: a name in `shipped_heads.HEADS`, or a `.glb`, `.gltf` or `.vrm` with ARKit morph targets.
        camera: a key of `CAMERAS`, or one of your own.
        size: width and height in pixels; 512 x 512 without it, 256 x 256 for a GIF and each picture of a sheet.
        captions: write what is said into the picture.
        profile: of the character.
        threads: how many draw at once; as many as there are processors without it.
        smooth: smooth edges, at four times the work.
        fps: frames a second of the source, over what it says.
        order: of the source's columns, where they have no names.
        audio: a sound file that belongs to the source.
        progress: called with the pictures that are drawn and their number.
    Raises:
        InputError, FormatError: the source, the head, the camera, the size or the suffix cannot be understood.
        OutputError: the place cannot be written.
    """
    out = Path(out)
    kind = out.suffix.lower()
    if kind not in (*CODECS, ".gif", ".png"):
        raise InputError(f"{out}: a film is .mp4, .webm or .gif; .png is a sheet of pictures")
    if isinstance(camera, str) and camera not in CAMERAS:
        raise InputError(f"no camera '{camera}'; there are {', '.join(CAMERAS)}")
    shot_size = _size(size, kind)
    mesh = shipped_head_mesh(str(head)) if head in HEADS else gltf_head_mesh(head)
    character = load_fitted(source, profile, fps=fps, order=order, audio=audio)
    fitted = reroute(character.track, mesh.shapes)
    track, notes = fitted.track, character.notes + fitted.notes
    if track.fps > FILM_FPS:
        track = resample(track, FILM_FPS)
    chosen = _moments(track) if kind == ".png" else np.arange(track.n_frames)
    weights = track.arkit()
    viewpoint = CAMERAS[camera] if isinstance(camera, str) else camera
    turned_rad = 0.0 if track.head is None else float(np.linalg.norm(track.head, axis=1).max())
    used = np.abs(weights).max(axis=0)
    renderer = partial(Renderer, mesh, shot_size, viewpoint, used, 2 if smooth else 1, turned_rad)
    turns = None if track.head is None else track.head[chosen]
    pictures = draw_frames(renderer, weights[chosen], turns, threads or os.cpu_count() or 1, progress)
    if captions:
        pictures = _captioned(pictures, track, chosen)
    if kind == ".png":
        labels = [f"{float(i / track.fps):.2f} s" for i in chosen.tolist()]
        write_sheet(out, list(pictures), labels, SHEET_COLUMNS)
        return Rendered(out, len(chosen), 0.0, notes)
    if kind == ".gif":
        write_gif(out, pictures, track.fps)
    else:
        write_video(out, pictures, track.fps, track.audio, track.sample_hz)
    return Rendered(out, track.n_frames, float(track.fps), notes)


def _size(size: tuple[int, int] | None, kind: str) -> tuple[int, int]:
    usual = {".gif": GIF_SIZE, ".png": SHEET_SIZE}.get(kind, 512)
    width, height = size or (usual, usual)
    if not (SMALLEST <= width <= LARGEST and SMALLEST <= height <= LARGEST):
        raise InputError(f"a picture of {width} x {height} is not between {SMALLEST} and {LARGEST} pixels")
    if kind in CODECS and (width % 2 or height % 2):
        raise InputError(f"a film's width and height are even, not {width} x {height}")
    return width, height


def _moments(track: FaceTrack) -> np.ndarray:
    """Frames for a sheet, spread evenly over the track."""
    return np.unique(np.linspace(0, track.n_frames - 1, min(SHEET_PICTURES, track.n_frames)).round().astype(int))


def _captioned(pictures: Iterator[np.ndarray], track: FaceTrack, chosen: np.ndarray) -> Iterator[np.ndarray]:
    """Each picture with the caption of its moment in the lower part."""
    from PIL import Image, ImageDraw

    cues = caption_cues(track)
    for picture, index in zip(pictures, chosen.tolist(), strict=True):
        time_s = float(index / track.fps)
        lines = next((cue.lines for cue in cues if cue.start <= time_s < cue.end), ())
        if not lines:
            yield picture
            continue
        image = Image.fromarray(picture)
        size = max(9, image.height // 22)
        ImageDraw.Draw(image).multiline_text(
            (image.width / 2, image.height - size),
            "\n".join(lines),
            anchor="md",
            align="center",
            fill="white",
            stroke_width=max(1, size // 10),
            stroke_fill="black",
            font_size=min(size, 1.8 * image.width / max(map(len, lines))),
        )
        yield np.asarray(image)
