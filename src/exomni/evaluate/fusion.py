"""The ablation of fusion: how much of the expression is in the face only because meaning reaches it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..core.arkit import EXPRESSION
from ..core.errors import CheckpointError, InputError
from .metrics import expression_error, lip_vertex_error, shape_correlation

BATCH_ROWS = 16
BASELINE = "units_only"
"""The fusion that all others are held against: the decoder sees units and no meaning."""


def compare_fusion(runs: Mapping[str, Path], data: Path, split: str = "validation", limit: int = 0) -> dict:
    """Compare trainings that differ in their fusion, on the same held-out rows.

    All read the true units of the rows; the emotion is given to none, so that what the face feels must come from the
    meaning.

    Args:
        runs: folder of the run (`model.safetensors`, `facts.json`) of each fusion mode; `units_only` is one of them.
        data: data set with all passes.
        split: "validation" or "test".
        limit: most rows; 0 takes all.
    Returns:
        `table`: for each fusion `expr error` (`metrics.expression_error`), `ratio` (that over the one of
        `units_only`), `expr corr` (mean over the expression shapes that move) and `LVE mm`; `rows` and `frames`:
        how many were measured on; `expr error of neutral`: what a face without expression has.
    Raises:
        CheckpointError: a folder is no run of stage II, or has another fusion mode than its name.
        InputError: the data set has no such rows, or `units_only` is missing.
    """
    from ..train.joint import read_rows

    if BASELINE not in runs:
        raise InputError(f"the runs to compare ({', '.join(runs)}) lack {BASELINE}")
    rows = read_rows(data, split)
    rows = rows[:: max(1, len(rows) // limit)][:limit] if limit else rows
    if not rows:
        raise InputError(f"{data} has no rows in the split {split!r} that every pass has labelled")
    reference = np.concatenate([r.face.astype(np.float32) for r in rows])
    lines = [_line(mode, np.concatenate(_faces(folder, mode, rows)), reference) for mode, folder in runs.items()]
    baseline = next(line for line in lines if line["fusion"] == BASELINE)["expr error"]
    return {
        "table": [{**line, "ratio": line["expr error"] / baseline} for line in lines],
        "rows": len(rows), "frames": len(reference),
        "expr error of neutral": expression_error(np.zeros_like(reference), reference),
    }  # fmt: skip


def _line(mode: str, face: np.ndarray, reference: np.ndarray) -> dict:
    correlation = shape_correlation(face, reference)
    moving = [correlation[n] for n in EXPRESSION if n in correlation]
    return {
        "fusion": mode, "expr error": expression_error(face, reference),
        "expr corr": float(np.mean(moving)) if moving else float("nan"),
        "LVE mm": lip_vertex_error([(face, reference)]),
    }  # fmt: skip


def _open_run(folder: Path, mode: str):
    """Unit generator and blendshape decoder of a run, ready to use."""
    from ..model.blendshape_decoder import BlendshapeDecoder
    from ..model.config import BlendshapeDecoderConfig, UnitGeneratorConfig
    from ..model.duration_pace import PacedUnitGenerator
    from ..train.loop import load_modules, load_weights

    try:
        facts = json.loads((folder / "facts.json").read_text("utf-8"))
        generator = PacedUnitGenerator(UnitGeneratorConfig(**facts["generator"]))
        decoder = BlendshapeDecoder(BlendshapeDecoderConfig(**facts["decoder"]))
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"{folder} is not a run of stage II ({error!r})") from error
    if decoder.config.fusion.mode != mode:
        raise CheckpointError(f"{folder} was trained with fusion {decoder.config.fusion.mode!r}, expected {mode!r}")
    load_modules({"generator": generator, "decoder": decoder}, load_weights(folder / "model.safetensors"))
    return generator.eval(), decoder.eval()


def _faces(folder: Path, mode: str, rows: Sequence) -> list[np.ndarray]:
    """Faces that a run decodes for rows, each as long as the row's own, in 0..1."""
    import torch

    from ..train.joint import collate

    generator, decoder = _open_run(folder, mode)
    faces: list[np.ndarray] = []
    with torch.inference_mode():
        for start in range(0, len(rows), BATCH_ROWS):
            part = list(rows[start : start + BATCH_ROWS])
            batch = collate(part, [0] * len(part))
            states = generator(batch["text_ids"], batch["text_mask"], batch["durations"], batch["units"],
                               batch["llm_states"], batch["llm_mask"]).hidden_states  # fmt: skip
            decoded = decoder(batch["units"], states, batch["units"] >= 0, llm_states=batch["llm_states"],
                              llm_mask=batch["llm_mask"], frame_lengths=batch["frame_lengths"])  # fmt: skip
            for row, face, length in zip(part, decoded.blendshapes, batch["frame_lengths"].tolist(), strict=True):
                known = np.minimum(np.arange(len(row.face)), length - 1)
                faces.append(face.clamp(0, 1).numpy()[known])
    return faces
