import pytest
import torch

from exomni.model.config import LanguageModelConfig, SamplingConfig
from exomni.model.language_model import LanguageModel
from exomni.model.sampling import UnitSampler

GREEDY = SamplingConfig(temperature=0)


@pytest.fixture(params=["qwen3", "llama"])
def model(request) -> LanguageModel:
    torch.manual_seed(0)
    config = LanguageModelConfig(
        architecture=request.param,
        n_tokens=50,
        d_model=32,
        n_layers=2,
        n_heads=4,
        n_kv_heads=2,
        head_dim=8,
        d_ff=48,
        max_positions=64,
        rope_theta=10_000.0,
        norm_eps=1e-6,
        tied_embeddings=request.param == "llama",
    )
    return LanguageModel(config).eval()


@torch.inference_mode()
def test_written_tokens_agree_with_one_pass(model):
    prompt = model.embed(torch.tensor([[3, 1, 4, 1, 5]]))
    reply = list(model.generate(prompt, UnitSampler(GREEDY, 0), 6, ()))
    ids = torch.tensor([[token.token_id for token in reply]])
    out = model(torch.cat([prompt, model.embed(ids)], dim=1))
    states = torch.stack([token.hidden_state for token in reply])
    torch.testing.assert_close(states, out.hidden_states[0, 4:-1], atol=1e-5, rtol=1e-4)
    assert out.logits[0, 4:-1].argmax(dim=1).tolist() == ids[0].tolist()


@torch.inference_mode()
def test_an_end_token_ends_and_is_given(model):
    prompt = model.embed(torch.tensor([[3, 1, 4]]))
    free = [t.token_id for t in model.generate(prompt, UnitSampler(GREEDY, 0), 5, ())]
    ended = [t.token_id for t in model.generate(prompt, UnitSampler(GREEDY, 0), 5, {free[1]})]
    assert len(free) == 5
    assert ended == free[: free.index(free[1]) + 1]


def test_a_listener_that_leaves_stops_the_work(model):
    steps = []
    model.model.model.register_forward_hook(lambda *_: steps.append(1))
    tokens = model.generate(model.embed(torch.tensor([[3]])), UnitSampler(GREEDY, 0), 50, ())
    next(tokens)
    tokens.close()
    assert len(steps) == 1
