import math

import pytest
import torch

from exomni.train.losses import blendshape_loss, duration_loss, token_loss


def test_token_loss_averages_what_counts():
    logits = torch.zeros(1, 3, 4)
    assert token_loss(logits, torch.tensor([[1, -100, 2]])).item() == pytest.approx(math.log(4))
    logits[0, 0, 1] = 100.0
    assert token_loss(logits, torch.tensor([[1, -100, 2]])).item() == pytest.approx(math.log(4) / 2)
    assert token_loss(logits, torch.full((1, 3), -100)).item() == 0.0


def test_padding_frames_cost_nothing():
    target = torch.zeros(1, 6, 52)
    predicted = target.clone()
    predicted[:, 3:] = 9.0
    assert blendshape_loss(predicted, target, torch.tensor([3]), velocity_weight=1.0).item() == 0.0
    assert blendshape_loss(predicted, target, torch.tensor([6])).item() > 1.0


def test_velocity_sees_jitter_that_position_does_not():
    target = torch.zeros(1, 10, 52)
    steady, shaking = target + 0.1, target + 0.1 * torch.tensor([1.0, -1.0] * 5)[None, :, None]
    lengths = torch.tensor([10])
    still, moving = (blendshape_loss(p, target, lengths, velocity_weight=0.5).item() for p in (steady, shaking))
    assert still == pytest.approx(0.01, rel=1e-4)
    assert moving == pytest.approx(0.01 + 0.5 * 0.04, rel=1e-4)


def test_channel_weights_scale_their_channel():
    predicted, target = torch.zeros(1, 2, 52), torch.zeros(1, 2, 52)
    predicted[..., 24] = 1.0
    weights = torch.ones(52)
    weights[24] = 5.0
    plain = blendshape_loss(predicted, target, torch.tensor([2]))
    heavy = blendshape_loss(predicted, target, torch.tensor([2]), channel_weights=weights)
    assert heavy.item() == pytest.approx(5 * plain.item())


def test_duration_loss_is_in_logarithms():
    log_durations = torch.tensor([[math.log(4.0), 0.0, 7.0]])
    loss = duration_loss(log_durations, torch.tensor([[2, 1, 0]]))
    assert loss.item() == pytest.approx(math.log(2) ** 2 / 2)
