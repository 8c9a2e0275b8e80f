import pytest
import torch

from exomni.model.backbone import Backbone, BackboneStepper
from exomni.model.config import BackboneConfig

CONFIG = BackboneConfig(
    n_tokens=30, d_model=32, n_layers=3, n_heads=4, n_kv_heads=2, head_dim=12, d_ff=40, rope_theta=5000.0
)


@pytest.fixture
def backbone() -> Backbone:
    torch.manual_seed(0)
    return Backbone(CONFIG).eval()


@torch.inference_mode()
def test_equals_the_network_of_transformers(backbone):
    from transformers import Qwen3Config, Qwen3Model

    theirs = Qwen3Model(
        Qwen3Config(
            vocab_size=30,
            hidden_size=32,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=12,
            intermediate_size=40,
            rope_parameters={"rope_type": "default", "rope_theta": 5000.0},
            rms_norm_eps=1e-6,
        )
    ).eval()
    theirs.load_state_dict(backbone.state_dict(), strict=True)
    inputs = torch.randn(2, 9, 32)
    torch.testing.assert_close(backbone(inputs), theirs(inputs_embeds=inputs).last_hidden_state, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("pieces", [[9], [1] * 9, [4, 1, 3, 1]])
@torch.inference_mode()
def test_cached_steps_equal_the_whole(backbone, pieces):
    inputs, cache = torch.randn(2, 9, 32), backbone.empty_cache(2, 9)
    steps = torch.cat([backbone(piece, cache) for piece in inputs.split(pieces, dim=1)], dim=1)
    torch.testing.assert_close(steps, backbone(inputs), atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_padding_on_the_left_changes_nothing(backbone):
    inputs = torch.randn(1, 6, 32)
    padded = torch.cat([torch.randn(1, 3, 32), inputs], dim=1)
    cache = backbone.empty_cache(2, 9, starts=torch.tensor([3, 0]))
    both = torch.cat([padded, torch.randn(1, 9, 32)])
    steps = torch.cat([backbone(both[:, :7], cache), backbone(both[:, 7:8], cache), backbone(both[:, 8:], cache)], 1)
    torch.testing.assert_close(steps[0, 3:], backbone(inputs)[0], atol=1e-5, rtol=1e-5)
    assert steps.isfinite().all()


@torch.inference_mode()
def test_full_cache_is_refused(backbone):
    cache = backbone.empty_cache(1, 4)
    backbone(torch.randn(1, 4, 32), cache)
    with pytest.raises(ValueError, match="4 rows, 5 needed"):
        backbone(torch.randn(1, 1, 32), cache)


@pytest.mark.parametrize("batch", [1, 3])
@torch.inference_mode()
def test_fast_steps_equal_plain_ones(backbone, batch):
    for norm in (m for m in backbone.modules() if isinstance(m, torch.nn.RMSNorm)):
        norm.weight.uniform_(0.5, 1.5)
    inputs, stepper = torch.randn(batch, 7, 32), BackboneStepper(backbone)
    cache = backbone.empty_cache(batch, 7)
    steps = [backbone(inputs[:, :3], cache)] + [stepper(inputs[:, i : i + 1], cache) for i in range(3, 7)]
    torch.testing.assert_close(torch.cat(steps, dim=1), backbone(inputs), atol=1e-5, rtol=1e-5)
    assert cache.length == 7
