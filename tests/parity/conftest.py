"""Finds the fixture folders of published modules, and reads them.

Folders lie under `$EXOMNI_PARITY`, or in `fixtures/` beside this file. A folder's kind is what its name
begins with; every folder of a kind is run by that kind's tests. `README.md` there says what each holds.
"""

import json
import os
import zlib
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


def fixtures_root() -> Path:
    return Path(os.environ.get("EXOMNI_PARITY") or OWN_FIXTURES)


def find_folders(kind: str) -> list[Path]:
    """Every fixture folder of a kind, by name; a folder belongs to the longest kind that its name begins with."""
    folders = sorted(p for p in fixtures_root().iterdir() if p.is_dir())
    return [p for p in folders if max(filter(p.name.startswith, KINDS), key=len, default=None) == kind]


@dataclass(frozen=True)
class Fixture:
    """One folder: its configuration, its tensors by name, and its weights by published key."""

    folder: Path

    @cached_property
    def config(self) -> dict:
        return json.loads((self.folder / "config.json").read_text())

    @cached_property
    def io(self) -> dict[str, torch.Tensor]:
        with np.load(self.folder / "io.npz") as arrays:
            return {key: torch.from_numpy(np.asarray(arrays[key])) for key in arrays.files}

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


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test module that names its `KIND` runs once for each folder of that kind."""
    kind = getattr(metafunc.module, "KIND", None)
    if kind is None or "fixture" not in metafunc.fixturenames:
        return
    folders = find_folders(kind)
    metafunc.parametrize("fixture", [Fixture(f) for f in folders], ids=[f.name for f in folders])


def close(actual: torch.Tensor, expected: torch.Tensor) -> None:
    """Equal within the tolerance of the fixtures."""
    torch.testing.assert_close(actual, expected, **TOLERANCE)
