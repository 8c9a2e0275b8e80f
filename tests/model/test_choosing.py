"""Candidates of units, and which of them goes on."""

import pytest
import torch

from exomni.core.timebase import DURATION_HZ, UNIT_HZ, rescale_floor
from exomni.model.choosing import AGAIN_UNITS, generate_heard, heard_clearly
from exomni.model.config import ChoiceConfig, SamplingConfig
from exomni.model.sampling import UnitSampler

GREEDY = SamplingConfig(temperature=0.0)
N_UNITS = 40


@pytest.fixture
def clause(tiny_nano):
    """Encoded phonemes, durations and ids of a clause of 40 units."""
    ids = torch.randint(1, 100, (16,), generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        fused = tiny_nano.unit_generator.encode_text(ids[None], torch.ones(1, 16, dtype=torch.bool), None)
    return fused, torch.full((1, 16), rescale_floor(N_UNITS, UNIT_HZ, DURATION_HZ) // 16), ids


def generate(nano, clause, seed=0, sampling=GREEDY, **choice):
    return generate_heard(
        nano.unit_generator, nano.speech_decoder, *clause, sampling, ChoiceConfig(**choice), seed
    )  # fmt: skip


def plain(nano, clause, sampling=GREEDY, seed=0):
    generator = nano.unit_generator
    return generator.generate(generator.begin(*clause[:2]), [UnitSampler(sampling, seed)])


def test_one_candidate_is_what_the_generator_draws(tiny_nano, clause):
    made, wanted = generate(tiny_nano, clause, candidates=1), plain(tiny_nano, clause)
    assert torch.equal(made.units, wanted.units)
    torch.testing.assert_close(made.hidden_states, wanted.hidden_states, atol=1e-5, rtol=0)
    assert made.hidden_mask.all()


def test_whatever_is_much_favoured_is_taken(tiny_nano, clause):
    made = generate(tiny_nano, clause, candidates=5, favour=1e3)
    assert torch.equal(made.units, plain(tiny_nano, clause).units)
    other = generate(tiny_nano, clause, candidates=5, favour=0.0, temperature=4.0, top_p=1.0)
    assert not torch.equal(other.units, made.units)


def test_the_first_stretch_is_the_clearest_of_the_candidates(tiny_nano, clause):
    n, stretch, drawn = 6, 10, SamplingConfig(temperature=1.3, top_p=0.95)
    made = generate(tiny_nano, clause, 4, drawn, candidates=n, stretch_units=stretch, favour=0.0, temperature=1.3)
    candidates = torch.cat([plain(tiny_nano, clause, drawn, 4).units[:, :stretch], made.units[:, :stretch]])
    wanted = torch.repeat_interleave(clause[2], clause[1][0])
    with torch.inference_mode():
        clarity = heard_clearly(tiny_nano.speech_decoder, candidates, wanted, 0)
    assert clarity[1] >= clarity[0]


def test_states_belong_to_the_units_that_were_chosen(tiny_nano, clause):
    made = generate(tiny_nano, clause, 7, candidates=4, stretch_units=7)
    ids = clause[2][None]
    with torch.inference_mode():
        again = tiny_nano.unit_generator(ids, torch.ones_like(ids, dtype=torch.bool), clause[1], made.units)
    assert made.units.shape == (1, N_UNITS)
    torch.testing.assert_close(made.hidden_states, again.hidden_states, atol=1e-4, rtol=0)


def test_the_seed_decides(tiny_nano, clause):
    made = [generate(tiny_nano, clause, seed, candidates=4).units.tolist() for seed in (1, 1, 2)]
    assert made[0] == made[1] != made[2]


def test_clarity_is_the_decoders_own_word_for_the_wanted_phonemes(tiny_nano, clause):
    decoder = tiny_nano.speech_decoder
    units = torch.randint(0, 36, (3, N_UNITS), generator=torch.Generator().manual_seed(0))
    wanted = torch.repeat_interleave(clause[2], clause[1][0])
    with torch.inference_mode():
        scores = decoder(decoder.quantizer.codes_of(units)).phonemes.log_softmax(-1)
        per_tick = scores.gather(2, wanted.expand(3, -1)[..., None])[..., 0]
        for first in (0, 10, 37):
            ticks = slice(rescale_floor(max(0, first - AGAIN_UNITS), UNIT_HZ, DURATION_HZ), None)
            clarity = heard_clearly(decoder, units, wanted, first)
            torch.testing.assert_close(clarity, per_tick[:, ticks].mean(1), atol=1e-4, rtol=0)
