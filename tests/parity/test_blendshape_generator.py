import pytest
import torch

from exomni.core.errors import CheckpointError
from exomni.core.timebase import units_to_frames
from exomni.model.blendshape_decoder import BlendshapeDecoder
from exomni.model.published_layout import BLENDSHAPE_DECODER, load_strictly, optional_decoder_keys
from exomni.parts.published.checkpoint import blendshape_decoder_config
from exomni.train.losses import blendshape_loss

from .conftest import close, needs

KIND = "blendshape_generator"


def load_decoder(fixture, **choices) -> BlendshapeDecoder:
    config = blendshape_decoder_config(fixture.config["config"]).model_copy(update=choices)
    decoder = BlendshapeDecoder(config)
    load_strictly(decoder, fixture.weights, BLENDSHAPE_DECODER, optional_decoder_keys(decoder))
    return decoder.eval()


def case_names(fixture) -> list[str]:
    return sorted({key.split(".")[0] for key in fixture.io if key.endswith(".pred")})


@torch.inference_mode()
def test_every_case_as_published(fixture):
    io, decoder = fixture.io, load_decoder(fixture, frame_count="published")
    assert case_names(fixture)
    for case in case_names(fixture):
        face = decoder(
            io[f"{case}.tokens"],
            io[f"{case}.hidden"],
            io.get(f"{case}.speech_gen_mask"),
            frame_lengths=io.get(f"{case}.bs_lengths"),
        )
        if f"{case}.key_padding_mask" in io:
            assert torch.equal(face.frame_mask, ~io[f"{case}.key_padding_mask"]), case
        kept = io.get(f"{case}.pred_frame_index", torch.arange(face.blendshapes.shape[1]))
        close(face.blendshapes[:, kept], io[f"{case}.pred"])
        if f"{case}.loss" in io:
            loss = blendshape_loss(face.blendshapes, io[f"{case}.bs_labels"], io[f"{case}.bs_lengths"])
            close(loss, io[f"{case}.loss"])


@torch.inference_mode()
def test_intermediates_as_published(fixture):
    io, decoder = fixture.io, load_decoder(fixture, frame_count="published")
    seen = {}
    decoder.fusion.register_forward_hook(lambda _, inputs, out: seen.update(query=inputs[0], fused=out))
    decoder.layers[0].register_forward_hook(lambda _, inputs, out: seen.update(after_rope=inputs[0]))
    decoder.layers[-1].register_forward_hook(lambda _, inputs, out: seen.update(encoder_out=out))
    decoder(io["plain.tokens"], io["plain.hidden"])
    names = {"query": "token_interp", "fused": "fused", "after_rope": "after_rope", "encoder_out": "encoder_out"}
    for ours, theirs in names.items():
        if f"plain.{theirs}" in io:
            close(seen[ours], io[f"plain.{theirs}"])


@needs(lambda fixture: bool((fixture.io["plain.tokens"] != 0).all()))
@torch.inference_mode()
def test_exact_count_agrees_where_nothing_was_lost(fixture):
    io = fixture.io
    face = load_decoder(fixture)(io["plain.tokens"], io["plain.hidden"])
    close(face.blendshapes, io["plain.pred"])


@torch.inference_mode()
def test_exact_count_keeps_unit_zero_and_rows_apart(fixture):
    io, decoder = fixture.io, load_decoder(fixture)
    units, hidden = io["plain.tokens"], io["plain.hidden"]
    zeros = torch.zeros_like(units)
    n_units, length = units.shape[1], 5
    assert decoder(zeros, hidden).blendshapes.shape[1] == units_to_frames(n_units)
    padded = torch.cat([units, units])
    padded[1, length:] = -100
    mask = torch.ones(2, hidden.shape[1], dtype=torch.bool)
    mask[1, length:] = False
    both = decoder(padded, hidden.expand(2, -1, -1), mask)
    alone = decoder(units[:, :length], hidden[:, :length])
    assert both.frame_mask.sum(dim=1).tolist() == [units_to_frames(n_units), units_to_frames(length)]
    close(both.blendshapes[1, : units_to_frames(length)], alone.blendshapes[0])


@torch.inference_mode()
def test_no_units_give_no_frames(fixture):
    decoder = load_decoder(fixture)
    hidden = fixture.io["plain.hidden"][:, :0]
    assert decoder(fixture.io["plain.tokens"][:, :0], hidden).blendshapes.shape[:2] == (1, 0)


def test_faulty_weights_are_named(fixture):
    decoder, weights = load_decoder(fixture), dict(fixture.weights)
    head = weights.pop("out_head.4.bias")
    weights["stray.weight"], weights["rope.inv_freq"] = head, head
    with pytest.raises(CheckpointError) as caught:
        load_strictly(decoder, weights, BLENDSHAPE_DECODER, optional_decoder_keys(decoder))
    for fault in ("missing: out_head.4.bias", "surplus: stray.weight", "misshapen: rope.inv_freq"):
        assert fault in str(caught.value)
