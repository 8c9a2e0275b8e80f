"""The ablation of fusion: how much of the expression is in the face only because meaning reaches it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..core.errors import CheckpointError, InputError
from .metrics import expression_error, lip_vertex_error

BATCH_ROWS = 16


@dataclass(frozen=True)
class FusionComparison:
    """Two trainings that differ in their fusion, on the same held-out rows.

    Attributes:
        tqgf_error: expression error with meaning fused in (`metrics.expression_error`).
        units_only_error: the same of the decoder that sees units alone.
        tqgf_lve_mm, units_only_lve_mm: lip vertex errors.
        n_rows, n_frames: what they were measured on.
    """

    tqgf_error: float
    units_only_error: float
    tqgf_lve_mm: float
    units_only_lve_mm: float
    n_rows: int
    n_frames: int

    @property
    def ratio(self) -> float:
        """Expression error of `tqgf` over that of `units_only`; at most 0.7 is asked for."""
        return self.tqgf_error / self.units_only_error


def compare_fusion(
    tqgf: Path, units_only: Path, data: Path, split: str = "validation", limit: int = 0
) -> FusionComparison:
    """Compare two runs of stage II.

    Both read the true units of held-out rows; the emotion is given to neither, so that what the face feels must come
    from the meaning.

    Args:
        tqgf: folder of the run with fusion mode `tqgf` (`model.safetensors`, `facts.json`).
        units_only: folder of the run with fusion mode `units_only`.
        data: data set with all passes.
        split: "validation" or "test".
        limit: most rows; 0 takes all.
    Raises:
        CheckpointError: a folder is no run of stage II, or has another fusion mode than it should.
        InputError: the data set has no such rows.
    """
    from ..train.joint import read_rows

    rows = read_rows(data, split)
    rows = rows[:: max(1, len(rows) // limit)][:limit] if limit else rows
    if not rows:
        raise InputError(f"{data} has no rows in the split {split!r} that every pass has labelled")
    references = [r.face.astype(np.float32) for r in rows]
    reference = np.concatenate(references)
    figures = []
    for folder, mode in ((tqgf, "tqgf"), (units_only, "units_only")):
        face = np.concatenate(_faces(folder, mode, rows))
        figures.append((expression_error(face, reference), lip_vertex_error([(face, reference)])))
    return FusionComparison(figures[0][0], figures[1][0], figures[0][1], figures[1][1], len(rows), len(reference))


def _open_run(folder: Path, mode: str):
    """Unit generator and blendshape decoder of a run, ready to use."""
    from ..model.blendshape_decoder import BlendshapeDecoder
    from ..model.config import BlendshapeDecoderConfig, UnitGeneratorConfig
    from ..model.duration_pace import PacedUnitGenerator
    from ..train.loop import load_parts, load_weights

    try:
        facts = json.loads((folder / "facts.json").read_text("utf-8"))
        generator = PacedUnitGenerator(UnitGeneratorConfig(**facts["generator"]))
        decoder = BlendshapeDecoder(BlendshapeDecoderConfig(**facts["decoder"]))
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"{folder} is not a run of stage II ({error!r})") from error
    if decoder.config.fusion.mode != mode:
        raise CheckpointError(f"{folder} was trained with fusion {decoder.config.fusion.mode!r}, expected {mode!r}")
    load_parts({"generator": generator, "decoder": decoder}, load_weights(folder / "model.safetensors"))
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
            decoded = decoder(batch["units"], states, batch["units"] >= 0, frame_lengths=batch["frame_lengths"])
            for row, face, length in zip(part, decoded.blendshapes, batch["frame_lengths"].tolist(), strict=True):
                known = np.minimum(np.arange(len(row.face)), length - 1)
                faces.append(face.clamp(0, 1).numpy()[known])
    return faces
