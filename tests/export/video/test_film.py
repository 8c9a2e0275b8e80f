import numpy as np
import pytest

from exomni.core import arkit
from exomni.core.errors import FormatError, InputError
from exomni.export.bones import walk
from exomni.export.gltf import write_glb
from exomni.export.gltf_document import add_accessor, decode
from exomni.export.gltf_mesh import _stands, gltf_head_mesh
from exomni.export.head_document import head_document
from exomni.export.track import FaceTrack
from exomni.face import kernels
from exomni.face.camera import CAMERAS, Camera
from exomni.face.render_mesh import own_head_mesh
from exomni.face.renderer import Renderer

SIZE = (96, 96)


def weights(**shapes):
    out = np.zeros(arkit.K, np.float32)
    for name, value in shapes.items():
        for each in [name] if name in arkit.INDEX else [name + "Left", name + "Right"]:
            out[arkit.INDEX[each]] = value
    return out


def slow_reference(screen, near, triangles, both_sides, size):
    """Which triangle is nearest at each pixel, one pixel at a time."""
    out = np.full((size, size), -1)
    depth = np.zeros((size, size))
    for t, corners in enumerate(triangles):
        (ax, ay), (bx, by), (cx, cy) = screen[corners].astype(float)
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0 or (area > 0 and not both_sides[t]):
            continue
        for y in range(size):
            for x in range(size):
                px, py = x + 0.5, y + 0.5
                u = ((cx - bx) * (py - by) - (cy - by) * (px - bx)) / area
                v = ((ax - cx) * (py - cy) - (ay - cy) * (px - cx)) / area
                z = u * near[corners[0]] + v * near[corners[1]] + (1 - u - v) * near[corners[2]]
                if min(u, v, 1 - u - v) >= 0 and z > depth[y, x]:
                    out[y, x], depth[y, x] = t, z
    return out


def scattered(n_triangles=40):
    rng = np.random.default_rng(0)
    screen = rng.uniform(-4, 28, (30, 2)).astype(np.float32)
    near = rng.uniform(0.5, 1, 30).astype(np.float32)
    return screen, near, rng.integers(0, 30, (n_triangles, 3)), rng.random(n_triangles) < 0.5


def owners(scene, box):
    top, left, bottom, right = box
    depth, owner = (
        np.zeros((bottom - top, right - left), np.float32),
        np.full((bottom - top, right - left), -1, np.int32),
    )
    n = len(scene[2])
    plain = (
        np.zeros(n, np.float32),
        np.zeros(n, np.int64),
        np.zeros((0, 6)),
        np.zeros((0, 4)),
        np.zeros((0, 3), np.int64),
    )
    kernels.nearest(*scene, *plain, top, left, depth, owner)
    return owner


def test_the_nearest_triangle_is_found_at_every_pixel():
    scene = scattered()
    assert (owners(scene, (0, 0, 24, 24)) == slow_reference(*scene, 24)).mean() > 0.99


def test_a_box_shows_the_same_as_the_whole():
    scene = scattered()
    whole = owners(scene, (0, 0, 24, 24))
    assert (whole[5:20, 3:22] >= 0).mean() > 0.5
    np.testing.assert_array_equal(owners(scene, (5, 3, 20, 22)), whole[5:20, 3:22])


@pytest.mark.parametrize("camera", CAMERAS)
def test_every_camera_has_the_head_in_its_middle(camera):
    film = Renderer(own_head_mesh(), SIZE, CAMERAS[camera], weights(), 1)
    picture = film.frame(weights()).astype(int)
    middle = picture[36:60, 36:60].reshape(-1, 3)
    assert (middle[:, 0] > middle[:, 2] + 15).mean() > 0.6
    if camera in ("head", "three-quarter"):
        corners = picture[[0, 0, 95], [0, 95, 0]]
        assert (np.abs(corners[:, 0] - corners[:, 2]) < 30).all()


@pytest.mark.parametrize(
    ("shape", "rows"),
    [("jawOpen", (50, 96)), ("eyeBlink", (0, 60)), ("browInnerUp", (0, 50)), ("mouthSmile", (40, 96))],
)
def test_what_moves_is_seen_where_it_is(shape, rows):
    used = weights(**{shape: 1})
    film = Renderer(own_head_mesh(), SIZE, CAMERAS["face"], used, 1)
    rest, moved = film.frame(weights()).astype(int), film.frame(used).astype(int)
    changed = np.abs(moved - rest).sum(axis=2) > 40
    assert changed.sum() > 20
    assert changed[slice(*rows)].sum() > 0.9 * changed.sum()


def test_only_drawing_what_moves_changes_nothing():
    used = weights(jawOpen=0.4, mouthFunnel=0.3)
    partial = Renderer(own_head_mesh(), SIZE, Camera(), used, 2)
    whole = Renderer(own_head_mesh(), SIZE, Camera(), used, 2)
    top, left, bottom, right = partial._box
    assert (bottom - top) * (right - left) < 0.7 * 192 * 192
    whole._box = (0, 0, 192, 192)
    partial.frame(used)
    for face in (used, 0.5 * used, weights()):
        apart = np.abs(partial.frame(face).astype(int) - whole.frame(face).astype(int))
        assert apart.max() <= 3


def test_a_glb_of_the_head_looks_like_the_head(tmp_path):
    write_glb(FaceTrack(arkit.NAMES, 30, np.zeros((1, 52))), tmp_path / "a.glb")
    other = gltf_head_mesh(tmp_path / "a.glb")
    assert other.shapes == arkit.NAMES
    face = weights(jawOpen=0.3, mouthSmile=0.4, eyeBlink=0.2)
    pictures = [Renderer(p, SIZE, Camera(), face, 2).frame(face).astype(int) for p in (own_head_mesh(), other)]
    apart = np.abs(pictures[0] - pictures[1])
    assert apart.mean() < 4
    assert (apart > 60).mean() < 0.01


def test_heads_and_cameras_that_are_none(tmp_path):
    with pytest.raises(InputError, match="no camera shows 'feet'"):
        Renderer(own_head_mesh(), SIZE, Camera("feet"), weights())
    (tmp_path / "a.glb").write_bytes(b"glTF no")
    with pytest.raises(FormatError):
        gltf_head_mesh(tmp_path / "a.glb")


def test_a_turned_head_looks_aside_and_its_shoulders_stay():
    film = Renderer(own_head_mesh(), SIZE, Camera(), weights(), 1, turned_rad=0.6)
    ahead = film.frame(weights()).astype(int)
    aside = film.frame(weights(), np.array([0.5, 0.0, 0.0])).astype(int)
    changed = np.abs(aside - ahead).sum(axis=2) > 60
    assert changed[20:70].mean() > 0.1
    assert changed[-4:].mean() < 0.02
    nose = [np.argmax(picture[44:60, :, 0].sum(axis=0)) for picture in (ahead, aside)]
    assert nose[1] > nose[0] + 3  # to its own left, which is our right


def test_a_skinned_head_turns_as_the_head(tmp_path):
    write_glb(FaceTrack(arkit.NAMES, 30, np.zeros((1, 52))), tmp_path / "a.glb")
    turn = np.array([0.4, -0.2, 0.1])
    pictures = [
        Renderer(p, SIZE, Camera(), weights(), 2, turned_rad=0.5).frame(weights(), turn).astype(int)
        for p in (own_head_mesh(), gltf_head_mesh(tmp_path / "a.glb"))
    ]
    apart = np.abs(pictures[0] - pictures[1])
    assert apart.mean() < 4
    assert (apart > 60).mean() < 0.01


def test_through_holes_one_sees_what_lies_behind():
    screen = np.array([[-50, -50], [-50, 80], [80, -50]] * 2, np.float32)
    near = np.array([1, 1, 1, 2, 2, 2], np.float32)
    skin = np.zeros((6, 6), np.float32)
    skin[:, 3] = 1
    skin[:, 4] = screen[:, 0] / 16  # the texture lies over 16 columns
    texels = np.array([[1, 1, 1, 0], [1, 1, 1, 1]], np.float32)  # a hole on the left
    depth, owner = np.zeros((4, 16), np.float32), np.full((4, 16), -1, np.int32)
    kernels.nearest(
        screen, near, np.arange(6).reshape(2, 3), np.zeros(2, bool), np.float32([0, 0.5]), np.array([-1, 0]),
        skin, texels, np.array([[0, 1, 2]]), 0, 0, depth, owner,
    )  # fmt: skip
    np.testing.assert_array_equal(owner, [[0] * 8 + [1] * 8] * 4)


def test_a_skin_stands_where_its_bones_take_it():
    gltf = head_document()
    back = decode(gltf, gltf.accessors[gltf.skins[0].inverseBindMatrices]).reshape(-1, 4, 4)
    grown = (np.diag([2.0, 2.0, 2.0, 1.0]) @ back).astype(np.float32)  # stored by column: the skin is doubled first
    gltf.skins[0].inverseBindMatrices = add_accessor(gltf, grown.reshape(-1, 16), "MAT4")
    gltf.nodes[0].translation = [9.0, 9.0, 9.0]  # means nothing for a skinned mesh
    primitive = gltf.meshes[0].primitives[0]
    places = {node: place for node, _, place in walk(gltf)}
    stands = _stands(gltf, 0, primitive, places[0], places)
    assert len(stands) == 1
    np.testing.assert_allclose(stands[0, :3, :3], 2 * np.eye(3), atol=1e-6)
    np.testing.assert_allclose(stands[0, :3, 3], 0, atol=1e-6)
