import pytest
import torch

from exomni.core.timebase import UNIT_HZ, VOCODER_HZ, rescale_floor
from exomni.model.config import SpeechDecoderConfig
from exomni.model.speech_decoder import GROUP_UNITS, SpeechDecoder

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


def test_a_chunk_with_its_reach_equals_the_whole(decoder, units):
    whole = decoder.decode(units)
    context = -(-decoder.reach_units // GROUP_UNITS) * GROUP_UNITS
    for start, stop in ((0, 20), (20, 25), (25, 70), (70, 100)):
        left, right = max(0, start - context), min(100, stop + context)
        chunk = decoder.decode(units[left:right])
        first = rescale_floor(start - left, UNIT_HZ, VOCODER_HZ)
        begin, end = (rescale_floor(n, UNIT_HZ, VOCODER_HZ) for n in (start, stop))
        torch.testing.assert_close(chunk[:, first : first + end - begin], whole[:, begin:end], atol=1e-4, rtol=0)


def test_the_reach_is_not_promised_too_far(decoder, units):
    """Without its reach a chunk differs from the whole, so the test above can fail."""
    whole = decoder.decode(units)
    chunk = decoder.decode(units[20:])
    assert (chunk - whole[:, 128:]).abs()[:, :6].max() > 1e-3


def test_changing_a_unit_changes_frames_within_the_reach_only(decoder, units):
    changed = units.clone()
    changed[50] = (changed[50] + 7) % 36
    moved = (decoder.decode(changed) - decoder.decode(units)).abs().amax(0) > 1e-6
    at = moved.nonzero().flatten() / float(VOCODER_HZ / UNIT_HZ)
    assert at.min() >= 50 - decoder.reach_units
    assert at.max() <= 51 + decoder.reach_units
    assert moved[320:326].all()


def test_units_that_fill_groups_need_no_mask(decoder, units):
    codes = decoder.quantizer.codes_of(units)[None]
    with torch.inference_mode():
        plain = decoder(codes)[0] * decoder.std + decoder.mean
    torch.testing.assert_close(plain.T, decoder.decode(units), atol=1e-5, rtol=1e-5)


def test_the_padding_of_the_last_group_is_not_heard(decoder, units):
    mask = (torch.arange(15) < 12)[None]
    codes = decoder.quantizer.codes_of(units[:15])[None]
    other = codes.clone()
    other[0, 12:] = 0.5
    with torch.inference_mode():
        torch.testing.assert_close(decoder(codes, mask), decoder(other, mask), atol=0, rtol=0)


def test_statistics_travel_with_the_weights(decoder):
    assert {"mean", "std"} <= decoder.state_dict().keys()
