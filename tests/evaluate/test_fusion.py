"""The ablation of fusion on decoders whose faces are known."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from exomni.core.arkit import EXPRESSION, INDEX
from exomni.core.errors import CheckpointError, InputError
from exomni.core.timebase import units_to_frames
from exomni.evaluate.fusion_study import compare_fusion
from exomni.model.blendshape_decoder import BlendshapeDecoder
from exomni.model.config import with_fusion
from exomni.model.duration_pace import PacedUnitGenerator, ticks_to_units
from exomni.train.joint import JointRow

LABEL = 0.5


def write_run(folder, config, value: float):
    """A run of stage II whose every face is `value` in every shape."""
    configs = {"generator": config.unit_generator, "decoder": config.blendshape_decoder}
    parts = {"generator": PacedUnitGenerator(configs["generator"]), "decoder": BlendshapeDecoder(configs["decoder"])}
    with torch.no_grad():
        parts["decoder"].head[-1].weight.zero_()
        parts["decoder"].head[-1].bias.fill_(value)
    folder.mkdir()
    state = {f"{name}.{k}": v.contiguous() for name, part in parts.items() for k, v in part.state_dict().items()}
    save_file(state, folder / "model.safetensors")
    (folder / "facts.json").write_text(json.dumps({n: c.model_dump(mode="json") for n, c in configs.items()}))
    return folder


def make_row(n_phonemes: int) -> JointRow:
    ticks = np.full(n_phonemes, 4)
    n_units = ticks_to_units(int(ticks.sum()))
    face = np.full((units_to_frames(n_units), 52), LABEL, np.float16)
    return JointRow("text", np.arange(n_phonemes) % 12, ticks, np.zeros(n_units, int), np.zeros((3, 24), np.float32),
                    face, np.zeros(5, np.float32), face, np.zeros(5, np.float32))  # fmt: skip


@pytest.fixture
def rows(monkeypatch) -> list[JointRow]:
    rows = [make_row(n) for n in (8, 12, 20)]
    monkeypatch.setattr("exomni.train.joint.read_rows", lambda folder, split: rows if split == "validation" else [])
    return rows


@pytest.fixture
def runs(tmp_path, tiny_config):
    values = {"tqgf": 0.4, "units_only": 0.3}
    return {m: write_run(tmp_path / m, with_fusion(tiny_config, m), v) for m, v in values.items()}


def test_errors_and_their_ratio(runs, rows, tmp_path):
    result = compare_fusion(runs, tmp_path)
    lines = {line["fusion"]: line for line in result["table"]}
    assert lines["tqgf"]["expr error"] == pytest.approx(0.01, rel=1e-3)
    assert lines["units_only"]["expr error"] == pytest.approx(0.04, rel=1e-3)
    assert lines["tqgf"]["ratio"] == pytest.approx(0.25, rel=1e-3)
    assert lines["units_only"]["ratio"] == 1
    assert result["rows"] == 3
    assert result["frames"] == sum(len(r.face) for r in rows)
    assert result["expr error of neutral"] == pytest.approx(LABEL**2)


def test_only_expression_counts_in_the_error(runs, rows, tmp_path):
    others = [i for name, i in INDEX.items() if name not in EXPRESSION]
    for row in rows:
        row.face[:, others] = 0.9
    lines = compare_fusion(runs, tmp_path)["table"]
    assert lines[0]["expr error"] == pytest.approx(0.01, rel=1e-3)


@pytest.mark.usefixtures("rows")
def test_a_limit_takes_fewer_rows(runs, tmp_path):
    assert compare_fusion(runs, tmp_path, limit=2)["rows"] == 2


@pytest.mark.usefixtures("rows")
def test_runs_that_are_not_what_they_are_called_are_refused(runs, tmp_path):
    with pytest.raises(CheckpointError, match="expected 'tqgf'"):
        compare_fusion({**runs, "tqgf": runs["units_only"]}, tmp_path)
    with pytest.raises(CheckpointError, match="not a run"):
        compare_fusion({**runs, "tqgf": tmp_path / "nowhere"}, tmp_path)


@pytest.mark.usefixtures("rows")
def test_there_must_be_a_baseline_and_rows(runs, tmp_path):
    with pytest.raises(InputError, match="units_only"):
        compare_fusion({"tqgf": runs["tqgf"]}, tmp_path)
    with pytest.raises(InputError, match="test"):
        compare_fusion(runs, tmp_path, split="test")
