"""The head: shapes, sparse use, and a damaged asset."""

import numpy as np
import pytest

from exomni.core.arkit import INDEX, K
from exomni.core.errors import AssetError, InputError
from exomni.face import head as head_module
from exomni.face.head import Head


def test_all_shapes_move_the_head_and_rest_does_not() -> None:
    head = Head.load()
    assert head.deltas_mm.shape == (K, len(head.vertices_mm), 3)
    largest = np.abs(head.deltas_mm).max((1, 2))
    assert (largest > 2.0).all()
    assert (largest < 60.0).all()
    np.testing.assert_array_equal(head.apply(np.zeros((2, K)))[1], head.vertices_mm)


def test_weights_add_up_linearly() -> None:
    head = Head.load()
    weights = np.random.default_rng(0).uniform(0, 1, (3, K)).astype(np.float32)
    expected = head.vertices_mm + np.einsum("tk,kvc->tvc", weights, head.deltas_mm)
    np.testing.assert_allclose(head.apply(weights), expected, atol=1e-3)
    np.testing.assert_allclose(head.apply(weights, head.lip_vertices), expected[:, head.lip_vertices], atol=1e-3)


def test_jaw_drops_the_lower_lip_alone() -> None:
    head = Head.load()
    drop = head.deltas_mm[INDEX["jawOpen"], :, 1]
    assert drop[head.lower_lip[5, 8]] < -25
    assert abs(drop[head.upper_lip[5, 12]]) < 3


def test_left_is_positive_x() -> None:
    head = Head.load()
    moved = np.abs(head.deltas_mm[INDEX["eyeBlinkLeft"]]).max(1) > 1
    assert head.vertices_mm[moved, 0].mean() > 20


def test_lip_loops_run_from_right_to_left_and_stay_on_the_mouth() -> None:
    head = Head.load()
    for loops in (head.upper_lip, head.lower_lip):
        x = head.vertices_mm[loops, 0]
        assert (np.diff(x, axis=1) >= 0).all()
        assert np.abs(x).max() < 30
    assert len(head.lip_vertices) == 342


@pytest.mark.parametrize("shape", [(K,), (1, K - 1), (1, 1, K)])
def test_wrong_weights_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="weights have shape"):
        Head.load().apply(np.zeros(shape))


def test_a_damaged_asset_is_named(tmp_path, monkeypatch) -> None:
    broken = tmp_path / "head.npz"
    broken.write_bytes(b"not a zip")
    monkeypatch.setattr(head_module, "ASSET", broken)
    with pytest.raises(AssetError, match="head"):
        Head.load.__func__.__wrapped__(Head)
