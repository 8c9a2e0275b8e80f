"""Every stage of the table one after another, and the weights that come out of them."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from exomni.core.errors import AssetError, CheckpointError, ConfigError, UserError
from exomni.data.store import PASSES, data_hash, read_shard
from exomni.model.numbers import numbers
from exomni.parts.loading import load_parts
from exomni.parts.nano.weights import NETWORKS
from exomni.parts.ports import Clause, SpokenText
from exomni.train.loop import LoopConfig, train
from exomni.train.release import RUN_PARTS, release, release_expression, released_folder, released_weights, stand_in
from exomni.train.stages import STAGES, load_recipe, provenance

TALKING = {name: stage for name, stage in STAGES.items() if stage.recipe == "nano"}
"""The stages of hearing have tests of their own: they need no LLM to be told from those."""


def loop_of(recipe, stage: str) -> LoopConfig:
    """The stage's own loop, two steps long."""
    loop = getattr(recipe, stage).loop
    return loop.model_copy(update={"steps": 2, "batch_size": 3, "validate_every": 2})


@pytest.fixture(scope="session")
def data(tiny_data, tmp_path_factory):
    """A copy of the data set, since stage II writes units of its own into it."""
    return shutil.copytree(tiny_data, tmp_path_factory.mktemp("staged") / "data")


@pytest.fixture(scope="session")
def runs(data, tiny_config, tmp_path_factory):
    """A folder with a run of every stage, as the recipe of `nano` sets them up."""
    folder, recipe = tmp_path_factory.mktemp("runs"), load_recipe("nano")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("exomni.train.loop.plot_curve", lambda path: path)
        for name, stage in TALKING.items():
            task = stage.setup(recipe, tiny_config, data, folder)
            train(task, loop_of(recipe, name), folder / name, origin=provenance(data), report=str)
    return folder


@pytest.fixture
def run_folders(runs):
    return {name: runs / name for name in RUN_PARTS}


def test_the_recipe_covers_every_stage():
    recipe = load_recipe("nano")
    for name, stage in TALKING.items():
        assert set(getattr(recipe, name).loop.rates) <= {"tokenizer", "generator", "decoder"}
        assert all(getattr(stage, f.name) for f in dataclasses.fields(stage) if f.name != "continues")
        assert set(stage.passes) <= set(PASSES)


def test_recipes_are_checked(tmp_path):
    with pytest.raises(ConfigError, match="neither a recipe"):
        load_recipe("mega")
    (tmp_path / "bad.yaml").write_text("data: {hours: {templates: 1}, colour: 3}")
    with pytest.raises(ConfigError, match="colour"):
        load_recipe(tmp_path / "bad.yaml")
    (tmp_path / "no.yaml").write_text("a: [")
    with pytest.raises(ConfigError):
        load_recipe(tmp_path / "no.yaml")


def test_a_recipe_holds_only_what_differs_from_its_base(tmp_path):
    (tmp_path / "mine.yaml").write_text("base: nano\ndata: {hours: {templates: 1}, teacher: audio2face3d}")
    mine, nano = load_recipe(tmp_path / "mine.yaml"), load_recipe("nano")
    assert mine.data == nano.data.model_copy(update={"hours": {"templates": 1.0}, "teacher": "audio2face3d"})
    assert mine.joint == nano.joint


def test_later_stages_need_the_earlier(tiny_data, tiny_config, tmp_path):
    for name in ("decoder", "joint", "expression", "face"):
        with pytest.raises(UserError, match="train it first"):
            STAGES[name].setup(load_recipe("nano"), tiny_config, tiny_data, tmp_path)


def test_each_stage_trains_what_the_table_says(runs):
    weights = {name: load_file(runs / name / "model.safetensors") for name in ("speech", "decoder", "joint", "face")}

    def same(part: str, one: str, other: str) -> bool:
        keys = [k for k in weights[one] if k.startswith(f"{part}.")]
        assert keys
        return all(torch.equal(weights[one][k], weights[other][k]) for k in keys)

    assert same("tokenizer", "speech", "decoder")
    assert not same("decoder", "speech", "decoder")
    assert same("generator", "joint", "face")
    assert not same("decoder", "joint", "face")


def test_units_are_the_trained_tokenizers(runs, data, tiny_config):
    from exomni.model.unit_tokenizer import UnitTokenizer

    tokenizer = UnitTokenizer(tiny_config.unit_tokenizer).eval()
    state = load_file(runs / "speech" / "model.safetensors")
    tokenizer.load_state_dict({k.removeprefix("tokenizer."): v for k, v in state.items() if k.startswith("tokenizer")})
    row = next(iter(read_shard(data / "features" / "t-0000.parquet")))
    units = next(r["units"] for r in read_shard(data / "units" / "t-0000.parquet") if r["id"] == row["id"])
    with torch.inference_mode():
        ids = tokenizer(torch.tensor(row["features"], dtype=torch.float32)[None])[1][0]
    assert units.tolist() == ids.tolist()


def test_a_checkpoint_says_where_it_came_from(runs):
    facts = json.loads((runs / "joint" / "facts.json").read_text())
    assert facts["loop"]["seed"] == load_recipe("nano").joint.loop.seed
    assert len(facts["data"]) == 64
    assert facts["generator"]["n_units"] == 36
    assert "commit" in facts


def test_provenance_names_the_data(tiny_data):
    origin = provenance(tiny_data)
    assert origin["data"] == data_hash(tiny_data)
    assert origin["version"]


def test_provenance_without_git(tiny_data, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert provenance(tiny_data)["commit"] == ""


def test_released_weights_make_a_nano(run_folders, tiny_config, voice_folder, tmp_path):
    size = release(run_folders, tmp_path / "weights", {"data": "d" * 64, "commit": "c"})
    assert {p.name for p in (tmp_path / "weights").iterdir()} == {f"{p}.safetensors" for p in NETWORKS} | {"facts.json"}
    assert size == sum(p.stat().st_size for p in (tmp_path / "weights").iterdir())
    assert json.loads((tmp_path / "weights" / "facts.json").read_text())["numbers"] == numbers()
    preset = {"parts": {"voice": "hibari", "unit_generator": "nano"}} | tiny_config.model_dump(mode="json")
    (tmp_path / "weights" / "preset.yaml").write_text(yaml.safe_dump(preset))
    parts = load_parts(tmp_path / "weights")
    assert parts.facts.data == "d" * 64
    made = parts.unit_generator.generate(SpokenText(Clause(""), "hˈI ðˈɛɹ"), seed=0, speed=1.0)
    assert parts.voice.speak(made, 0).shape == (1920 * len(made.units),)


def test_each_part_comes_from_its_run(run_folders, tmp_path):
    release(run_folders, tmp_path, {"data": ""})
    for run, parts in RUN_PARTS.items():
        trained = load_file(run_folders[run] / "model.safetensors")
        for module, part in parts.items():
            shipped = load_file(tmp_path / f"{part}.safetensors")
            assert set(shipped) == {k.removeprefix(f"{module}.") for k in trained if k.startswith(f"{module}.")}
            for key, value in shipped.items():
                whole = trained[f"{module}.{key}"]
                assert value.dtype == (torch.float16 if whole.is_floating_point() else whole.dtype)
                torch.testing.assert_close(value.float(), whole.float(), atol=2e-3, rtol=1e-3)


def test_released_facts_tell_of_every_run(run_folders, tmp_path):
    release(run_folders, tmp_path, {"data": "d" * 64, "commit": "c"})
    facts = json.loads((tmp_path / "facts.json").read_text())
    assert facts["data"] == "d" * 64
    assert facts["runs"].keys() == set(RUN_PARTS)
    assert all(run["step"] == 2 for run in facts["runs"].values())


def test_a_missing_run_or_part_is_refused(run_folders, tmp_path):
    name = next(iter(RUN_PARTS))
    others = {k: v for k, v in run_folders.items() if k != name}
    (tmp_path / "empty").mkdir()
    for folders in (others, others | {name: tmp_path / "empty"}, others | {name: run_folders["joint"]}):
        with pytest.raises(CheckpointError):
            release(folders, tmp_path / "weights", {"data": ""})


def test_a_run_that_does_not_say_how_it_was_trained_is_refused(run_folders, tmp_path):
    name = next(iter(RUN_PARTS))
    copy = shutil.copytree(run_folders[name], tmp_path / "copy")
    (copy / "facts.json").unlink()
    with pytest.raises(CheckpointError, match="how it was trained"):
        release(run_folders | {name: copy}, tmp_path / "weights", {"data": ""})


def test_released_weights_can_stand_for_earlier_runs(run_folders, runs, data, tiny_config, tmp_path):
    release(run_folders, tmp_path / "weights", {"data": ""})
    assert stand_in(tmp_path / "weights", tmp_path / "runs") == ["speech", "joint"]
    assert stand_in(tmp_path / "weights", tmp_path / "runs") == []
    shutil.rmtree(tmp_path / "runs" / "joint")
    with pytest.raises(CheckpointError, match="joint"):
        stand_in(tmp_path / "weights", tmp_path / "runs")
    shutil.rmtree(tmp_path / "runs")
    stand_in(tmp_path / "weights", tmp_path / "runs")
    for run in ("speech", "joint"):
        trained, made = (load_file(folder / run / "model.safetensors") for folder in (runs, tmp_path / "runs"))
        assert trained.keys() == made.keys()
    for name in ("decoder", "joint", "expression", "face"):
        STAGES[name].setup(load_recipe("nano"), tiny_config, data, tmp_path / "runs")


def test_expression_goes_on_with_the_decoder_and_learns_to_read_emotion(run_folders, runs, data, tiny_config, tmp_path):
    recipe, joint = load_recipe("nano"), load_file(runs / "joint" / "model.safetensors")
    task = STAGES["expression"].setup(recipe, tiny_config, data, runs)
    before = {k: v.clone() for k, v in task.decoder.state_dict().items()}
    assert torch.equal(before["head.1.weight"], joint["decoder.head.1.weight"])
    figures = train(task, loop_of(recipe, "expression"), tmp_path / "expression", origin={}, report=str)
    assert figures["valid_emotion"] > 0
    changed = {k.split(".")[0] for k, v in task.decoder.state_dict().items() if not torch.equal(v, before[k])}
    assert {"emotion_reader", "head", "fusion"} <= changed
    release(run_folders, tmp_path / "weights", {"data": "d", "commit": "c"})
    release_expression(tmp_path / "expression", tmp_path / "weights")
    shipped = load_file(tmp_path / "weights" / "blendshape_decoder.safetensors")
    assert any(k.startswith("emotion_reader.") for k in shipped)
    facts = json.loads((tmp_path / "weights" / "facts.json").read_text())
    assert facts["runs"].keys() == {*RUN_PARTS, "expression"}
    with pytest.raises(CheckpointError):
        release_expression(tmp_path / "none", tmp_path / "weights")
    with pytest.raises(CheckpointError, match="no run of stage"):
        release_expression(runs / "decoder", tmp_path / "weights")


def test_only_stages_that_can_go_on_from_a_release_do(tiny_config, tmp_path):
    assert {name for name, stage in STAGES.items() if stage.continues} == {"joint", "reading"}


def test_shipped_weights_are_named_by_hash_and_stay_when_others_take_their_place(tmp_path, monkeypatch):
    monkeypatch.setenv("EXOMNI_CACHE", str(tmp_path / "cache"))
    folder = released_folder(Path("shipped"))
    assert {p.name for p in folder.glob("*.safetensors")} == {
        f"{part}.safetensors" for part in (*NETWORKS, "listening")
    }
    assert released_weights(folder, "joint").keys() > {"generator.start"}
    (tmp_path / "other").write_bytes(b"others")
    monkeypatch.setenv("EXOMNI_ASSET_NANO_UNIT_GENERATOR", str(tmp_path / "other"))
    assert released_folder(Path("shipped")) == folder
    monkeypatch.setenv("EXOMNI_CACHE", str(tmp_path / "empty"))
    with pytest.raises(AssetError, match="nano-unit-generator"):
        released_folder(Path("shipped"))
    assert released_folder(tmp_path) == tmp_path
