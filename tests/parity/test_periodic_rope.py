import torch

from exomni.model.blendshape_decoder import periodic_rotary

from .conftest import close

KIND = "periodic_rope"


def test_turns_the_sequence_as_published(fixture):
    io = fixture.io
    close(periodic_rotary(io["x"], 30), io["y_period30"])
    close(periodic_rotary(io["x"], 25), io["y_period25"])
    close(periodic_rotary(io["x"], 30), io["y_period30_dynamic"])


def test_runs_in_half_precision_within_its_tolerance(fixture):
    turned = periodic_rotary(fixture.io["x"].bfloat16(), 30).float()
    torch.testing.assert_close(turned, fixture.io["y_period30_bf16_as_f32"], atol=0.08, rtol=0.0)
