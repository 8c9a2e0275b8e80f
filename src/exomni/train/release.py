"""From training runs to the weights that ship: half precision, one file a part, and the facts of their making."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file

from ..assets.table import Converted
from ..core.atomic import atomic_path
from ..core.errors import CheckpointError
from ..model.ctc_listener import LISTENER_FILE, read_ctc_listener, save_ctc_listener
from ..model.numbers import KEY, numbers
from .loop import load_weights, weights_of_part

RUN_PARTS = {
    "speech": {"tokenizer": "unit_tokenizer"},
    "decoder": {"decoder": "speech_decoder"},
    "joint": {"generator": "unit_generator", "decoder": "blendshape_decoder"},
}
"""Which module of which run becomes which shipped part."""
STANDING = {"speech": {"tokenizer": "unit_tokenizer", "decoder": "speech_decoder"}, "joint": RUN_PARTS["joint"]}
"""Which released parts can stand for a run that is not there."""


def _copy_shipped(folder: Path, sources: dict[str, list[Path]]) -> None:
    for name, (path,) in sources.items():
        shutil.copyfile(path, folder / f"{name.removeprefix('nano-').replace('-', '_')}.safetensors")


SHIPPED = Converted(
    "nano-shipped",
    1,
    ("nano-unit-tokenizer", "nano-speech-decoder", "nano-unit-generator", "nano-blendshape-decoder", "nano-listening"),
    _copy_shipped,
)
"""A copy of the shipped weights, verified by hash, which stays what it is when new ones are released in their place."""


def released_folder(source: Path) -> Path:
    """A folder of released weights; "shipped" stands for those that ship with exomni (`SHIPPED`).

    Raises:
        AssetError: the shipped weights are missing, or have been replaced by others.
    """
    return SHIPPED.folder() if source == Path("shipped") and not source.is_dir() else source


def stand_in(released: Path, runs: Path) -> list[str]:
    """Let released weights stand for the runs of earlier stages where none of them is there; names those written.

    Raises:
        CheckpointError: a file of the release is missing or unreadable, or some of the runs are there and some not.
    """
    there = [run for run in STANDING if (runs / run / "model.safetensors").exists()]
    if there and len(there) < len(STANDING):
        missing = ", ".join(set(STANDING) - set(there))
        raise CheckpointError(
            f"{runs} has a run of {', '.join(there)} and none of {missing}: released weights know other units than a "
            f"tokenizer that was trained here; train {missing}, or give another folder"
        )
    for run, parts in STANDING.items() if not there else ():
        found = _released_parts(released, parts).items()
        weights = {key: value.float() if value.is_floating_point() else value for key, value in found}
        with atomic_path(runs / run / "model.safetensors") as part:
            save_file(weights, part)
    return [] if there else list(STANDING)


def release_listening(run: Path, folder: Path, known: torch.Tensor) -> int:
    """Write `listening.safetensors` and how it was made, `listening.json`.

    Args:
        run: of stage "dialogue", or of "reading" or "listening"; "reading" has no adapters.
        folder: to write to.
        known: ids of the tokens that speech can be transcribed as.
    Returns:
        Bytes written.
    Raises:
        CheckpointError: the run is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = load_weights(run / "model.safetensors")
    adapters = {k.removesuffix(".weight"): v for k, v in weights_of_part(weights, "adapters.layers").items()}
    size = save_ctc_listener(folder / LISTENER_FILE, weights_of_part(weights, "listener"), known, adapters)
    facts = run / "facts.json"
    (folder / "listening.json").write_text(facts.read_text("utf-8"), "utf-8")
    return size + facts.stat().st_size


def release_expression(run: Path, folder: Path) -> int:
    """Put the blendshape decoder of a run of stage "expression" in the place of the released one in `folder`.

    Returns:
        Bytes of the whole release.
    Raises:
        CheckpointError: the run is missing or is no run of this stage, or there is no release.
    """
    try:
        facts = json.loads((folder / "facts.json").read_text("utf-8"))
        own = json.loads((run / "facts.json").read_text("utf-8"))
        facts["runs"]["expression"] = own
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"{run} or {folder} does not say how it was made: {error}") from error
    if "joint" not in own:
        raise CheckpointError(f"{run} is no run of stage 'expression'")
    _save_part(load_weights(run / "model.safetensors"), "decoder", folder / "blendshape_decoder.safetensors", run)
    (folder / "facts.json").write_text(json.dumps(facts, indent=1) + "\n")
    return sum(p.stat().st_size for p in folder.iterdir())


def _save_part(weights: dict[str, torch.Tensor], module: str, path: Path, run: Path) -> None:
    """One module of a run at half precision."""
    own = weights_of_part(weights, module)
    if not own:
        raise CheckpointError(f"{run} has no weights of {module!r}")
    save_file({k: (v.half() if v.is_floating_point() else v).contiguous() for k, v in own.items()}, path)


def release(runs: dict[str, Path], folder: Path, origin: dict) -> int:
    """Write the shipped weights.

    Args:
        runs: folder of each run of `RUN_PARTS`.
        folder: to write to.
        origin: "data" (SHA-256 of the data set) and "commit" (see `stages.provenance`).
    Returns:
        Bytes written.
    Raises:
        CheckpointError: a run or a part of it is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    facts: dict = {**origin, KEY: numbers(), "runs": {}}
    for run, parts in RUN_PARTS.items():
        if run not in runs:
            raise CheckpointError(f"no folder is given for the run {run!r}")
        weights = load_weights(runs[run] / "model.safetensors")
        try:
            facts["runs"][run] = json.loads((runs[run] / "facts.json").read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{runs[run]} does not say how it was trained: {error}") from error
        for module, part in parts.items():
            _save_part(weights, module, folder / f"{part}.safetensors", runs[run])
    (folder / "facts.json").write_text(json.dumps(facts, indent=1) + "\n")
    return sum(p.stat().st_size for p in folder.iterdir())


def released_weights(folder: Path, stage: str) -> dict[str, torch.Tensor]:
    """Weights of a release under the names that a stage has for its parts.

    Raises:
        AssetError: the release has no listening (stage "reading").
        CheckpointError: another file is missing, or one is unreadable.
    """
    if stage == "reading":
        return {f"listener.{key}": value for key, value in read_ctc_listener(folder)[0].items()}
    return _released_parts(folder, RUN_PARTS[stage])


def _released_parts(folder: Path, parts: Mapping[str, str]) -> dict[str, torch.Tensor]:
    """Released weights under `module.key` names, given the file of each module."""
    return {
        f"{module}.{key}": value
        for module, part in parts.items()
        for key, value in load_weights(folder / f"{part}.safetensors").items()
    }
