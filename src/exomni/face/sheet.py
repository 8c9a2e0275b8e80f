"""Many faces on one picture, with captions: how a reply is judged by eye."""

from collections.abc import Sequence

import numpy as np

from .render import HEAD_VIEW, View, render

CAPTION_PX = 14


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
        faces: [N, K].
        captions: one for each face, drawn above it.
        size: height and width of each, pixels.
        columns: faces in a row.
        view: what each shows.
        samples: see `render`.
    Returns:
        RGB picture, uint8.
    """
    from PIL import Image, ImageDraw

    captions = captions if captions is not None else [""] * len(faces)
    rows = -(-len(faces) // columns)
    sheet = np.full((rows * (size + CAPTION_PX), min(columns, max(len(faces), 1)) * size, 3), 255, np.uint8)
    for i, weights in enumerate(faces):
        top, left = i // columns * (size + CAPTION_PX) + CAPTION_PX, i % columns * size
        sheet[top : top + size, left : left + size] = render(weights, size, view, samples)
    picture = Image.fromarray(sheet)
    pen = ImageDraw.Draw(picture)
    for i, caption in enumerate(captions):
        at = i % columns * size + 3, i // columns * (size + CAPTION_PX) + 1
        pen.text(at, caption, fill=(0, 0, 0), font_size=CAPTION_PX - 3)
    return np.asarray(picture)
