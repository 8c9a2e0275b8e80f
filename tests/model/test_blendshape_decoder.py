import pytest
import torch

from exomni.core.timebase import FRAME_HZ, UNIT_HZ, rescale_ceil, units_to_frames
from exomni.model.blendshape_decoder import BlendshapeDecoder
from exomni.train.losses import blendshape_loss

from .conftest import D_MODEL, N_UNITS, small_decoder_config

FUSIONS = ["tqgf", "units_only", "hidden_only", "concat"]


def speech(n_units: int, batch: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(n_units)
    units = torch.randint(0, N_UNITS, (batch, n_units), generator=draw)
    return units, torch.randn(batch, n_units, D_MODEL, generator=draw)


def with_fusion(mode: str) -> BlendshapeDecoder:
    torch.manual_seed(0)
    config = small_decoder_config()
    return BlendshapeDecoder(
        config.model_copy(update={"fusion": config.fusion.model_copy(update={"mode": mode})})
    ).eval()


@pytest.mark.parametrize("n_units", [0, 1, 2, 5, 24])
@torch.inference_mode()
def test_frames_of_units(decoder, n_units):
    face = decoder(*speech(n_units))
    assert face.blendshapes.shape == (1, units_to_frames(n_units), 52)
    assert face.frame_mask.all()


@torch.inference_mode()
def test_batch_equals_rows_alone(decoder):
    units, states = speech(20, batch=2)
    units[0, 9:] = -100
    mask = torch.ones(2, 20, dtype=torch.bool)
    mask[0, 9:] = False
    both = decoder(units, states, mask)
    alone = decoder(units[:1, :9], states[:1, :9])
    n_frames = units_to_frames(9)
    assert both.frame_mask.sum(dim=1).tolist() == [n_frames, units_to_frames(20)]
    torch.testing.assert_close(both.blendshapes[0, :n_frames], alone.blendshapes[0], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("mode", FUSIONS)
@torch.inference_mode()
def test_a_chunk_equals_the_whole(mode):
    decoder = with_fusion(mode)
    units, states = speech(120)
    emotion = torch.rand(1, 5)
    whole = decoder(units, states, emotion=emotion).blendshapes
    step = decoder.chunk_unit_multiple
    margin_units = rescale_ceil(decoder.receptive_frames, FRAME_HZ, UNIT_HZ)
    begin, end, around = 50, 70, -(-margin_units // step) * step
    first = begin - around
    part = slice(first, end + around)
    chunk = decoder(units[:, part], states[:, part], emotion=emotion, first_unit=first).blendshapes
    frames = slice(units_to_frames(begin), units_to_frames(end))
    offset = units_to_frames(first)
    torch.testing.assert_close(
        chunk[:, frames.start - offset : frames.stop - offset], whole[:, frames], atol=1e-5, rtol=1e-4
    )


@torch.inference_mode()
def test_nothing_beyond_the_receptive_field_matters(decoder):
    units, states = speech(80)
    before = decoder(units, states).blendshapes
    units[0, 40], states[0, 40] = (units[0, 40] + 1) % N_UNITS, 0.0
    changed = (decoder(units, states).blendshapes - before).abs().amax(dim=(0, 2)) > 1e-6
    touched = changed.nonzero()[:, 0]
    assert touched.min() >= units_to_frames(40) - decoder.receptive_frames
    assert touched.max() <= units_to_frames(41) + decoder.receptive_frames
    assert touched.max() - touched.min() > decoder.receptive_frames


@torch.inference_mode()
def test_chunks_begin_where_a_frame_begins(decoder):
    with pytest.raises(ValueError, match="multiple of 5"):
        decoder(*speech(10), first_unit=3)


@torch.inference_mode()
def test_missing_states_read_the_null_row(decoder):
    units, states = speech(15)
    alone = decoder(units).blendshapes
    dropped = decoder(units, states, torch.zeros(1, 15, dtype=torch.bool)).blendshapes
    torch.testing.assert_close(alone, dropped, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(alone, decoder(units, states).blendshapes, atol=1e-4)


@torch.inference_mode()
def test_emotion_reaches_every_frame_and_unknown_is_its_own(decoder):
    units, states = speech(60, batch=3)
    units, states = units[:1].expand(3, -1), states[:1].expand(3, -1, -1)
    emotion = torch.tensor([[0.0] * 5, [0, 0, 0, 1.0, 0], [0, 0, 0, 1.0, 0]])
    known = torch.tensor([True, True, False])
    neutral, joy, unknown = decoder(units, states, emotion=emotion, emotion_known=known).blendshapes
    assert ((neutral - joy).abs().amax(dim=1) > 1e-5).all()
    assert not torch.allclose(unknown, neutral, atol=1e-5)
    torch.testing.assert_close(unknown, decoder(units[:1], states[:1]).blendshapes[0], atol=1e-5, rtol=1e-4)


@torch.inference_mode()
def test_units_only_is_deaf_to_meaning():
    decoder = with_fusion("units_only")
    units, states = speech(20)
    joy = decoder(units, states, emotion=torch.tensor([[0, 0, 0, 1.0, 0]])).blendshapes
    assert torch.equal(joy, decoder(units, -states).blendshapes)


@torch.inference_mode()
def test_given_lengths_rule(decoder):
    units, states = speech(20, batch=2)
    face = decoder(units, states, frame_lengths=torch.tensor([47, 30]))
    assert face.blendshapes.shape[1] == 47
    assert face.frame_mask.sum(dim=1).tolist() == [47, 30]


def test_unlimited_choices_have_no_receptive_field():
    for changes in ({"window_frames": None}, {"resampling": "stretch"}):
        assert BlendshapeDecoder(small_decoder_config(**changes)).receptive_frames is None


def test_it_learns_a_face(decoder):
    torch.manual_seed(0)
    decoder.train()
    units, states = speech(20, batch=2)
    target, lengths = torch.rand(2, 48, 52), torch.tensor([48, 48])
    optimiser = torch.optim.AdamW(decoder.parameters(), lr=3e-3)
    losses = []
    for _ in range(30):
        face = decoder(units, states, emotion=torch.zeros(2, 5))
        loss = blendshape_loss(face.blendshapes, target, lengths, velocity_weight=0.5)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]
