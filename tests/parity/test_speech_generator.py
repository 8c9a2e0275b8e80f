import torch

from exomni.model.config import SamplingConfig
from exomni.model.free_pace import FreeUnitGenerator
from exomni.model.published_layout import UNIT_GENERATOR, load_strictly, optional_generator_keys
from exomni.model.sampling import UnitSampler
from exomni.parts.published.checkpoint import unit_generator_config
from exomni.train.losses import token_loss

from .conftest import close, needs, needs_tensor

KIND = "speech_generator"
GREEDY = SamplingConfig(temperature=0)


def load_generator(fixture, **pace) -> FreeUnitGenerator:
    fields = fixture.config["config"]
    config = unit_generator_config(fields["hidden_size"], fields["unit_vocab_size"], fields["qwen3"])
    config = config.model_copy(update={"pace": config.pace.model_copy(update=pace)})
    generator = FreeUnitGenerator(config)
    load_strictly(generator, fixture.weights, UNIT_GENERATOR, optional_generator_keys(generator))
    return generator.eval()


def ratios(fixture, case: str) -> dict[str, float]:
    fields = fixture.config.get("cases", {}).get(case, fixture.config)
    named = {"min": "min_token_text_ratio", "max": "max_token_text_ratio"}
    return {f"{ours}_units_per_token": fields[theirs] for ours, theirs in named.items() if theirs in fields}


def text_of(fixture, case: str) -> tuple[torch.Tensor, torch.Tensor]:
    """The published generator itself drops the last id of the text; ours is given what is to be said."""
    ids = fixture.io[f"{case}.text"][:, :-1]
    return ids, torch.ones_like(ids, dtype=torch.bool)


class Script:
    """A sampler that draws what it is told, and remembers what it was given."""

    def __init__(self, ids: list[int]) -> None:
        self.ids, self.logp = iter(ids), []

    def __call__(self, logits: torch.Tensor, recent: list[int]) -> int:
        self.logp.append(logits.log_softmax(dim=0))
        return next(self.ids)


class Recorder(Script):
    """The greedy sampler, remembering what it was given."""

    def __init__(self) -> None:
        self.logp, self.greedy = [], UnitSampler(GREEDY, seed=0)

    def __call__(self, logits: torch.Tensor, recent: list[int]) -> int:
        self.logp.append(logits.log_softmax(dim=0))
        return self.greedy(logits, recent)


@needs_tensor("expand.reps")
@torch.inference_mode()
def test_expansion_and_fusion_as_published(fixture):
    io, generator = fixture.io, load_generator(fixture)
    close(generator.context_projection(io["expand.reps"]), io["expand.input_proj_out"])
    close(generator.expand_context(io["expand.reps"], None, 1).rows, io["expand.expanded"])
    close(generator.encode_text(*text_of(fixture, "expand"), io["expand.reps"]), io["expand.fused_text"])


def assert_greedy_units(fixture, case: str) -> None:
    io = fixture.io
    choices = {"special_units": "refed", "early_end": "redrawn"}
    generator, sampler = load_generator(fixture, **choices, **ratios(fixture, case)), Recorder()
    made = generator.generate(*text_of(fixture, case), [sampler], io[f"{case}.tgt_text_reps"])
    assert made.units[0].tolist() == io[f"{case}.units"].tolist()
    close(made.hidden_states, io[f"{case}.hidden_states"])
    assert made.hidden_mask.all()
    if f"{case}.logp" in io:
        close(torch.stack(sampler.logp), io[f"{case}.logp"])


@needs_tensor("greedy.units")
def test_greedy_units_as_published(fixture):
    assert_greedy_units(fixture, "greedy")


@needs_tensor("greedy_eos.units")
def test_greedy_units_that_end_by_themselves_as_published(fixture):
    assert_greedy_units(fixture, "greedy_eos")


@needs_tensor("greedy.lm_input")
@torch.inference_mode()
def test_prompt_as_published(fixture):
    io, generator = fixture.io, load_generator(fixture)
    text_ids, text_mask = text_of(fixture, "greedy")
    fused = generator.encode_text(text_ids, text_mask, io["greedy.tgt_text_reps"])
    prompt = generator._prompts(fused, text_mask)[0][None]
    close(prompt, io["greedy.lm_input"])
    if "greedy.prompt_hidden_all_positions" in io:
        close(generator.backbone(prompt), io["greedy.prompt_hidden_all_positions"])
    if "greedy.expanded" in io:
        close(generator.expand_context(io["greedy.tgt_text_reps"], None, 1).rows, io["greedy.expanded"])


@needs_tensor("scripted.script")
def test_forced_ids_as_published(fixture):
    """An early end is drawn again; a special id gives no unit but a state, and the last input again."""
    io = fixture.io
    choices = {"special_units": "refed", "early_end": "redrawn"}
    generator = load_generator(fixture, **choices, **ratios(fixture, "scripted"))
    script = Script(io["scripted.script"].tolist())
    made = generator.generate(*text_of(fixture, "scripted"), [script], io["scripted.tgt_text_reps"])
    assert made.units[0].tolist() == io["scripted.units"].tolist()
    close(made.hidden_states, io["scripted.hidden_states"])
    close(torch.stack(script.logp), io["scripted.logp_per_call"])


@needs_tensor("cut.script")
def test_length_limit_as_published(fixture):
    io = fixture.io
    generator, script = load_generator(fixture, **ratios(fixture, "cut")), Script(io["cut.script"].tolist())
    made = generator.generate(*text_of(fixture, "cut"), [script], io["cut.tgt_text_reps"])
    assert made.units[0].tolist() == io["cut.units"].tolist()
    close(made.hidden_states, io["cut.hidden_states"])


@needs_tensor("train.speech_tokens")
@torch.inference_mode()
def test_training_pass_as_published(fixture):
    io, generator = fixture.io, load_generator(fixture)
    text, reps, chosen = io["train.text_tokens"], io["train.text_reps"], io["train.text_labels"] != -100
    states = torch.nn.utils.rnn.pad_sequence([r[c] for r, c in zip(reps, chosen, strict=True)], batch_first=True)
    state_mask = torch.arange(states.shape[1])[None] < chosen.sum(dim=1)[:, None]
    out = generator(text.clamp(min=0), text != -100, io["train.speech_tokens"], states, state_mask)
    length = out.labels.shape[1]
    assert torch.equal(out.labels, io["train.labels"][:, 1 : length + 1])
    counts = out.labels != -100
    close(out.logits[counts], io["train.llm_decoder_logits"][:, :length][counts])
    losses = [token_loss(logits[None], labels[None]) for logits, labels in zip(out.logits, out.labels, strict=True)]
    close(torch.stack(losses), io["train.loss_per_sample"])
    attended = (out.inputs != 0).any(dim=2)
    close(out.inputs[attended], io["train.inputs_embeds"][:, :length][attended])


def test_batch_equals_rows_alone(fixture):
    """The published code takes one text at a time."""
    io, generator = fixture.io, load_generator(fixture, max_units_per_token=4)
    ids, reps = io["greedy.text"], io["greedy.tgt_text_reps"]
    short = ids.shape[1] - 2
    mask = torch.ones(2, ids.shape[1], dtype=torch.bool)
    mask[1, short:] = False
    samplers = [UnitSampler(GREEDY, 0), UnitSampler(GREEDY, 0)]
    both = generator.generate(ids.repeat(2, 1), mask, samplers, reps.repeat(2, 1, 1))
    for row, length in ((0, ids.shape[1]), (1, short)):
        kept = torch.ones(1, length, dtype=torch.bool)
        alone = generator.generate(ids[:, :length], kept, [UnitSampler(GREEDY, 0)], reps)
        n_units = alone.units.shape[1]
        assert both.units[row, :n_units].tolist() == alone.units[0].tolist()
        assert (both.units[row, n_units:] == -100).all()
        close(both.hidden_states[row][both.hidden_mask[row]], alone.hidden_states[0])


def test_bugs_are_mended(fixture):
    io, generator = fixture.io, load_generator(fixture, max_units_per_token=3)
    ids, mask = text_of(fixture, "greedy")
    end = generator.end_unit
    nothing = generator.generate(ids[:, :0], mask[:, :0], [Script([])], io["greedy.tgt_text_reps"])
    assert nothing.units.shape == (1, 0)
    assert nothing.hidden_states.shape[1] == 0

    class Eager:
        """Wants to end, then wants a special id, whenever it may."""

        def __call__(self, logits, recent):
            for wanted in (end + 1, end):
                if logits[wanted].isfinite():
                    return wanted
            return 0

    made = generator.generate(ids, mask, [Eager()], io["greedy.tgt_text_reps"])
    assert made.units[0].tolist() == [0] * (2 * ids.shape[1])
    generator = load_generator(fixture, early_end="redrawn")
    made = generator.generate(ids, mask, [Eager()], io["greedy.tgt_text_reps"])
    assert made.units[0].tolist() == [0] * (2 * ids.shape[1])


@needs(lambda fixture: "key_checks" in fixture.config)
def test_recipe_weights_match_their_checks(fixture):
    for key, (shape, total, absolute, first) in fixture.config["key_checks"].items():
        tensor = fixture.weights[key].double()
        assert list(tensor.shape) == shape
        torch.testing.assert_close(tensor.sum().item(), total, rtol=1e-5, atol=1e-2)
        torch.testing.assert_close(tensor.abs().sum().item(), absolute, rtol=1e-5, atol=1e-2)
        torch.testing.assert_close(tensor.flatten()[:3].tolist(), first, rtol=1e-4, atol=1e-4)
