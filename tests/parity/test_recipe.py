"""The recipe of weights that are not stored, held against folders that store theirs."""

import pytest
import torch

from .conftest import Fixture, all_folders, recipe_tensor

STORED = [p for p in all_folders() if (p / "weights.safetensors").exists() and "weight_salt" in Fixture(p).config]


@pytest.mark.parametrize("folder", STORED, ids=[p.name for p in STORED])
def test_recipe_gives_the_stored_weights(folder):
    fixture = Fixture(folder)
    drawn = [key for key in fixture.config["keys"] if not key.endswith(("inv_freq", "lm_head.weight"))]
    assert drawn
    for key in drawn:
        stored = fixture.weights[key]
        assert torch.equal(recipe_tensor(fixture.config["weight_salt"], key, list(stored.shape)), stored), key
