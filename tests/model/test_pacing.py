import pytest
import torch

from exomni.model.duration_pace import pacing, round_durations, ticks_to_units


@pytest.mark.parametrize(("ticks", "units"), [(0, 0), (1, 1), (3, 1), (4, 2), (16, 5), (17, 6), (160, 50)])
def test_units_cover_the_ticks(ticks, units):
    """A tick is 25 ms and a unit 80 ms: 16 ticks are 5 units exactly."""
    assert ticks_to_units(ticks) == units


def test_weights_are_shares_of_overlap():
    weights = pacing(torch.tensor([[2, 3, 1, 0]]), 2)
    expected = [[10 / 16, 6 / 16, 0, 0], [0, 9 / 14, 5 / 14, 0]]
    torch.testing.assert_close(weights, torch.tensor([expected]))


def test_units_after_the_end_belong_to_the_last_phoneme():
    weights = pacing(torch.tensor([[4, 4, 0, 0], [4, 4, 4, 4]]), 7)
    assert weights[0, 5:].tolist() == [[0, 1, 0, 0]] * 2
    assert weights[1, 6].tolist() == [0, 0, 0, 1]
    torch.testing.assert_close(weights.sum(dim=2), torch.ones(2, 7))


def test_every_phoneme_is_heard():
    durations = torch.randint(1, 6, (3, 40), generator=torch.Generator().manual_seed(0))
    n_units = ticks_to_units(int(durations.sum(dim=1).max()))
    assert (pacing(durations, n_units).sum(dim=1) > 0).all()


def test_rounding_keeps_the_total():
    wanted = torch.rand(2, 200, generator=torch.Generator().manual_seed(0)) * 5 + 1
    mask = torch.arange(200)[None] < torch.tensor([[200], [120]])
    rounded = round_durations(wanted, mask)
    assert (rounded[mask] >= 1).all()
    assert (rounded[~mask] == 0).all()
    for row in range(2):
        running = (rounded[row].cumsum(0) - (wanted * mask)[row].cumsum(0)).abs()
        assert running.max() <= 0.5 + 1e-3


def test_very_short_phonemes_still_take_a_tick():
    assert round_durations(torch.full((1, 4), 0.1), torch.ones(1, 4, dtype=torch.bool)).tolist() == [[1, 1, 1, 1]]
