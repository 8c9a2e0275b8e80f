import base64
import json
import subprocess

import numpy as np
import openfacefx
import pytest
import trimesh
from pygltflib import Node

from exomni.core import arkit
from exomni.core.errors import FormatError, InputError
from exomni.export import Options
from exomni.export.bones import bone, turned, walk
from exomni.export.gltf import animate, available_shapes, read_gltf, write_glb
from exomni.export.gltf_document import decode, load_gltf
from exomni.export.shipped_heads import PEOPLE
from exomni.export.visemes import vowels
from exomni.export.vrma import write_vrma, write_vrma_perfect_sync
from exomni.face.rotations import angles, matrix, quaternions


@pytest.fixture(scope="session")
def validator(node_packages):
    """The Khronos validator: a function from a path to its report."""

    def report(path):
        command = ["node", str(node_packages / "validate.mjs"), str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    return report


def test_the_projects_head_speaks_without_an_error(track, tmp_path, validator):
    assert write_glb(track, tmp_path / "a.glb") == ()
    report = validator(tmp_path / "a.glb")
    assert report["issues"]["numErrors"] == 0
    assert report["issues"]["numWarnings"] == 0
    assert report["info"]["hasMorphTargets"]
    assert report["info"]["animationCount"] == 1


@pytest.mark.parametrize("head", PEOPLE)
def test_the_people_speak_without_an_error(head, track, tmp_path, validator):
    assert write_glb(track, tmp_path / "a.glb", head) == ()
    report = validator(tmp_path / "a.glb")
    assert report["issues"]["numErrors"] == 0
    assert report["info"]["animationCount"] == 1
    shown = read_gltf(tmp_path / "a.glb").track
    np.testing.assert_array_equal(shown.arkit(), track.arkit())
    np.testing.assert_allclose(shown.head, track.head, atol=1e-6)


def test_what_the_head_says_reads_back_to_the_bit(track, tmp_path):
    write_glb(track, tmp_path / "a.glb")
    reading = read_gltf(tmp_path / "a.glb")
    assert reading.notes == ()
    assert reading.track.fps == 30
    assert reading.track.names == arkit.NAMES
    assert (reading.track.frames == track.frames).all()
    np.testing.assert_allclose(reading.track.head, track.head, atol=1e-6)


def test_other_programs_read_the_same(track, tmp_path):
    write_glb(track, tmp_path / "a.glb")
    theirs, _ = openfacefx.read_gltf(str(tmp_path / "a.glb"), epsilon=0.0)
    assert theirs.fps == pytest.approx(30)
    for channel in theirs.channels:
        shown = openfacefx.sample(channel, track.times_s)
        np.testing.assert_allclose(shown, track.column(channel.name), atol=1e-4)
    scene = trimesh.load_scene(tmp_path / "a.glb")
    assert sum(len(mesh.faces) for mesh in scene.geometry.values()) == 8 * 5036
    height_m = scene.extents[1]
    assert 0.2 < height_m < 0.4


def test_the_file_is_as_the_specification_asks(track, tmp_path):
    write_glb(track, tmp_path / "a.glb")
    gltf = load_gltf(tmp_path / "a.glb")
    sampler = gltf.animations[0].samplers[0]
    times = gltf.accessors[sampler.input]
    assert (np.diff(decode(gltf, times).ravel()) > 0).all()
    assert times.min == [0]
    assert times.max == pytest.approx([89 / 30])
    assert sampler.interpolation == "LINEAR"
    assert gltf.animations[0].channels[0].target.path == "weights"
    assert gltf.accessors[sampler.output].count == 90 * 52
    assert gltf.meshes[0].extras["targetNames"] == list(arkit.NAMES)


def test_the_audio_lies_beside(track, tmp_path):
    import soundfile

    write_glb(track, tmp_path / "a.glb")
    assert load_gltf(tmp_path / "a.glb").animations[0].extras == {"audio": "a.wav"}
    samples, sample_hz = soundfile.read(tmp_path / "a.wav")
    assert len(samples) / sample_hz == pytest.approx(float(track.duration_s))


@pytest.mark.parametrize("where", ["mesh", "primitive"])
@pytest.mark.parametrize("spell", [lambda n: n, lambda n: n[:1].upper() + n[1:]])
def test_a_users_head_speaks(where, spell, track, tmp_path, validator, user_head):
    names = [spell(name) for name in reversed(arkit.NAMES)] + ["Fat"]
    head = user_head(tmp_path / "user.glb", names, where=where)
    assert write_glb(track, tmp_path / "a.glb", head) == ()
    assert validator(tmp_path / "a.glb")["issues"]["numErrors"] == 0
    gltf = load_gltf(tmp_path / "a.glb")
    assert [c.target.path for c in gltf.animations[0].channels] == ["weights", "weights", "rotation"]
    np.testing.assert_allclose(read_gltf(tmp_path / "a.glb").track.head, track.head, atol=1e-6)
    assert gltf.nodes[2].extras == {"kept": True}
    assert gltf.meshes[0].extras["targetNames"] == names
    np.testing.assert_array_equal(read_gltf(tmp_path / "a.glb").track.arkit(), track.arkit())
    lids = decode(gltf, gltf.accessors[gltf.animations[0].samplers[1].output]).reshape(90, 2)
    np.testing.assert_array_equal(lids[:, 0], track.column("eyeBlinkRight"))


def test_a_bone_turns_in_the_world_as_the_head_turned(user_head, tmp_path):
    gltf = load_gltf(user_head(tmp_path / "user.glb", list(arkit.NAMES)))
    head = bone(gltf, "head")
    (rest,) = [place for index, _, place in walk(gltf) if index == head]
    turn = np.array([0.5, -0.3, 0.2])
    gltf.nodes[head].rotation = turned(gltf, head, turn[None])[0].tolist()
    (place,) = [place for index, _, place in walk(gltf) if index == head]
    np.testing.assert_allclose(place[:3, :3], matrix(quaternions(turn)) @ rest[:3, :3], atol=1e-6)


def test_eyes_turn_by_bones_only_where_no_shape_moves_them(track, tmp_path, user_head):
    for names, moved in ((list(arkit.NAMES), 1), ([n for n in arkit.NAMES if "eyeLook" not in n], 3)):
        gltf = load_gltf(user_head(tmp_path / "user.glb", names))
        gltf.nodes += [Node(name="Eye.L"), Node(name="Eye.R")]
        gltf.scenes[0].nodes += [4, 5]
        animate(gltf, track)
        rotated = [c.target.node for c in gltf.animations[0].channels if c.target.path == "rotation"]
        assert rotated == [3, 4, 5][:moved]


def test_a_head_without_a_bone_says_that_it_stays_still(track, tmp_path, user_head):
    gltf = load_gltf(user_head(tmp_path / "user.glb", list(arkit.NAMES)))
    gltf.nodes[3].name = "Forehead"
    assert animate(gltf, track) == ("no bone turns these, which stay still: head",)


def test_a_head_that_lacks_shapes_gets_them_rerouted(track, tmp_path, user_head):
    has = [n for n in arkit.NAMES if n not in ("mouthFunnel", "tongueOut")]
    notes = write_glb(track, tmp_path / "a.glb", user_head(tmp_path / "user.glb", has))
    assert "mouthFunnel to mouthPucker" in notes[0]
    assert "tongueOut to jawOpen" in notes[0]
    shown = read_gltf(tmp_path / "a.glb").track
    more = track.column("mouthPucker") + 0.7 * track.column("mouthFunnel")
    np.testing.assert_allclose(shown.column("mouthPucker"), more, atol=1e-6)


@pytest.mark.parametrize("version", [0, 1])
def test_a_vrm_avatar_with_perfect_sync_speaks(version, track, tmp_path, validator, user_head):
    if version == 1:
        custom = {
            name: {"morphTargetBinds": [{"node": 1, "index": i, "weight": 0.5}]} for i, name in enumerate(arkit.NAMES)
        }
        vrm = {"extensions": {"VRMC_vrm": {"specVersion": "1.0", "expressions": {"custom": custom}}}}
        vrm["extensionsUsed"] = ["VRMC_vrm"]
    else:
        groups = [
            {"name": name[:1].upper() + name[1:], "binds": [{"mesh": 0, "index": i, "weight": 50}]}
            for i, name in enumerate(arkit.NAMES)
        ]
        vrm = {"extensions": {"VRM": {"blendShapeMaster": {"blendShapeGroups": groups}}}}
        vrm["extensionsUsed"] = ["VRM"]
    head = user_head(tmp_path / "user.vrm", list(arkit.NAMES), where="nowhere", vrm=vrm)
    write_glb(track, tmp_path / "a.glb", head)
    assert validator(tmp_path / "a.glb")["issues"]["numErrors"] == 0
    np.testing.assert_allclose(read_gltf(tmp_path / "a.glb").track.arkit(), 0.5 * track.arkit(), atol=1e-7)


@pytest.mark.parametrize("inside", [True, False])
def test_a_head_in_pieces_is_put_together(inside, track, tmp_path, validator, user_head):
    gltf = load_gltf(user_head(tmp_path / "user.glb", list(arkit.NAMES)))
    document, blob = json.loads(gltf.gltf_to_json()), gltf.binary_blob()
    pieces = [blob[:44], blob[44:]]
    for view in document["bufferViews"][2:]:
        view["buffer"], view["byteOffset"] = 1, view["byteOffset"] - 44
    uris = ["data:application/octet-stream;base64," + base64.b64encode(p).decode() for p in pieces]
    if not inside:
        uris = ["first.bin", "my%20second.bin"]
        (tmp_path / "first.bin").write_bytes(pieces[0])
        (tmp_path / "my second.bin").write_bytes(pieces[1])
    document["buffers"] = [{"uri": u, "byteLength": len(p)} for u, p in zip(uris, pieces, strict=True)]
    (tmp_path / "user.gltf").write_text(json.dumps(document))
    write_glb(track, tmp_path / "new" / "a.glb", tmp_path / "user.gltf")
    assert validator(tmp_path / "new" / "a.glb")["issues"]["numErrors"] == 0
    np.testing.assert_array_equal(read_gltf(tmp_path / "new" / "a.glb").track.arkit(), track.arkit())


def test_heads_that_cannot_speak(track, tmp_path, user_head):
    head = user_head(tmp_path / "a.glb", ["Smile", "Blink"])
    with pytest.raises(FormatError, match="no morph target is an ARKit shape; 2 meshes have targets: Blink"):
        write_glb(track, tmp_path / "out.glb", head)
    data = user_head(tmp_path / "b.glb", list(arkit.NAMES)).read_bytes()
    (tmp_path / "b.glb").write_bytes(data[:-100])
    with pytest.raises(FormatError, match="cut off"):
        write_glb(track, tmp_path / "out.glb", tmp_path / "b.glb")
    (tmp_path / "c.glb").write_bytes(b"glTF nonsense")
    with pytest.raises(FormatError):
        write_glb(track, tmp_path / "out.glb", tmp_path / "c.glb")
    outside = {"asset": {"version": "2.0"}, "buffers": [{"uri": "no.bin", "byteLength": 1}]}
    (tmp_path / "d.gltf").write_text(json.dumps(outside))
    with pytest.raises(InputError, match="cannot read"):
        write_glb(track, tmp_path / "out.glb", tmp_path / "d.gltf")
    with pytest.raises(InputError):
        write_glb(track, tmp_path / "out.glb", tmp_path / "none.glb")
    assert not (tmp_path / "out.glb").exists()
    assert not (tmp_path / "out.wav").exists()
    with pytest.raises(FormatError, match="no animation moves a morph target"):
        read_gltf(user_head(tmp_path / "e.glb", list(arkit.NAMES)))
    assert available_shapes(load_gltf(tmp_path / "e.glb")) == arkit.NAMES


def expression_curves(path, group):
    """Weights of a VRM animation's expressions over time."""
    gltf = load_gltf(path)
    extension = gltf.extensions["VRMC_vrm_animation"]
    assert extension["specVersion"] == "1.0"
    assert "VRMC_vrm_animation" in gltf.extensionsUsed
    curves = {}
    for name, entry in extension["expressions"][group].items():
        (channel,) = [c for c in gltf.animations[0].channels if c.target.node == entry["node"]]
        assert channel.target.path == "translation"
        sampler = gltf.animations[0].samplers[channel.sampler]
        times = decode(gltf, gltf.accessors[sampler.input]).ravel()
        curves[name] = times, decode(gltf, gltf.accessors[sampler.output])[:, 0]
    return curves


def test_a_vrm_animation_plays_the_vowels(track, tmp_path, validator):
    write_vrma(track, tmp_path / "a.vrma")
    assert validator(tmp_path / "a.vrma")["issues"]["numErrors"] == 0
    curves = expression_curves(tmp_path / "a.vrma", "preset")
    assert set(curves) == {"aa", "ih", "ou", "ee", "oh", "blinkLeft", "blinkRight"}
    for name, expected in vowels(track).items():
        np.testing.assert_allclose(np.interp(track.times_s, *curves[name]), expected, atol=5e-3)


@pytest.mark.parametrize("casing", ["camel", "pascal"])
def test_a_vrm_animation_for_perfect_sync(casing, track, tmp_path, validator):
    write_vrma_perfect_sync(track, tmp_path / "a.vrma", casing)
    assert validator(tmp_path / "a.vrma")["issues"]["numErrors"] == 0
    curves = expression_curves(tmp_path / "a.vrma", "custom")
    assert len(curves) == 52
    jaw = curves["jawOpen" if casing == "camel" else "JawOpen"][1]
    np.testing.assert_array_equal(jaw, track.column("jawOpen"))


@pytest.mark.parametrize("write", [write_vrma, write_vrma_perfect_sync])
def test_a_vrm_animation_turns_the_head_and_the_gaze(write, track, tmp_path, validator):
    few = track.replace(names=("jawOpen",), frames=track.frames[:, :1])
    write(few, tmp_path / "a.vrma")
    assert validator(tmp_path / "a.vrma")["issues"]["numErrors"] == 0
    gltf = load_gltf(tmp_path / "a.vrma")
    extension = gltf.extensions["VRMC_vrm_animation"]
    nodes = {"head": extension["humanoid"]["humanBones"]["head"]["node"], "gaze": extension["lookAt"]["node"]}
    for which, expected in (("head", track.head), ("gaze", track.eyes.mean(axis=1) * [1, 1, 0])):
        (channel,) = [c for c in gltf.animations[0].channels if c.target.node == nodes[which]]
        assert channel.target.path == "rotation"
        sampler = gltf.animations[0].samplers[channel.sampler]
        np.testing.assert_allclose(angles(decode(gltf, gltf.accessors[sampler.output])), expected, atol=1e-6)


def test_an_unknown_casing_is_refused():
    with pytest.raises(InputError, match="no casing 'upper'; there are camel, pascal"):
        Options(casing="upper")
