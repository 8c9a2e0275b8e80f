import pytest
import torch

from exomni.model.config import FusionConfig
from exomni.model.fusion import Context, Fusion, lerp_rows, resample_context

MODES = ["tqgf", "units_only", "hidden_only", "concat"]


def build(mode="tqgf", **changes) -> Fusion:
    torch.manual_seed(0)
    sizes = {"n_layers": 2, "n_heads": 2, "head_dim": 8, "ff_mult": 2}
    return Fusion(16, FusionConfig(mode=mode, **sizes, **changes)).eval()


@pytest.fixture
def query() -> torch.Tensor:
    return torch.randn(2, 7, 16, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def rows() -> torch.Tensor:
    return torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("mode", MODES)
def test_what_each_mode_reads(mode, query, rows):
    fusion = build(mode)
    fused = fusion(query, Context(rows))
    assert fused.shape == query.shape
    reads_context = not torch.equal(fusion(query, Context(rows + 1)), fused)
    reads_query = not torch.equal(fusion(query + torch.randn_like(query), Context(rows)), fused)
    assert (reads_context, reads_query) == (mode != "units_only", mode != "hidden_only")


@pytest.mark.parametrize("mode", MODES)
def test_padding_of_the_context_is_not_read(mode, query, rows):
    fusion, keep = build(mode), torch.tensor([[True] * 3 + [False] * 2] * 2)
    other = torch.where(keep[..., None], rows, torch.randn_like(rows))
    short = fusion(query, Context(rows[:, :3]))
    torch.testing.assert_close(fusion(query, Context(rows, keep)), short)
    torch.testing.assert_close(fusion(query, Context(other, keep)), short)


@pytest.mark.parametrize("mode", MODES)
def test_rows_without_context_stay_finite_and_trainable(mode, query, rows):
    fusion = build(mode)
    keep = torch.tensor([[False] * 5, [True] * 5])
    fused = fusion(query, Context(rows, keep))
    fused.square().sum().backward()
    assert fused.isfinite().all()
    assert all(p.grad is None or p.grad.isfinite().all() for p in fusion.parameters())


def test_nothing_to_read_leaves_the_query_alone(query, rows):
    layer = build().fuse.layers[0]["attention"]
    mask = torch.zeros(2, 1, 1, 5, dtype=torch.bool)
    assert torch.equal(layer(query, Context(rows), mask, None), torch.zeros_like(query))


def test_times_find_the_moment(query, rows):
    """With times, shifting both clocks alike changes nothing; shifting one does. Without, order is unseen."""
    fusion, times = build(rotary=True), torch.arange(5.0)[None].expand(2, -1)
    moments = torch.linspace(0, 4, 7)[None]
    fused = fusion(query, Context(rows, times=times), moments)
    shifted = fusion(query, Context(rows, times=times + 100), moments + 100)
    torch.testing.assert_close(fused, shifted, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(fused, fusion(query, Context(rows, times=times), moments + 1), atol=1e-3)
    plain = build()
    torch.testing.assert_close(plain(query, Context(rows)), plain(query, Context(rows.flip(1))))


def test_a_timeless_row_is_the_same_at_every_moment(rows):
    fusion = build(rotary=True)
    query = torch.randn(1, 1, 16).expand(2, 7, 16)
    none = Context(rows[:, :0], times=torch.zeros(2, 0))
    context = none.with_row(rows[:, 0], torch.ones(2, dtype=torch.bool))
    fused = fusion(query, context, torch.linspace(0, 50, 7)[None])
    torch.testing.assert_close(fused, fused[:, :1].expand_as(fused))


def test_window_hides_distant_rows_only(query, rows):
    fusion, times = build(window=1.0), torch.arange(5.0)[None].expand(2, -1)
    moments = torch.linspace(0, 4, 7)[None]
    changed = rows.clone()
    changed[:, 4] += 1
    before, after = (fusion(query, Context(r, times=times), moments) for r in (rows, changed))
    near = (moments[0] - 4).abs() <= 1
    assert torch.equal(before[:, ~near], after[:, ~near])
    assert not torch.equal(before[:, near], after[:, near])


@pytest.mark.parametrize("choice", [{"rotary": True}, {"window": 2.0}])
def test_missing_times_are_refused(choice, query, rows):
    with pytest.raises(ValueError, match="times"):
        build(**choice)(query, Context(rows))


def test_lerp_reads_between_rows():
    rows = torch.tensor([[[0.0], [10.0], [30.0]]])
    read = lerp_rows(rows, torch.tensor([[0.0, 0.25, 1.5, 2.0]]))
    assert read.flatten().tolist() == [0.0, 2.5, 20.0, 30.0]


def test_resampling_follows_times_and_spreads_without():
    rows = torch.tensor([[[0.0], [10.0], [20.0], [7.0]]])
    timed = torch.tensor([[True, True, True, False]])
    keep = torch.ones(1, 4, dtype=torch.bool)
    context = Context(rows, keep, times=torch.tensor([[0.0, 1.0, 3.0, 0.0]]), timed=timed)
    read = resample_context(context, 5, torch.tensor([[-1.0, 0.5, 1.0, 2.0, 9.0]]))
    assert (read.flatten() - 7.0).tolist() == [0.0, 5.0, 10.0, 15.0, 20.0]  # the timeless row is always added
    stretched = torch.nn.functional.interpolate(rows[:, :3].transpose(1, 2), size=6, mode="linear").transpose(1, 2)
    torch.testing.assert_close(resample_context(Context(rows[:, :3]), 6, None), stretched)
