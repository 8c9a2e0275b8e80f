"""The renderer: what must be where, and no faster way to be wrong."""

import numpy as np
import pytest
from tools.avatars.raster import rasterize

from exomni.core.arkit import INDEX, K
from exomni.core.errors import InputError
from exomni.face.camera import MOUTH_VIEW, View
from exomni.face.pictures import contact_sheet, render
from exomni.face.subdivide import Subdivision


def face(**shapes: float) -> np.ndarray:
    out = np.zeros(K)
    for name, value in shapes.items():
        out[INDEX[name]] = value
    return out


def test_nearer_triangle_hides_the_farther_and_backs_are_culled() -> None:
    screen = np.array([[0, 0], [0, 8], [8, 0], [0, 0], [0, 8], [8, 0]], float)
    nearness = np.array([1.0, 1, 1, 2, 2, 2])
    both = rasterize(screen, nearness, np.array([[0, 1, 2], [3, 4, 5]]), (8, 8))
    assert len(both.pixel) > 20
    assert (both.triangle == 1).all()
    turned = rasterize(screen, nearness, np.array([[0, 1, 2], [3, 5, 4]]), (8, 8))
    assert (turned.triangle == 0).all()
    np.testing.assert_allclose(both.bary.sum(1), 1, atol=1e-5)
    x = both.blend(screen[:, :1], np.array([[0, 1, 2], [3, 4, 5]]))[:, 0]
    np.testing.assert_allclose(x, both.pixel % 8 + 0.5, atol=1e-4)


def test_triangles_outside_the_picture_are_harmless() -> None:
    screen = np.array([[-50, -50], [-50, -20], [-20, -50.0]])
    assert len(rasterize(screen, np.ones(3), np.array([[0, 1, 2]]), (8, 8)).pixel) == 0


def test_subdividing_a_flat_patch_keeps_it_flat_and_its_border() -> None:
    x, y = np.meshgrid(np.arange(4.0), np.arange(4.0))
    points = np.stack([x.ravel(), y.ravel(), np.zeros(16)], 1)
    quads = np.array([[4 * r + c, 4 * r + c + 1, 4 * r + c + 5, 4 * r + c + 4] for r in range(3) for c in range(3)])
    mesh = Subdivision.of(quads, 16)
    fine = mesh.smooth(points)
    assert len(fine) == 16 + 24 + 9
    assert mesh.fine_quads.shape == (36, 4)
    assert np.abs(fine[:, 2]).max() == 0
    np.testing.assert_allclose(fine[5], points[5], atol=1e-6)  # symmetric surroundings: stays
    assert fine[:, :2].min() >= 0
    assert fine[:, :2].max() <= 3


def test_picture_is_stable_and_has_the_asked_shape() -> None:
    a, b = render(face(), (60, 80), samples=1), render(face(), (60, 80), samples=1)
    assert a.shape == (60, 80, 3)
    assert a.dtype == np.uint8
    np.testing.assert_array_equal(a, b)


def test_opening_the_jaw_darkens_the_mouth_and_blinking_hides_the_eyes() -> None:
    shut, wide = (render(face(jawOpen=j), 96, MOUTH_VIEW, 1).astype(int) for j in (0.0, 0.8))
    assert np.abs(wide - shut)[45:75, 35:60].mean() > 15
    eyes = View((31.0, 728.0, 130.0), 30.0)
    seen, hidden = (render(face(eyeBlinkLeft=b), 64, eyes, 1).astype(int) for b in (0.0, 1.0))
    darkest_seen, darkest_hidden = seen.sum(-1).min(), hidden[24:40, 24:40].sum(-1).min()
    assert darkest_seen < 60 < darkest_hidden


def test_turned_head_differs() -> None:
    assert np.abs(render(face(), 64, View(yaw_deg=40), 1).astype(int) - render(face(), 64, samples=1)).mean() > 5


def test_contact_sheet_lays_out_rows() -> None:
    sheet = contact_sheet(np.zeros((3, K)), ["a", "b", "c"], size=32, columns=2, samples=1)
    assert sheet.shape == (2 * (32 + 14), 64, 3)
    assert (sheet[46 + 14 :, 32:] == 255).all()  # the fourth place stays empty


def test_wrong_weights_are_refused() -> None:
    with pytest.raises(InputError):
        render(np.zeros((1, K)))
