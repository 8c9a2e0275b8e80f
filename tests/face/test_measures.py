"""Measures: zero at rest, and each shape moves the one it should."""

import numpy as np
import pytest

from exomni.core.arkit import INDEX, K
from exomni.face.head import Head
from exomni.face.measures import (
    inner_lip_gap_mm,
    lip_aperture_mm,
    lip_protrusion_mm,
    lip_teeth_gap_mm,
    lip_vertex_error_mm,
    lip_width_mm,
)


def weights(**shapes: float) -> np.ndarray:
    """One frame; a name without its side sets both."""
    out = np.zeros((1, K), np.float32)
    for name, value in shapes.items():
        for full in [name] if name in INDEX else [name + "Left", name + "Right"]:
            out[0, INDEX[full]] = value
    return out


def test_rest_is_closed() -> None:
    assert inner_lip_gap_mm(weights())[0] == 0
    assert lip_protrusion_mm(weights())[0] == pytest.approx(0, abs=1e-5)
    assert lip_width_mm(weights())[0] == pytest.approx(49.3, abs=0.5)


def test_gap_follows_the_jaw_and_mouth_close_undoes_it() -> None:
    assert inner_lip_gap_mm(weights(jawOpen=1))[0] == pytest.approx(33.4, abs=0.5)
    assert inner_lip_gap_mm(weights(jawOpen=0.3))[0] == pytest.approx(10.0, abs=0.3)
    assert inner_lip_gap_mm(weights(jawOpen=0.3, mouthClose=0.3))[0] < 0.1


def test_lips_pressed_together_overlap() -> None:
    aperture = lip_aperture_mm(weights(mouthRollLower=0.3, mouthRollUpper=0.3))[0]
    assert (aperture < -0.3).all()
    assert inner_lip_gap_mm(weights(mouthRollLower=0.3, mouthRollUpper=0.3))[0] == 0


def test_one_sided_opening_is_seen() -> None:
    assert inner_lip_gap_mm(weights(mouthLowerDownLeft=1.0))[0] > 3


def test_rounding_narrows_and_protrudes_and_spreading_widens() -> None:
    rest = lip_width_mm(weights())[0]
    assert lip_width_mm(weights(mouthPucker=1))[0] < rest - 6
    assert lip_protrusion_mm(weights(mouthPucker=1))[0] > 5
    assert lip_width_mm(weights(mouthSmile=1))[0] > rest + 10


def test_lower_lip_leaves_the_teeth_with_the_jaw() -> None:
    assert lip_teeth_gap_mm(weights())[0] < 0.6
    assert lip_teeth_gap_mm(weights(jawOpen=0.2))[0] > 5


def test_lip_vertex_error_is_the_largest_distance() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.uniform(0, 1, (4, K)), rng.uniform(0, 1, (4, K))
    head = Head.load()
    distance = np.linalg.norm(head.apply(a, head.lip_vertices) - head.apply(b, head.lip_vertices), axis=-1)
    np.testing.assert_allclose(lip_vertex_error_mm(a, b), distance.max(1), rtol=1e-3)
    assert lip_vertex_error_mm(a, a).max() == 0
