import pytest
import torch

from exomni.model.config import SamplingConfig
from exomni.model.sampling import UnitSampler, nucleus

LOGITS = torch.tensor([2.0, 1.0, 0.5, -1.0, -torch.inf])


def draws(config: SamplingConfig, n: int = 300, recent=()) -> set[int]:
    sampler = UnitSampler(config, seed=0)
    return {sampler(LOGITS, list(recent)) for _ in range(n)}


def test_zero_temperature_is_greedy():
    assert draws(SamplingConfig(temperature=0)) == {0}


def test_choice_narrows_and_forbidden_ids_never_come():
    assert draws(SamplingConfig(top_p=1.0, top_k=0)) == {0, 1, 2, 3}
    assert draws(SamplingConfig(top_p=1.0, top_k=2)) == {0, 1}
    assert draws(SamplingConfig(top_p=0.65, top_k=0)) == {0, 1}  # 0 alone holds 0.61; the crossing id counts
    assert draws(SamplingConfig(top_p=0.5, top_k=0)) == {0}


def test_equal_ids_keep_their_order():
    ids, _ = nucleus(torch.full((8,), 0.125), 1.0, 3)
    assert ids.tolist() == [0, 1, 2]


def test_repetition_draws_from_everything():
    narrow = {"top_k": 1, "top_p": 1.0}
    assert draws(SamplingConfig(**narrow), recent=[0] * 10) == {0, 1, 2, 3}
    assert draws(SamplingConfig(**narrow), recent=[1] * 10) == {0}
    assert draws(SamplingConfig(**narrow), recent=[0] + [1] * 10) == {0}
    assert draws(SamplingConfig(**narrow, repetition_window=0), recent=[0] * 10) == {0}


@pytest.mark.parametrize("seed", [0, 1])
def test_a_seed_decides_the_draws(seed):
    config = SamplingConfig(top_p=1.0, top_k=0)
    first, second = UnitSampler(config, seed), UnitSampler(config, seed)
    assert [first(LOGITS, []) for _ in range(20)] == [second(LOGITS, []) for _ in range(20)]
