"""Still pictures of the project's head: one face, or many on one sheet with captions, to be judged by eye."""

from collections.abc import Sequence

import numpy as np

from ..core.arkit import K
from ..core.errors import InputError
from .camera import HEAD_VIEW, View
from .render_mesh import own_head_mesh
from .renderer import Renderer

CAPTION_PX = 14


def render(
    weights: np.ndarray, size: int | tuple[int, int] = 512, view: View = HEAD_VIEW, samples: int = 2
) -> np.ndarray:
    """Draw one face.

    Args:
        weights: [K].
        size: height and width in pixels, or both at once.
        view: what to show.
        samples: samples a pixel in each direction; 1 is quick, 2 smooth.
    Returns:
        RGB picture, uint8 [H, W, 3].
    Raises:
        InputError: `weights` is not [K].
    """
    weights = np.asarray(weights)
    if weights.shape != (K,):
        raise InputError(f"weights have shape {weights.shape}, not [{K}]")
    height, width = (size, size) if isinstance(size, int) else size
    return Renderer(own_head_mesh(), (width, height), view, weights, samples).frame(weights)


def contact_sheet(
    faces: np.ndarray,
    captions: Sequence[str] | None = None,
    size: int = 256,
    columns: int = 8,
    view: View = HEAD_VIEW,
    samples: int = 2,
) -> np.ndarray:
    """Draw faces in reading order.

    Args:
        faces: [N, K], N >= 1.
        captions: one for each face, drawn above it.
        size: height and width of each, pixels.
        columns: faces in a row.
        view: what each shows.
        samples: see `render`.
    Returns:
        RGB picture, uint8.
    """
    renderer = Renderer(own_head_mesh(), (size, size), view, np.abs(faces).max(axis=0), samples)
    pictures = [renderer.frame(weights) for weights in faces]
    return sheet(pictures, captions or [""] * len(faces), min(columns, len(faces)), CAPTION_PX)


def sheet(pictures: Sequence[np.ndarray], captions: Sequence[str], columns: int, caption_px: int) -> np.ndarray:
    """Put pictures into rows with a caption above each.

    Args:
        pictures: RGB, uint8 [height, width, 3], of one size.
        captions: one for each.
        columns: pictures in a row.
        caption_px: height of the line that a caption stands on.
    Returns:
        RGB picture, uint8; white where there is nothing.
    """
    from PIL import Image, ImageDraw

    height, width = pictures[0].shape[:2]
    rows = -(-len(pictures) // columns)
    whole = Image.new("RGB", (columns * width, rows * (height + caption_px)), "white")
    pen = ImageDraw.Draw(whole)
    for i, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        x, y = i % columns * width, i // columns * (height + caption_px)
        whole.paste(Image.fromarray(picture), (x, y + caption_px))
        pen.text((x + 3, y), caption, fill="black", font_size=caption_px - 3)
    return np.asarray(whole)
