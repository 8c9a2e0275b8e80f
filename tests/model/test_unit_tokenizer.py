"""The codebook is a grid, its ids are digits, and a unit depends on its reach alone."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from exomni.model.config import UnitTokenizerConfig
from exomni.model.unit_tables import digits_of_units
from exomni.model.unit_tokenizer import ConvBlock, FiniteScalarQuantizer, UnitTokenizer

levels_of_grids = st.lists(st.integers(2, 9), min_size=1, max_size=5).map(tuple)


def make_tokenizer(**changes) -> UnitTokenizer:
    torch.manual_seed(0)
    sizes = {"d_features": 8, "d_model": 16, "n_layers": 2, "kernel": 3, "levels": (8, 5, 5)} | changes
    return UnitTokenizer(UnitTokenizerConfig(**sizes)).eval()


@given(levels_of_grids)
def test_every_id_is_one_code_and_every_code_one_id(levels):
    quantizer = FiniteScalarQuantizer(levels)
    n_codes = math.prod(levels)
    assert quantizer.n_codes == n_codes
    codes = quantizer.codes_of(torch.arange(n_codes))
    assert codes.shape == (n_codes, len(levels))
    assert len(codes.unique(dim=0)) == n_codes
    assert codes.min() == -1
    assert codes.max() == 1
    half = (torch.tensor(levels) - 1) / 2
    digits = (codes * half + half).round().long()
    assert torch.equal((digits * quantizer.strides).sum(-1), torch.arange(n_codes))


@given(levels_of_grids, st.integers(0, 100))
def test_what_is_quantised_has_the_code_of_its_id(levels, seed):
    draw = torch.Generator().manual_seed(seed)
    quantizer = FiniteScalarQuantizer(levels)
    codes, ids = quantizer(5 * torch.randn(3, 20, len(levels), generator=draw))
    assert ids.shape == (3, 20)
    assert 0 <= ids.min() <= ids.max() < quantizer.n_codes
    torch.testing.assert_close(codes, quantizer.codes_of(ids), atol=1e-6, rtol=0)


@pytest.mark.parametrize("levels", [(8, 5, 5, 5, 4), (2,), (3, 2)])
def test_every_level_can_be_reached(levels):
    quantizer = FiniteScalarQuantizer(levels)
    sweep = torch.linspace(-6, 6, 4001)
    for i, n_values in enumerate(levels):
        x = torch.zeros(len(sweep), len(levels))
        x[:, i] = sweep
        digits = quantizer(x)[1] // quantizer.strides[i] % n_values
        assert torch.equal(digits, digits.sort().values)
        assert len(digits.unique()) == n_values


def test_numbers_beyond_all_bounds_stay_on_the_grid():
    quantizer = FiniteScalarQuantizer((8, 5))
    codes, ids = quantizer(torch.tensor([[1e30, -1e30], [-1e30, 1e30]]))
    assert codes.tolist() == [[1, -1], [-1, 1]]
    assert ids.tolist() == [7, 32]


def test_the_gradient_passes_straight_through():
    quantizer = FiniteScalarQuantizer((8, 5))
    x = torch.tensor([[0.3, -0.2]], requires_grad=True)
    quantizer(x)[0].sum().backward()
    bounded = torch.tensor([[0.3, -0.2]], requires_grad=True)
    (quantizer.bound(bounded) / ((quantizer.levels - 1) / 2)).sum().backward()
    torch.testing.assert_close(x.grad, bounded.grad)
    assert (x.grad > 0).all()


def test_the_digits_of_the_unit_tables_are_the_quantisers():
    levels = (4, 3, 2)
    quantizer = FiniteScalarQuantizer(levels)
    one_hot = digits_of_units(levels)
    ids = torch.arange(math.prod(levels))
    start = 0
    for n_values, stride in zip(levels, quantizer.strides.tolist(), strict=True):
        digit = one_hot[:, start : start + n_values].argmax(1)
        assert torch.equal(digit, ids // stride % n_values)
        start += n_values


@pytest.mark.parametrize("kernel", [1, 3, 7])
def test_a_block_reaches_as_far_as_it_says(kernel):
    torch.manual_seed(0)
    block = ConvBlock(4, kernel).eval()
    x = torch.randn(1, 31, 4)
    changed = x.clone()
    changed[0, 15] += 1
    moved = (block(x) - block(changed)).abs().sum(-1)[0] > 0
    assert moved.nonzero().flatten().tolist() == list(range(15 - block.reach, 16 + block.reach))


def test_a_unit_depends_on_its_reach_alone():
    tokenizer = make_tokenizer()
    features = torch.randn(1, 40, 32)
    codes, ids = tokenizer(features)
    reach = tokenizer.reach_units
    assert reach == 2
    for start, stop in ((0, 10), (10, 25), (25, 40)):
        left, right = max(0, start - reach), min(40, stop + reach)
        chunk_codes, chunk_ids = tokenizer(features[:, left:right])
        torch.testing.assert_close(chunk_codes[:, start - left : stop - left], codes[:, start:stop], atol=1e-5, rtol=0)
        assert torch.equal(chunk_ids[:, start - left : stop - left], ids[:, start:stop])


def test_padding_changes_nothing():
    tokenizer = make_tokenizer()
    features = torch.randn(1, 12, 32)
    padded = torch.cat([features, torch.randn(1, 8, 32)], 1)
    mask = torch.arange(20)[None] < 12
    alone, _ = tokenizer(features, torch.ones(1, 12, dtype=torch.bool))
    torch.testing.assert_close(tokenizer(padded, mask)[0][:, :12], alone, atol=1e-5, rtol=0)


def test_each_frame_is_normed_by_itself():
    tokenizer = make_tokenizer(n_layers=0)
    features = torch.randn(1, 6, 4, 8)
    louder = features * torch.rand(1, 6, 4, 1).add(0.5) + torch.randn(1, 6, 4, 1)
    ids = [tokenizer(x.flatten(2))[1] for x in (features, louder)]
    assert torch.equal(*ids)
