"""Finds the fixture folders of published modules, and reads them.

Folders lie in `fixtures/` beside this file, and where `$EXOMNI_PARITY` points. A folder's kind is what its name
begins with; every folder of a kind is run by that kind's tests. A test that needs something that not every folder
stores says what (`needs`), and runs for the folders that have it. `README.md` there says what each holds.
"""

import json
import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest
import torch

KINDS = (
    "audio_decoder",
    "blendshape_generator",
    "blendshape_loss",
    "omni_tiny",
    "periodic_rope",
    "sampling",
    "speech_generator",
    "speech_projector",
    "tqgf",
    "units_to_render_frames",
)
OWN_FIXTURES = Path(__file__).parent / "fixtures"
TOLERANCE = {"atol": 1e-4, "rtol": 1e-4}
EMBEDDINGS = ("embed_tokens", "embed_positions", "llm_embedding", "speech_embedding", "speech_token_embedding")


def all_folders() -> list[Path]:
    """Every fixture folder of this repository, and those of `$EXOMNI_PARITY` that hold more than their namesake."""
    folders = [p for p in OWN_FIXTURES.iterdir() if p.is_dir()]
    if more := os.environ.get("EXOMNI_PARITY"):
        others = [p for p in Path(more).iterdir() if p.is_dir()]
        folders += [p for p in others if any(not (OWN_FIXTURES / p.name / file.name).exists() for file in p.iterdir())]
    return sorted(folders, key=lambda folder: folder.name)


def find_folders(kind: str) -> list[Path]:
    """Every fixture folder of a kind, by name; a folder belongs to the longest kind that its name begins with."""
    return [p for p in all_folders() if max(filter(p.name.startswith, KINDS), key=len, default=None) == kind]


def needs(has: Callable[["Fixture"], bool]) -> pytest.MarkDecorator:
    """A test runs for the folders that `has` is true of; where there is none, it is left out and not skipped."""
    return pytest.mark.needs(has)


def needs_tensor(name: str) -> pytest.MarkDecorator:
    """A test runs for the folders that have recorded a tensor of this name."""
    return needs(lambda fixture: name in fixture.io)


@dataclass(frozen=True)
class Fixture:
    """One folder: its configuration, its tensors by name, and its weights by published key."""

    folder: Path

    @cached_property
    def config(self) -> dict:
        return json.loads((self.folder / "config.json").read_text())

    @cached_property
    def io(self) -> dict[str, torch.Tensor]:
        if not (self.folder / "io.npz").exists():
            return {}
        with np.load(self.folder / "io.npz") as arrays:
            tensors = {key: torch.from_numpy(np.asarray(arrays[key])) for key in arrays.files}
        # Half precision is how they are stored: they are run in float32.
        return {key: t.float() if t.dtype == torch.float16 else t for key, t in tensors.items()}

    @cached_property
    def weights(self) -> dict[str, torch.Tensor]:
        from safetensors.torch import load_file

        stored = self.folder / "weights.safetensors"
        return load_file(stored) if stored.exists() else self._recipe_weights()

    def _recipe_weights(self) -> dict[str, torch.Tensor]:
        """Weights that are not stored are drawn, each from a seed made of the salt and its key."""
        shapes = self.config.get("keys") or {k: v[0] for k, v in self.config["key_checks"].items()}
        weights = {key: recipe_tensor(self.config["weight_salt"], key, shape) for key, shape in shapes.items()}
        tied, table = "llm.model.lm_head.weight", "llm.model.model.embed_tokens.weight"
        if tied in weights:
            weights[tied] = weights[table]
        return weights


def recipe_tensor(salt: str, key: str, shape: list[int]) -> torch.Tensor:
    """The documented random weights of the large fixtures, rounded to float16."""
    seed = zlib.crc32(f"{salt}:{key}".encode())
    z = np.random.RandomState(seed).standard_normal(shape)
    if len(shape) == 1:
        z = 0.1 * z if key.endswith("bias") else 1 + 0.2 * z
    elif any(name in key for name in EMBEDDINGS):
        z = 0.5 * z
    else:
        z = z / np.sqrt(np.prod(shape[1:]))
    return torch.from_numpy(z.astype(np.float16))


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(has): runs for the fixture folders that have what the test looks at")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test module that names its `KIND` runs once for each folder of that kind that has what the test needs."""
    kind = getattr(metafunc.module, "KIND", None)
    if kind is None or "fixture" not in metafunc.fixturenames:
        return
    folders = [Fixture(folder) for folder in find_folders(kind)]
    assert folders, f"there is no fixture folder of {kind}"
    for mark in metafunc.definition.iter_markers("needs"):
        folders = [fixture for fixture in folders if mark.args[0](fixture)]
    metafunc.parametrize("fixture", folders, ids=[fixture.folder.name for fixture in folders])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests that need what no folder has."""
    left_out = [item for item in items if item.get_closest_marker("needs") and not runs_on_a_folder(item)]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


def runs_on_a_folder(item: pytest.Item) -> bool:
    return isinstance(item.callspec.params["fixture"], Fixture)


def close(actual: torch.Tensor, expected: torch.Tensor) -> None:
    """Equal within the tolerance of the fixtures."""
    torch.testing.assert_close(actual, expected, **TOLERANCE)
