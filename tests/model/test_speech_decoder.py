from dataclasses import fields

import pytest
import torch
from torch import nn

from exomni.core.timebase import FRAMES_PER_TICK, UNIT_HZ, VOCODER_HZ, rescale_floor
from exomni.model.acoustics import ENERGY_CHANNEL, F0_CHANNEL
from exomni.model.config import SpeechDecoderConfig
from exomni.model.speech_decoder import N_PHONETIC, SpeechDecoder, mean_over_runs

LEVELS = (4, 3, 3)


@pytest.fixture(scope="module", params=[(3, 2, 2), (7, 1, 3), (5, 3, 1)])
def decoder(request) -> SpeechDecoder:
    kernel, n_unit_layers, n_tick_layers = request.param
    torch.manual_seed(kernel)
    made = SpeechDecoder(
        SpeechDecoderConfig(
            d_unit=12, n_unit_layers=n_unit_layers, d_tick=12, n_tick_layers=n_tick_layers, kernel=kernel
        ),
        LEVELS,
    )
    nn.init.normal_(made.phoneme_vectors)
    made.mean.copy_(torch.randn(130))
    made.std.copy_(torch.rand(130) + 0.5)
    return made.eval()


@pytest.fixture(scope="module")
def units() -> torch.Tensor:
    return torch.randint(0, 36, (100,), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("n_units", [1, 2, 4, 5, 6, 9, 10, 23, 100])
def test_every_length_gives_its_frames(decoder, units, n_units):
    acoustic = decoder.decode(units[:n_units])
    assert acoustic.shape == (130, rescale_floor(n_units, UNIT_HZ, VOCODER_HZ))
    assert acoustic.dtype == torch.float32


def test_phonetic_channels_stand_still_within_a_phoneme_and_change_at_ticks(decoder, units):
    acoustic = decoder.decode(units)[:N_PHONETIC]
    codes = decoder.quantizer.codes_of(units)[None]
    with torch.inference_mode():
        made = decoder(codes)
    labels = made.phonemes[0].argmax(-1)
    changes = (acoustic[:, 1:] != acoustic[:, :-1]).any(0).nonzero().flatten() + 1
    assert changes.tolist() == [FRAMES_PER_TICK * (i + 1) for i in (labels[1:] != labels[:-1]).nonzero().flatten()]
    runs = mean_over_runs(made.phonetic[0], labels) * decoder.std[:N_PHONETIC] + decoder.mean[:N_PHONETIC]
    torch.testing.assert_close(acoustic[:, ::FRAMES_PER_TICK].T, runs)


def test_a_phoneme_that_is_given_is_the_one_that_sounds(decoder, units):
    codes = decoder.quantizer.codes_of(units[:5])[None]
    with torch.inference_mode():
        heard = decoder(codes)
        likeliest = heard.phonemes.argmax(-1)
        assert torch.equal(decoder(codes, phonemes=likeliest).phonetic, heard.phonetic)
        other = (likeliest + 1) % decoder.config.n_phonemes
        change = decoder(codes, phonemes=other).phonetic - heard.phonetic
        wanted = decoder.phoneme_vectors[other] - decoder.phoneme_vectors[likeliest]
    torch.testing.assert_close(change, wanted)


def test_runs_of_labels_share_their_mean():
    values = torch.tensor([[1.0], [3.0], [5.0], [7.0], [8.0]])
    labels = torch.tensor([4, 4, 2, 4, 4])
    assert mean_over_runs(values, labels).flatten().tolist() == [2.0, 2.0, 5.0, 7.5, 7.5]


def test_there_is_pitch_only_where_there_is_voice(decoder, units):
    with torch.inference_mode():
        made = decoder(decoder.quantizer.codes_of(units)[None])
    pitch, voiced = decoder.decode(units)[F0_CHANNEL], made.voicing[0] > 0
    assert 0 < voiced.sum() < len(voiced)
    assert not pitch[~voiced].any()
    torch.testing.assert_close(
        pitch[voiced], made.pitch[0, voiced] * decoder.std[F0_CHANNEL] + decoder.mean[F0_CHANNEL]
    )


def test_loudness_is_put_back_on_its_scale(decoder, units):
    with torch.inference_mode():
        made = decoder(decoder.quantizer.codes_of(units)[None])
    wanted = made.energy[0] * decoder.std[ENERGY_CHANNEL] + decoder.mean[ENERGY_CHANNEL]
    torch.testing.assert_close(decoder.decode(units)[ENERGY_CHANNEL], wanted)


def test_the_padding_of_the_last_group_is_not_heard(decoder, units):
    mask = (torch.arange(15) < 12)[None]
    codes = decoder.quantizer.codes_of(units[:15])[None]
    other = codes.clone()
    other[0, 12:] = 0.5
    with torch.inference_mode():
        made, again = decoder(codes, mask), decoder(other, mask)
    for field in fields(made):
        torch.testing.assert_close(getattr(made, field.name), getattr(again, field.name), atol=0, rtol=0)


def test_statistics_travel_with_the_weights(decoder):
    assert {"mean", "std"} <= decoder.state_dict().keys()
