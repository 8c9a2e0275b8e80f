"""Stage II on a data set of a few seconds."""

import shutil

import numpy as np
import pytest
import torch

from exomni.core.arkit import INDEX
from exomni.core.errors import CheckpointError, InputError
from exomni.core.timebase import units_to_frames
from exomni.model.tokens import IGNORE_INDEX
from exomni.train.joint import JointConfig, JointTask, collate, read_rows

from .conftest import N_ROWS


def make_task(folder, config, **changes) -> JointTask:
    return JointTask(folder, config.unit_generator, config.blendshape_decoder, JointConfig(**changes))


@pytest.fixture
def task(tiny_data, tiny_config) -> JointTask:
    return make_task(tiny_data, tiny_config)


def draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_rows_are_whole_plain_and_sorted(tiny_data):
    for split, n_rows in N_ROWS.items():
        rows = read_rows(tiny_data, split)
        assert len(rows) == 2 * n_rows
        assert [len(r.units) for r in rows] == sorted(len(r.units) for r in rows)
    row = read_rows(tiny_data, "train")[0]
    assert len(row.phonemes) == len(row.ticks)
    assert len(row.face) == units_to_frames(len(row.units))


def test_a_shard_that_lacks_a_pass_waits(tiny_data, tmp_path):
    folder = shutil.copytree(tiny_data, tmp_path / "copy")
    (folder / "faces" / "t-0001.parquet").unlink()
    assert len(read_rows(folder, "train")) == N_ROWS["train"]


def test_rows_are_padded_and_their_ends_held(tiny_data):
    rows = read_rows(tiny_data, "train")
    short, long = rows[0], rows[-1]
    batch = collate([short, long], [3, 0])
    n_units = len(short.units) + 3
    assert batch["units"].shape == (2, max(n_units, len(long.units)))
    units = batch["units"][0].tolist()
    assert units[: len(short.units)] == short.units.tolist()
    assert units[len(short.units) : n_units] == [int(short.units[-1])] * 3
    assert set(units[n_units:]) <= {IGNORE_INDEX}
    assert batch["frame_lengths"].tolist() == [units_to_frames(n_units), len(long.face)]
    face = batch["face"][0, : units_to_frames(n_units)]
    np.testing.assert_allclose(face[: len(short.face)], short.face.astype(np.float32))
    assert (face[len(short.face) :] == face[len(short.face) - 1]).all()
    assert batch["text_mask"].sum(1).tolist() == [len(short.phonemes), len(long.phonemes)]
    assert batch["llm_mask"].sum(1).tolist() == [len(short.hidden), len(long.hidden)]
    assert batch["durations"].sum(1).tolist() == [int(short.ticks.sum()), int(long.ticks.sum())]
    assert not batch["durations"][~batch["text_mask"]].any()


def test_batches_come_from_the_generator_alone(task):
    first, again, other = (task.batch(draw(seed), 4) for seed in (1, 1, 3))
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert first.keys() == other.keys()
    assert any(first[k].shape != other[k].shape or not torch.equal(first[k], other[k]) for k in first)


def test_conditions_are_withheld_as_often_as_asked(tiny_data, tiny_config):
    always = make_task(tiny_data, tiny_config, no_llm=1, no_states=1, no_emotion=1, wrong_units=1).batch(draw(), 4)
    assert not any(always[name].any() for name in ("llm_mask", "states_known", "emotion_known"))
    real = always["units"] >= 0
    assert (always["given_units"] != always["units"])[real].float().mean() > 0.8
    assert (always["given_units"] == always["units"])[~real].all()
    never = make_task(tiny_data, tiny_config, no_llm=0, no_states=0, no_emotion=0, wrong_units=1).batch(draw(), 4)
    assert never["llm_mask"].any(1).all()
    assert never["states_known"].all()
    assert never["emotion_known"].all()
    assert torch.equal(never["given_units"], never["units"]), "units are wrong only where states are withheld"


def test_fewer_rows_than_a_batch_are_a_batch(task):
    batch = task.batch(draw(), 500)
    assert len(batch["units"]) == len(task.rows)
    assert torch.isfinite(task.losses(batch)["total"])


def test_it_learns_one_batch(task):
    batch = task.batch(draw(), 6)
    parameters = [p for m in task.modules.values() for p in m.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=4e-3)
    losses = []
    for _ in range(25):
        torch.manual_seed(0)
        made = task.losses(batch)
        optimizer.zero_grad()
        made["total"].backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        losses.append({k: float(v.detach()) for k, v in made.items()})
    assert losses[-1]["total"] < 0.7 * losses[0]["total"]
    for name in ("unit", "duration", "shape", "lip_mm2"):
        assert losses[-1][name] < losses[0][name], name
    assert losses[-1]["accuracy"] > losses[0]["accuracy"]


def test_the_faces_gradient_reaches_the_generator(task):
    batch = task.batch(draw(1), 4)
    batch["states_known"][:] = True
    out = task.generator(batch["text_ids"], batch["text_mask"], batch["durations"], batch["units"],
                         batch["llm_states"], batch["llm_mask"])  # fmt: skip
    task._face(batch, out.hidden_states).square().mean().backward()
    assert task.generator.backbone.layers[0].self_attn.q_proj.weight.grad.abs().sum() > 0


def test_the_lip_loss_is_the_mean_squared_distance_of_the_lips(task):
    from exomni.face.head import Head

    head = Head.load()
    batch = task.batch(draw(), 2)
    moved = batch["face"].clone()
    moved[..., INDEX["jawOpen"]] += 0.1
    deltas = 0.1 * head.deltas_mm[INDEX["jawOpen"], head.lip_vertices]
    expected = float(np.square(deltas).sum(-1).mean())
    assert float(task._lip_loss(moved, batch)) == pytest.approx(expected, rel=1e-3)


def test_shapes_at_random_weigh_little_and_expressions_much(task):
    assert task.weights[INDEX["eyeBlinkLeft"]] == pytest.approx(0.1)
    assert task.weights[INDEX["mouthSmileLeft"]] == pytest.approx(3.0)
    assert task.weights[INDEX["jawOpen"]] == 1


def test_validation_is_with_states_and_with_units_alone(task):
    for module in task.modules.values():
        module.eval()
    with torch.inference_mode():
        figures = task.validate()
        again = task.validate()
    assert figures == again
    assert {"valid_unit", "valid_shape", "valid_lip_mm2", "valid_lip_mm2_units_alone"} <= figures.keys()
    assert figures["valid_lip_mm2"] != figures["valid_lip_mm2_units_alone"]
    assert all(np.isfinite(v) for v in figures.values())


def test_emotion_is_read_from_rows_of_any_length(task):
    batches = [task.batch(draw(), 2) for _ in range(2)]
    for name in ("read_states", "read_mask", "read_emotion"):
        assert torch.equal(batches[0][name], batches[1][name])
        assert len(batches[0][name]) == task.config.emotion_rows
    counts = batches[0]["read_mask"].sum(1)
    assert (counts > 0).all()
    whole = {len(r.hidden) for r in task.rows}
    assert any(int(n) not in whole for n in counts), "some rows are read in part"


def test_a_given_emotion_comes_with_the_face_that_it_makes(task):
    batch = task.batch(draw(), 6)
    faces = {tuple(r.posed_emotion.tolist()): (r.face, r.posed) for r in task.rows}
    for i, known in enumerate(batch["emotion_known"].tolist()):
        face, posed = faces[tuple(batch["posed_emotion"][i].tolist())]
        wanted = torch.from_numpy((posed if known else face).astype(np.float32))
        torch.testing.assert_close(batch["face"][i, : len(wanted)], wanted)


def test_a_set_without_rows_is_refused(tiny_config, tmp_path):
    (tmp_path / "speech").mkdir()
    with pytest.raises(InputError, match="0 rows"):
        make_task(tmp_path, tiny_config)


def test_a_training_can_begin_with_a_release_made_for_other_units(tiny_data, tiny_config, tmp_path):
    def made(n_levels: int, seed: int) -> JointTask:
        levels = (2,) * n_levels
        generator, decoder = (
            part.model_copy(update={"n_units": 2**n_levels, "unit_levels": levels})
            for part in (tiny_config.unit_generator, tiny_config.blendshape_decoder)
        )
        return JointTask(tiny_data, generator, decoder, JointConfig(), seed)

    old, new = made(6, seed=1), made(7, seed=2)
    release_like = {f"{n}.{k}": v for n, m in old.modules.items() for k, v in m.state_dict().items()}
    table = new.generator.unit_embedding.weight.clone()
    new.start_from(release_like)
    assert torch.equal(new.generator.backbone.state_dict()["norm.weight"], old.generator.backbone.norm.weight)
    assert torch.equal(new.decoder.head[1].weight, old.decoder.head[1].weight)
    assert torch.equal(new.generator.unit_embedding.weight, table)
    release_like.pop("decoder.head.1.weight")
    with pytest.raises(CheckpointError, match=r"head\.1\.weight"):
        new.start_from(release_like)
