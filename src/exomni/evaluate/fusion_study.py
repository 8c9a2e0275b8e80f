"""The ablation of fusion: how much of the expression is in the face only because meaning reaches it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..core.errors import CheckpointError, InputError
from .face_metrics import expression_error
from .facial import METRICS, MeasuredFace, MeasuredFaces

BATCH_ROWS = 16
FIGURES = ("expression_error", "expression_correlation", "lve_mm")
"""Metrics of the suite `face` that are compared."""
BASELINE = "units_only"
"""The fusion that all others are held against: the decoder sees units and no meaning."""


def compare_fusion(runs: Mapping[str, Path], data: Path, split: str = "validation", limit: int = 0) -> dict:
    """Compare trainings that differ in their fusion, on the same held-out rows.

    All read the true units of the rows; the emotion is given to none, so that what the face feels must come from the
    meaning.

    Args:
        runs: folder of the run (`model.safetensors`, `facts.json`) of each fusion mode; `units_only` is one of them.
        data: data set with all passes, of whose split at most `limit` rows are taken (0: all).
    Returns:
        `table`: for each fusion the metrics `FIGURES` by heading, and `ratio` (`expr error` over that of `units_only`);
        `rows` and `frames`: how many were measured on; `expr error of neutral`: that of a face without expression.
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
    error = METRICS["expression_error"].heading
    baseline = next(line for line in lines if line["fusion"] == BASELINE)[error]
    return {
        "table": [{**line, "ratio": line[error] / baseline} for line in lines],
        "rows": len(rows), "frames": len(reference),
        "expr error of neutral": expression_error(np.zeros_like(reference), reference),
    }  # fmt: skip


def _line(mode: str, face: np.ndarray, reference: np.ndarray) -> dict:
    measured = MeasuredFaces([MeasuredFace("", "", face, loudness=np.zeros(len(face)), reference=reference)])
    return {"fusion": mode, **{METRICS[key].heading: METRICS[key].figure(measured) for key in FIGURES}}


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
