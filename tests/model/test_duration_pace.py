import pytest
import torch

from exomni.model.config import SamplingConfig
from exomni.model.duration_pace import PacedUnitGenerator, ticks_to_units
from exomni.model.sampling import UnitSampler
from exomni.train.losses import duration_loss, token_loss

from .conftest import N_UNITS, small_generator_config

SAMPLING = SamplingConfig(top_p=0.95, top_k=0)


def samplers(n: int = 1) -> list[UnitSampler]:
    return [UnitSampler(SAMPLING, seed) for seed in range(n)]


@torch.inference_mode()
def test_batch_equals_rows_alone(generator, batch):
    together = generator(**batch.all())
    for index in range(2):
        alone, row = generator(**batch.row(index)), batch.row(index)
        n_units, n_text = row["units"].shape[1], row["text_ids"].shape[1]
        torch.testing.assert_close(together.logits[index, :n_units], alone.logits[0], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(together.log_durations[index, :n_text], alone.log_durations[0], atol=1e-5, rtol=1e-4)


@torch.inference_mode()
def test_missing_context_reads_the_null_row(generator, batch):
    given = batch.all()
    dropped = generator(**{**given, "llm_mask": torch.zeros_like(batch.llm_mask)})
    without = generator(**{**given, "llm_states": None, "llm_mask": None})
    torch.testing.assert_close(dropped.logits, without.logits, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(dropped.logits, generator(**given).logits, atol=1e-3)


@torch.inference_mode()
def test_no_unit_hears_a_later_one(generator, batch):
    row = batch.row(1)
    before = generator(**row).logits
    row["units"] = row["units"].clone()
    row["units"][0, 6] = (row["units"][0, 6] + 1) % N_UNITS
    changed = (generator(**row).logits - before).abs().amax(dim=(0, 2)) > 1e-6
    assert not changed[:7].any()
    assert changed[7:].all()


@torch.inference_mode()
def test_generated_units_agree_with_the_training_pass(generator, batch):
    row = batch.row(1)
    fused = generator.encode_text(*(row[k] for k in ("text_ids", "text_mask", "llm_states", "llm_mask")))
    made = generator.generate(fused, row["durations"], samplers())
    assert made.units.shape[1] == ticks_to_units(int(row["durations"].sum()))
    taught = generator(**{**row, "units": made.units})
    torch.testing.assert_close(made.hidden_states, taught.hidden_states, atol=1e-5, rtol=1e-4)


@torch.inference_mode()
def test_clauses_together_equal_clauses_alone(generator, batch):
    fused = generator.encode_text(batch.text_ids, batch.text_mask, batch.llm_states, batch.llm_mask)
    both = generator.generate(fused, batch.durations, samplers(2))
    for index in range(2):
        row = batch.row(index)
        n_text, n_units = row["text_ids"].shape[1], row["units"].shape[1]
        alone = generator.generate(fused[index : index + 1, :n_text], row["durations"], [samplers(2)[index]])
        assert torch.equal(both.units[index, :n_units], alone.units[0])
        assert both.hidden_mask[index].sum() == n_units


@torch.inference_mode()
def test_prepared_steps_give_the_same_units(generator, batch):
    fused = generator.encode_text(batch.text_ids, batch.text_mask)
    plain = generator.generate(fused, batch.durations, samplers(2))
    generator.prepare_steps()
    fast = generator.generate(fused, batch.durations, samplers(2))
    assert torch.equal(fast.units, plain.units)
    torch.testing.assert_close(fast.hidden_states, plain.hidden_states, atol=1e-5, rtol=1e-4)
    generator.backbone.norm.weight *= 2
    generator.train().eval()
    changed = generator.generate(fused, batch.durations, samplers(2))
    assert not torch.allclose(changed.hidden_states, plain.hidden_states, atol=1e-2)


@torch.inference_mode()
def test_global_randomness_is_left_alone(generator, batch):
    row = batch.row(0)
    fused = generator.encode_text(row["text_ids"], row["text_mask"])
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    first = generator.generate(fused, row["durations"], samplers()).units
    assert torch.equal(torch.rand(4), expected)
    assert torch.equal(generator.generate(fused, row["durations"], samplers()).units, first)


@torch.inference_mode()
def test_speed_scales_the_duration(generator, batch):
    fused = generator.encode_text(batch.text_ids, batch.text_mask)
    generator.duration_predictor.head.bias += 2.0
    normal = generator.predict_durations(fused, batch.text_mask)
    slow = generator.predict_durations(fused, batch.text_mask, speed=0.5)
    assert (normal[batch.text_mask] >= 1).all()
    assert (normal[~batch.text_mask] == 0).all()
    torch.testing.assert_close(slow.sum() / normal.sum(), torch.tensor(2.0), atol=0.05, rtol=0)
    with pytest.raises(ValueError, match="speed"):
        generator.predict_durations(fused, batch.text_mask, speed=0)


def test_unit_dropout_acts_in_training_only(generator, batch):
    assert torch.equal(generator(**batch.all()).logits, generator(**batch.all()).logits)
    generator.train()
    assert not torch.equal(generator(**batch.all()).logits, generator(**batch.all()).logits)


@pytest.mark.parametrize("mode", ["tqgf", "units_only", "hidden_only", "concat"])
def test_it_learns_a_batch(batch, mode):
    torch.manual_seed(0)
    config = small_generator_config()
    fusion = config.fusion.model_copy(update={"mode": mode})
    generator = PacedUnitGenerator(config.model_copy(update={"fusion": fusion}))
    optimiser = torch.optim.AdamW(generator.parameters(), lr=1e-2)
    losses = []
    for _ in range(25):
        out = generator(**batch.all())
        loss = token_loss(out.logits, batch.units) + duration_loss(out.log_durations, batch.durations)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
