"""Folders of released weights: one file for each trained network, and the facts of their making."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.errors import AssetError, CheckpointError
from ...model.numbers import check_numbers
from ..ports import ModelFacts

if TYPE_CHECKING:
    from torch import nn

NETWORKS = ("unit_tokenizer", "speech_decoder", "unit_generator", "blendshape_decoder")
"""Networks that every release has."""
LISTENER_FILE = "listening.safetensors"
FACTS_FILE = "facts.json"


def weights_hash(folder: Path) -> str:
    """SHA-256 over the weights of all networks, the listener's too where there is one: the name of the model.

    Raises:
        AssetError: a file is missing.
    """
    digest = hashlib.sha256()
    files = [folder / f"{network}.safetensors" for network in NETWORKS]
    if (folder / LISTENER_FILE).is_file():
        files.append(folder / LISTENER_FILE)
    for file in files:
        if not file.is_file():
            raise AssetError(f"{file.name} is missing in {folder}; reinstall exomni or train it (see runs/)")
        digest.update(file.read_bytes())
    return digest.hexdigest()


def read_facts(folder: Path, name: str) -> ModelFacts:
    """What identifies released weights.

    Raises:
        AssetError: a file is missing.
        CheckpointError: the facts are damaged, or the weights were made for other rates or blendshapes.
    """
    path, weights = folder / FACTS_FILE, weights_hash(folder)
    try:
        facts = json.loads(path.read_text("utf-8"))
        data = facts["data"]
    except OSError as error:
        raise AssetError(f"{path.name} is missing in {folder}; reinstall exomni") from error
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path.name} does not say what data the weights were trained on") from error
    check_numbers(facts, str(path))
    return ModelFacts(name, weights, data)


def load_network(module: "nn.Module", folder: Path, name: str) -> None:
    """Fill a network with its released weights, strictly, and freeze it.

    Raises:
        AssetError: the file is missing.
        CheckpointError: it is damaged, or does not fit.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = folder / f"{name}.safetensors"
    if not path.is_file():
        raise AssetError(f"{path.name} is missing in {path.parent}; reinstall exomni or train it (see runs/)")
    try:
        module.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in load_file(path).items()})
    except (RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"{path.name} does not fit the configuration: {error}") from error
    module.requires_grad_(False).eval()
