"""One training loop, for every stage: it reads top to bottom, and a stopped run goes on at its step.

A `Task` says what trains on what; the loop draws batches by (seed, step), so that a resumed run sees what an
unbroken one would have seen, steps AdamW, keeps an average of the weights, validates, and writes checkpoints,
`curve.csv` and `curve.png`.
"""

import csv
import json
import math
import pickle
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from tqdm import tqdm

from ..core.atomic import atomic_path
from ..core.configuration import StrictConfig
from ..core.errors import CheckpointError, UserError
from ..data.report import save_plot


class LoopConfig(StrictConfig):
    """How long and how hard to train.

    Attributes:
        seed: of batches, dropout and initial weights.
        steps: optimiser steps in all.
        batch_size: rows in a step.
        rates: learning rate of each trained part, by name.
        warmup: share of the steps in which the rate rises.
        decay: share of the steps, at the end, in which it falls to 1% (the middle is level, so that a run can be
            lengthened).
        weight_decay: of AdamW.
        clip: largest norm of the gradient.
        average: decay of the running average of the weights, which is what validation and users get; 0 is off.
        validate_every: steps between validations and checkpoints.
        threads: CPU threads; 0 leaves torch's own choice.
    """

    seed: int = 0
    steps: int = Field(gt=0)
    batch_size: int = Field(gt=0)
    rates: dict[str, float]
    warmup: float = Field(0.05, ge=0, lt=1)
    decay: float = Field(0.3, ge=0, le=1)
    weight_decay: float = 0.01
    clip: float = 1.0
    average: float = Field(0.998, ge=0, lt=1)
    validate_every: int = Field(200, gt=0)
    threads: int = 0


class Task(Protocol):
    """What a stage trains.

    Attributes:
        modules: every part whose weights belong in the checkpoint, by name; parts named in `LoopConfig.rates` train.
    """

    modules: dict[str, nn.Module]

    def batch(self, generator: torch.Generator, size: int) -> Mapping[str, torch.Tensor]:
        """Draw a training batch; all randomness comes from `generator`."""
        ...

    def losses(self, batch: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Scalars of a batch; "total" is what is minimised."""
        ...

    def validate(self) -> dict[str, float]:
        """Figures on held-out rows, with gradients off and modules in evaluation mode."""
        ...

    def facts(self) -> dict:
        """What is saved with the checkpoint: resolved configuration, data hash."""
        ...


class ContinuedTask(Task, Protocol):
    """A task that can begin with the weights of an earlier release."""

    def start_from(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Load them; what the release did not have yet stays new."""
        ...


@dataclass
class _State:
    step: int
    optimizer: torch.optim.Optimizer
    average: dict[str, torch.Tensor]
    figures: dict[str, float]


def checked_device(name: str) -> str:
    """A device's name, if training can run there.

    Raises:
        UserError: no such device here.
    """
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"device {name!r} cannot be used here ({str(error).splitlines()[0]}); try cpu") from error
    return name


def rate_factor(step: int, config: LoopConfig) -> float:
    """Learning-rate factor at a step: rise, level, then a cosine down to 1%."""
    rise, fall = config.warmup * config.steps, config.decay * config.steps
    if step < rise:
        return min(1.0, (step + 1) / rise)
    if fall and step > config.steps - fall:
        return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (step - config.steps + fall) / fall))
    return 1.0


def train(
    task: Task, config: LoopConfig, folder: Path, *, origin: Mapping[str, str], device: str = "cpu", report=print
) -> dict[str, float]:
    """Train a task, from where `folder` left off.

    Args:
        task: what trains on what.
        config: how.
        folder: for `state.pt` (resume), `model.safetensors` (averaged weights), `facts.json`, the curves.
        origin: saved with each checkpoint: the commit, and the hash of the data (see `stages.provenance`).
        device: "cpu" or "cuda".
        report: called with a line of progress.
    Returns:
        The last validation's figures.
    Raises:
        CheckpointError: `folder` holds a state of other parts or shapes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if config.threads:
        torch.set_num_threads(config.threads)
    for name, module in task.modules.items():
        module.to(device).requires_grad_(name in config.rates)
    state = _start(task, config, folder, device)
    sums: dict[str, float] = {}
    counted, began = 0, time.perf_counter()
    with tqdm(total=config.steps, initial=state.step, unit="step", disable=None) as bar:
        while state.step < config.steps:
            batch = _draw(task, config, state.step, device)
            losses = _step(task, config, state, batch)
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + float(value.detach())
            counted += 1
            bar.update()
            if state.step % config.validate_every == 0 or state.step == config.steps:
                state.figures = _validate(task, state)
                means = {f"train_{k}": v / counted for k, v in sums.items()}
                row = {"step": state.step, "seconds": time.perf_counter() - began} | means | state.figures
                _append(folder / "curve.csv", row)
                _save(task, config, state, folder, origin)
                report(" ".join(f"{k}={v:.4g}" for k, v in row.items()))
                sums, counted = {}, 0
    plot_curve(folder / "curve.csv")
    return state.figures


def _start(task: Task, config: LoopConfig, folder: Path, device: str) -> _State:
    groups = [
        {"params": [p for p in task.modules[name].parameters() if p.requires_grad], "lr": rate, "base": rate}
        for name, rate in config.rates.items()
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=config.weight_decay, betas=(0.9, 0.98))
    average = {
        k: v.detach().clone().float()
        for k, v in weights_of(task.modules).items()
        if config.average and v.is_floating_point()
    }
    path = folder / "state.pt"
    if not path.exists():
        return _State(0, optimizer, average, {})
    saved = _read_state(path, device)
    if set(saved["modules"]) != set(task.modules):
        raise CheckpointError(f"{path} holds {sorted(saved['modules'])}, this stage has {sorted(task.modules)}")
    if bool(saved["average"]) != bool(config.average):
        raise CheckpointError(f"{path} was made with averaging {'on' if saved['average'] else 'off'}; keep it so")
    try:
        for name, module in task.modules.items():
            module.load_state_dict(saved["modules"][name], strict=True)
        optimizer.load_state_dict(saved["optimizer"])
    except (RuntimeError, ValueError) as error:
        raise CheckpointError(f"{path} does not fit this stage: {error}; give another folder") from error
    for group, rate in zip(optimizer.param_groups, config.rates.values(), strict=True):
        group["base"] = rate  # the configuration may have changed it
    return _State(saved["step"], optimizer, saved["average"], saved.get("figures", {}))


def _read_state(path: Path, device: str) -> dict:
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise CheckpointError(f"{path} is damaged ({error}); remove it to begin anew") from error


def _draw(task: Task, config: LoopConfig, step: int, device: str) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(config.seed * 1_000_003 + step)
    batch = task.batch(generator, config.batch_size)
    # Dropout inside modules draws from the global generator: seed it by step, so that resuming changes nothing.
    torch.manual_seed(config.seed * 1_000_003 + step)
    return {k: v.to(device, non_blocking=True) for k, v in batch.items()}


def _step(task: Task, config: LoopConfig, state: _State, batch) -> dict[str, torch.Tensor]:
    for name, module in task.modules.items():
        module.train(name in config.rates)
    factor = rate_factor(state.step, config)
    for group in state.optimizer.param_groups:
        group["lr"] = group["base"] * factor
    losses = task.losses(batch)
    state.optimizer.zero_grad(set_to_none=True)
    losses["total"].backward()
    nn.utils.clip_grad_norm_([p for g in state.optimizer.param_groups for p in g["params"]], config.clip)
    state.optimizer.step()
    state.step += 1
    decay = min(config.average, (1 + state.step) / (10 + state.step))
    with torch.no_grad():
        for key, value in weights_of(task.modules).items():
            if key in state.average:
                state.average[key].lerp_(value.float(), 1 - decay)
    return losses


def weights_of(modules: Mapping[str, nn.Module]) -> dict[str, torch.Tensor]:
    """Weights and buffers of parts under `part.key` names; they are the parts' own."""
    return {f"{name}.{key}": value for name, m in modules.items() for key, value in m.state_dict().items()}


def weights_of_part(weights: Mapping[str, torch.Tensor], part: str) -> dict[str, torch.Tensor]:
    """One part's weights out of those of several, under its own names."""
    return {k.removeprefix(f"{part}."): v for k, v in weights.items() if k.startswith(f"{part}.")}


def averaged_state(task: Task, state: _State) -> dict[str, torch.Tensor]:
    """Weights of every part under `part.key` names, averaged where averaging is on."""
    whole = weights_of(task.modules)
    averaged = whole | state.average
    return {k: averaged[k].to(v.dtype).contiguous().clone() for k, v in whole.items()}


def rows_of_one_length(n_rows: int, size: int, generator: torch.Generator) -> list[int]:
    """Draw places of a batch's rows near each other in a list sorted by length, so that little is padded."""
    centre = int(torch.randint(n_rows, (1,), generator=generator))
    first = max(0, min(centre - 2 * size, n_rows - 4 * size))
    return (torch.randperm(min(4 * size, n_rows), generator=generator)[:size] + first).tolist()


def _validate(task: Task, state: _State) -> dict[str, float]:
    """Validate with the averaged weights, then put the trained ones back."""
    trained = {name: {k: v.clone() for k, v in m.state_dict().items()} for name, m in task.modules.items()}
    load_modules(task.modules, averaged_state(task, state))
    for module in task.modules.values():
        module.eval()
    try:
        with torch.inference_mode():
            return task.validate()
    finally:
        for name, module in task.modules.items():
            module.load_state_dict(trained[name])


def load_modules(modules: Mapping[str, nn.Module], weights: Mapping[str, torch.Tensor]) -> None:
    """Load `part.key` weights into parts, strictly.

    Raises:
        CheckpointError: a missing, surplus or misshapen key.
    """
    for name, module in modules.items():
        try:
            module.load_state_dict(weights_of_part(weights, name), strict=True)
        except RuntimeError as error:
            raise CheckpointError(f"weights do not fit part {name!r}: {error}") from error


def _save(task: Task, config: LoopConfig, state: _State, folder: Path, origin: Mapping[str, str]) -> None:
    modules, optimizer = {n: m.state_dict() for n, m in task.modules.items()}, state.optimizer.state_dict()
    with atomic_path(folder / "state.pt") as part:
        torch.save({**vars(state), "modules": modules, "optimizer": optimizer}, part)
    with atomic_path(folder / "model.safetensors") as part:
        save_file(averaged_state(task, state), part, metadata={"step": str(state.step)})
    facts = {"step": state.step, **origin, "loop": config.model_dump(mode="json")} | task.facts()
    (folder / "facts.json").write_text(json.dumps(facts, indent=1, default=str))


def load_weights(path: Path) -> dict[str, torch.Tensor]:
    """Tensors of a `model.safetensors`.

    Raises:
        CheckpointError: missing or unreadable.
    """
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} cannot be read as weights: {error}") from error


def _append(path: Path, row: Mapping[str, float]) -> None:
    known = path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(row))
        if not known:
            writer.writeheader()
        writer.writerow(row)


def plot_curve(path: Path) -> Path:
    """Draw a `curve.csv` as a picture beside it."""
    with path.open() as file:
        rows = list(csv.DictReader(file))
    names = [k for k in rows[0] if k not in ("step", "seconds")]

    def draw(pyplot):
        figure, axes = pyplot.subplots(1, len(names), figsize=(3.2 * len(names), 2.8), squeeze=False)
        for axis, name in zip(axes[0], names, strict=True):
            axis.plot([int(r["step"]) for r in rows], [float(r[name]) for r in rows])
            axis.set_title(name, fontsize=8)
            axis.set_xlabel("step", fontsize=7)
            axis.tick_params(labelsize=6)
        return figure

    return save_plot(draw, path.with_suffix(".png"))
