"""The loop on a toy: resumed equals unbroken, averages are what is judged, and nothing is loaded silently."""

import csv
import json
import math

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from torch import nn

from exomni.core.errors import CheckpointError
from exomni.train.loop import LoopConfig, load_modules, load_weights, plot_curve, rate_factor, train

ORIGIN = {"commit": "c0ffee", "data": "d" * 64}


class Toy:
    """Learns a line through noise, with dropout, a frozen part and a buffer."""

    def __init__(self, width: int = 8, stop_at: int | None = None):
        torch.manual_seed(0)
        self.modules = {
            "net": nn.Sequential(nn.Linear(4, width), nn.GELU(), nn.Dropout(0.3), nn.Linear(width, 1)),
            "frozen": nn.BatchNorm1d(4),
        }
        self.stop_at, self.n_batches = stop_at, 0
        self.judged: list[torch.Tensor] = []
        self.training: list[bool] = []

    def batch(self, generator, size):
        self.n_batches += 1
        if self.stop_at is not None and self.n_batches > self.stop_at:
            raise KeyboardInterrupt
        x = torch.randn(size, 4, generator=generator)
        return {"x": x, "y": x.sum(1, keepdim=True) + 0.1 * torch.randn(size, 1, generator=generator)}

    def losses(self, batch):
        self.training.append(self.modules["net"].training)
        error = self.modules["net"](self.modules["frozen"](batch["x"])) - batch["y"]
        return {"total": error.square().mean(), "absolute": error.abs().mean()}

    def validate(self):
        assert torch.is_inference_mode_enabled()
        assert not self.modules["net"].training
        self.judged.append(self.modules["net"][0].weight.clone())
        x = torch.ones(5, 4)
        return {"valid_total": float(self.losses({"x": x, "y": x.sum(1, keepdim=True)})["total"])}

    def facts(self):
        return {"toy": True}


@pytest.fixture(autouse=True)
def no_picture(monkeypatch):
    """Drawing takes longer than all the rest."""
    monkeypatch.setattr("exomni.train.loop.plot_curve", lambda path: path)


def config(**changes) -> LoopConfig:
    base = {"seed": 3, "steps": 12, "batch_size": 6, "rates": {"net": 0.01}, "validate_every": 4, "average": 0.9}
    return LoopConfig(**(base | changes))


def go(task, folder, loop=None, **options):
    return train(task, loop or config(), folder, origin=ORIGIN, report=lambda line: None, **options)


def same(a, b) -> bool:
    """Whether two nests of tensors are equal to the bit."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


@pytest.mark.parametrize("stop_at", [4, 7, 8, 11])
def test_a_resumed_run_equals_an_unbroken_one(tmp_path, stop_at):
    whole = go(Toy(), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        go(Toy(stop_at=stop_at), tmp_path / "stopped")
    resumed = Toy()
    assert go(resumed, tmp_path / "stopped") == whole
    assert resumed.n_batches == 12 - stop_at // 4 * 4
    states = [torch.load(tmp_path / name / "state.pt", weights_only=True) for name in ("whole", "stopped")]
    assert same(*states)
    weights = [load_file(tmp_path / name / "model.safetensors") for name in ("whole", "stopped")]
    assert same(*weights)
    curves = [list(csv.DictReader((tmp_path / n / "curve.csv").open())) for n in ("whole", "stopped")]
    assert [{k: v for k, v in r.items() if k != "seconds"} for r in curves[0]] == [
        {k: v for k, v in r.items() if k != "seconds"} for r in curves[1]
    ]


def test_the_seed_decides(tmp_path):
    results = [go(Toy(), tmp_path / str(i), config(seed=seed)) for i, seed in enumerate((1, 1, 2))]
    assert results[0] == results[1] != results[2]


def test_a_run_can_be_lengthened(tmp_path):
    go(Toy(), tmp_path, config(decay=0.0))
    go(Toy(), tmp_path, config(steps=20, decay=0.0))
    whole = go(Toy(), tmp_path / "whole", config(steps=20, decay=0.0, warmup=0.05))
    assert json.loads((tmp_path / "facts.json").read_text())["step"] == 20
    assert whole["valid_total"] >= 0


def test_a_finished_run_is_left_alone(tmp_path):
    first = go(Toy(), tmp_path)
    before = (tmp_path / "model.safetensors").read_bytes()
    again = Toy()
    assert go(again, tmp_path) == first
    assert again.n_batches == 0
    assert (tmp_path / "model.safetensors").read_bytes() == before


def test_it_learns(tmp_path):
    losses = [go(Toy(), tmp_path / str(steps), config(steps=steps))["valid_total"] for steps in (4, 120)]
    assert losses[1] < 0.3 * losses[0]


def test_all_files_are_written(tmp_path, monkeypatch):
    monkeypatch.undo()
    go(Toy(), tmp_path)
    names = {p.name for p in tmp_path.iterdir()}
    assert names == {"state.pt", "model.safetensors", "facts.json", "curve.csv", "curve.png"}
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    rows = list(csv.DictReader((tmp_path / "curve.csv").open()))
    assert [r["step"] for r in rows] == ["4", "8", "12"]
    assert list(rows[0]) == ["step", "seconds", "train_total", "train_absolute", "valid_total"]
    facts = json.loads((tmp_path / "facts.json").read_text())
    assert facts["step"] == 12
    assert facts["toy"] is True
    assert (facts["commit"], facts["data"]) == ("c0ffee", "d" * 64)
    assert LoopConfig.model_validate(facts["loop"]) == config()


def test_validation_sees_the_average_and_training_goes_on_without_it(tmp_path):
    task = Toy()
    go(task, tmp_path)
    saved = load_file(tmp_path / "model.safetensors")
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    assert torch.equal(task.judged[-1], saved["net.0.weight"])
    assert torch.equal(task.modules["net"][0].weight, state["modules"]["net"]["0.weight"])
    assert not torch.equal(saved["net.0.weight"], state["modules"]["net"]["0.weight"])
    assert torch.equal(saved["net.0.weight"], state["average"]["net.0.weight"])


def test_the_average_is_the_running_one(tmp_path):
    class Watched(Toy):
        def __init__(self):
            super().__init__()
            self.seen = [self.modules["net"][0].weight.detach().clone()]

        def batch(self, generator, size):
            if self.n_batches:
                self.seen.append(self.modules["net"][0].weight.detach().clone())
            return super().batch(generator, size)

    task = Watched()
    go(task, tmp_path)
    task.seen.append(task.modules["net"][0].weight.detach())
    average = task.seen[0]
    for step, weight in enumerate(task.seen[1:], 1):
        decay = min(0.9, (1 + step) / (10 + step))
        average = decay * average + (1 - decay) * weight
    torch.testing.assert_close(load_file(tmp_path / "model.safetensors")["net.0.weight"], average)


def test_without_averaging_the_weights_are_the_last(tmp_path):
    task = Toy()
    go(task, tmp_path, config(average=0.0))
    assert torch.equal(load_file(tmp_path / "model.safetensors")["net.0.weight"], task.modules["net"][0].weight)


def test_what_has_no_rate_does_not_change(tmp_path):
    task = Toy()
    before = {k: v.clone() for k, v in task.modules["frozen"].state_dict().items()}
    go(task, tmp_path)
    assert same(task.modules["frozen"].state_dict(), before)
    assert all(task.training[:4])
    assert not any(p.requires_grad for p in task.modules["frozen"].parameters())


def test_a_state_of_other_shapes_is_refused(tmp_path):
    go(Toy(), tmp_path)
    with pytest.raises(CheckpointError, match="does not fit"):
        go(Toy(width=9), tmp_path, config(steps=20))


def test_a_state_of_other_parts_is_refused(tmp_path):
    go(Toy(), tmp_path)
    more, fewer, others = Toy(), Toy(), Toy()
    more.modules["extra"] = nn.Linear(1, 1)
    del fewer.modules["frozen"]
    others.modules["renamed"] = others.modules.pop("frozen")
    for task in (more, fewer, others):
        with pytest.raises(CheckpointError):
            go(task, tmp_path, config(steps=20))


def test_a_state_of_other_trained_parts_is_refused(tmp_path):
    go(Toy(), tmp_path)
    with pytest.raises(CheckpointError):
        go(Toy(), tmp_path, config(steps=20, rates={"net": 0.01, "frozen": 0.01}))


def test_averaging_cannot_be_switched_on_the_way(tmp_path):
    go(Toy(), tmp_path / "on")
    go(Toy(), tmp_path / "off", config(average=0.0))
    with pytest.raises(CheckpointError, match="averaging on"):
        go(Toy(), tmp_path / "on", config(steps=20, average=0.0))
    with pytest.raises(CheckpointError, match="averaging off"):
        go(Toy(), tmp_path / "off", config(steps=20))


@pytest.mark.parametrize("content", [b"", b"no state", None])
def test_a_damaged_state_is_refused(tmp_path, content):
    go(Toy(), tmp_path)
    path = tmp_path / "state.pt"
    path.write_bytes(path.read_bytes()[:700] if content is None else content)
    with pytest.raises(CheckpointError, match=r"state\.pt"):
        go(Toy(), tmp_path, config(steps=20))


def test_a_changed_rate_counts_after_resuming(tmp_path):
    go(Toy(), tmp_path)
    before = load_file(tmp_path / "model.safetensors")["net.0.weight"]
    frozen = config(steps=16, rates={"net": 0.0}, average=0.9)
    task = Toy()
    go(task, tmp_path, frozen)
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    assert state["optimizer"]["param_groups"][0]["lr"] == 0
    assert before.shape == state["average"]["net.0.weight"].shape


def test_rates_rise_stay_and_fall():
    loop = config(steps=1000, warmup=0.1, decay=0.3)
    factors = [rate_factor(step, loop) for step in range(1000)]
    assert factors[:100] == sorted(factors[:100])
    assert factors[0] == pytest.approx(0.01)
    assert set(factors[100:700]) == {1.0}
    assert factors[701:] == sorted(factors[701:], reverse=True)
    assert factors[-1] == pytest.approx(0.01, abs=1e-3)


@pytest.mark.parametrize("steps", [1, 3, 10, 30, 33, 4839])
@pytest.mark.parametrize("warmup", [0.0, 0.05, 0.37])
@pytest.mark.parametrize("decay", [0.0, 0.3, 1.0])
def test_rates_stay_within_bounds(steps, warmup, decay):
    loop = config(steps=steps, warmup=warmup, decay=decay)
    assert all(0 < rate_factor(step, loop) <= 1 for step in range(steps))
    assert all(math.isfinite(rate_factor(step, loop)) for step in range(steps))


@pytest.mark.parametrize(
    "changes", [{"steps": 0}, {"batch_size": 0}, {"warmup": 1.0}, {"average": 1.0}, {"validate_every": 0}, {"lr": 1}]
)
def test_a_configuration_is_checked(changes):
    with pytest.raises(ValidationError):
        config(**changes)


def test_parts_load_strictly():
    parts = {"a": nn.Linear(2, 3), "b": nn.Linear(3, 1)}
    weights = {f"{n}.{k}": torch.ones_like(v) for n, m in parts.items() for k, v in m.state_dict().items()}
    load_modules(parts, weights)
    assert all(p.eq(1).all() for m in parts.values() for p in m.parameters())
    missing = {k: v for k, v in weights.items() if k != "b.bias"}
    for bad in (missing, weights | {"a.more": torch.ones(1)}, weights | {"a.weight": torch.ones(3, 3)}):
        with pytest.raises(CheckpointError, match=r"part '[ab]'"):
            load_modules(parts, bad)


def test_weights_that_cannot_be_read_are_refused(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    for path in (tmp_path / "model.safetensors", tmp_path / "nowhere.safetensors"):
        with pytest.raises(CheckpointError, match="safetensors cannot be read"):
            load_weights(path)


def test_a_curve_is_drawn_beside_its_figures(tmp_path):
    (tmp_path / "curve.csv").write_text("step,seconds,a,b\n1,0.5,1.0,2.0\n2,1.0,0.5,1.5\n")
    picture = plot_curve(tmp_path / "curve.csv")
    assert picture == tmp_path / "curve.png"
    assert picture.stat().st_size > 1000
