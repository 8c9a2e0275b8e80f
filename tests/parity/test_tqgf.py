import torch

from exomni.model.config import FusionConfig
from exomni.model.fusion import Context, Fusion
from exomni.model.published_layout import FUSION, load_strictly

from .conftest import close

KIND = "tqgf"


def load_fusion(fixture) -> Fusion:
    sizes = fixture.config["effective"]
    config = FusionConfig(n_layers=sizes["depth"], n_heads=sizes["heads"], head_dim=sizes["dim_head"])
    fusion = Fusion(fixture.config["kwargs"]["dim"], config)
    load_strictly(fusion, fixture.weights, FUSION)
    return fusion.eval()


def test_fuses_as_published(fixture):
    io, fusion = fixture.io, load_fusion(fixture)
    close(fusion(io["query_reps"], Context(io["text_reps"])), io["out_nomask"])
    close(fusion(io["query_reps"], Context(io["text_reps"], io["text_mask"])), io["out_mask"])


def test_first_layer_as_published(fixture):
    io, fusion = fixture.io, load_fusion(fixture)
    layer, mask = fusion.fuse.layers[0], io["text_mask"][:, None, None, :]
    query = io["query_reps"]
    read = layer["attention"](query, Context(io["text_reps"]), mask, None)
    fused = query + read
    fused = fused + layer["feed_forward"](fused)
    expected = io["layer0_attn_out_mask"]
    assert torch.allclose(read, expected, 1e-4, 1e-4) or torch.allclose(query + read, expected, 1e-4, 1e-4)
    close(fused, io["layer0_out_mask"])


def test_nothing_to_read_adds_nothing(fixture):
    """The published code gives NaN where all context is padding."""
    io, fusion = fixture.io, load_fusion(fixture)
    query, nothing = io["query_reps"], torch.zeros_like(io["text_mask"])
    read = fusion.fuse.layers[0]["attention"](query, Context(io["text_reps"]), nothing[:, None, None], None)
    assert torch.equal(read, torch.zeros_like(read))
    assert fusion(query, Context(io["text_reps"], nothing)).isfinite().all()
