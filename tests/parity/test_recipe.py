"""The recipe of weights that are not stored, held against folders that store theirs."""

import pytest
import torch

from .conftest import Fixture, fixtures_root, recipe_tensor

STORED = sorted(p.parent for p in fixtures_root().glob("*/weights.safetensors"))


@pytest.mark.parametrize("folder", STORED, ids=[p.name for p in STORED])
def test_recipe_gives_the_stored_weights(folder):
    fixture = Fixture(folder)
    if "weight_salt" not in fixture.config:
        pytest.skip("this folder's weights do not follow the recipe")
    drawn = [key for key in fixture.config["keys"] if not key.endswith(("inv_freq", "lm_head.weight"))]
    assert drawn
    for key in drawn:
        stored = fixture.weights[key]
        assert torch.equal(recipe_tensor(fixture.config["weight_salt"], key, list(stored.shape)), stored), key
