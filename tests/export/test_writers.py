import itertools
import json
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import openfacefx
import pytest
import yaml

from exomni.core import arkit
from exomni.core.errors import FormatError, OutputError
from exomni.export import engines, simple_characters
from exomni.export.captions import spoken_words, write_captions
from exomni.export.keyframes import TOLERANCE, curves
from exomni.export.plot import write_plot
from exomni.export.track import FaceTrack, Word
from exomni.export.visemes import rhubarb_shapes, vowels


def mouth(**shapes):
    """A face that holds one mouth for half a second."""
    sided = {}
    for name, value in shapes.items():
        for each in [name] if name in arkit.INDEX else [name + "Left", name + "Right"]:
            sided[each] = value
    return FaceTrack(tuple(sided), 30, np.tile(np.array(list(sided.values()))[None], (15, 1)))


AH = {"jawOpen": 0.34, "mouthLowerDown": 0.1}
MOUTHS = {
    "aa": mouth(**AH),
    "ee": mouth(jawOpen=0.27, mouthStretch=0.2, mouthDimple=0.1, mouthLowerDown=0.15),
    "ih": mouth(jawOpen=0.07, mouthStretch=0.3, mouthDimple=0.15, mouthUpperUp=0.08, mouthLowerDown=0.14),
    "oh": mouth(jawOpen=0.24, mouthFunnel=0.4, mouthPucker=0.3),
    "ou": mouth(jawOpen=0.06, mouthFunnel=0.25, mouthPucker=0.78),
}
CUES = {
    "X": mouth(eyeBlink=0.3),
    "A": mouth(jawOpen=0.1, mouthClose=0.1, mouthPress=0.4),
    "B": MOUTHS["ih"],
    "C": mouth(jawOpen=0.18, mouthStretch=0.12, mouthLowerDown=0.1),
    "D": MOUTHS["aa"],
    "E": MOUTHS["oh"],
    "F": MOUTHS["ou"],
    "G": mouth(jawOpen=0.05, mouthRollLower=0.3, mouthUpperUp=0.1),
    "H": mouth(jawOpen=0.12, tongueOut=0.45, mouthLowerDown=0.1),
}


@pytest.mark.parametrize("name", MOUTHS)
def test_each_vowel_is_itself(name):
    weights = vowels(MOUTHS[name])
    assert max(weights, key=lambda each: weights[each][0]) == name
    assert weights[name][0] > 0.5
    assert sum(w[0] for w in weights.values()) <= 1 + 1e-9


def test_closed_lips_are_no_vowel_even_with_an_open_jaw():
    assert sum(w[0] for w in vowels(mouth(jawOpen=0.3, mouthClose=0.3, mouthPress=0.3)).values()) < 0.05


@pytest.mark.parametrize("name", CUES)
def test_each_cue_is_itself(name):
    weights = rhubarb_shapes(CUES[name])
    assert max(weights, key=lambda each: weights[each][7]) == name


def test_few_keys_stay_within_the_tolerance(track):
    for curve in curves(track):
        between = np.interp(track.times_s, curve.times_s, curve.values)
        assert np.abs(between - track.column(curve.name)).max() <= TOLERANCE + 1e-9
    slow = track.replace(frames=track.frames * 0.1)
    assert sum(len(curve.values) for curve in curves(slow)) < 0.4 * track.frames.size
    still = FaceTrack(("jawOpen", "mouthClose"), 30, np.stack([np.linspace(0, 1, 99), np.ones(99)], 1))
    assert [len(curve.values) for curve in curves(still)] == [2, 1]


def test_unitys_clip_plays_the_curves(track, tmp_path):
    track = track.replace(names=track.names[20:30], frames=track.frames[:, 20:30])
    engines.write_unity(track, tmp_path / "a.anim", "Body/Face")
    text = (tmp_path / "a.anim").read_text()
    clip = yaml.safe_load(text.split("\n", 3)[3])["AnimationClip"]
    assert clip["m_FloatCurves"] == clip["m_EditorCurves"]
    assert len(clip["m_FloatCurves"]) == 10
    assert clip["m_AnimationClipSettings"]["m_StopTime"] == 3
    assert clip["m_SampleRate"] == 30
    for entry in clip["m_FloatCurves"]:
        assert (entry["path"], entry["classID"]) == ("Body/Face", 137)
        name = entry["attribute"].removeprefix("blendShape.")
        keys = entry["curve"]["m_Curve"]
        times, values = ([key[part] for key in keys] for part in ("time", "value"))
        np.testing.assert_allclose(
            np.interp(track.times_s, times, values) / 100, track.column(name), atol=TOLERANCE + 1e-5
        )
        slopes = np.diff(values) / np.diff(times)
        np.testing.assert_allclose([key["outSlope"] for key in keys[:-1]], slopes, rtol=1e-2, atol=0.05)
        np.testing.assert_allclose([key["inSlope"] for key in keys[1:]], slopes, rtol=1e-2, atol=0.05)


def test_godots_resource_plays_the_curves(track, tmp_path):
    engines.write_godot(track, tmp_path / "a.tres", "Rig/Face")
    text = (tmp_path / "a.tres").read_text()
    assert text.startswith('[gd_resource type="Animation" format=3]\n\n[resource]\nlength = 3.0\n')
    paths = re.findall(r'tracks/(\d+)/path = NodePath\("Rig/Face:blend_shapes/(\w+)"\)', text)
    keys = re.findall(
        r'"times": PackedFloat32Array\((.*)\),\n"transitions": PackedFloat32Array\((.*)\),\n'
        r'"update": 0,\n"values": \[(.*)\]',
        text,
    )
    assert [int(i) for i, _ in paths] == list(range(52))
    assert len(keys) == 52
    for (_, name), (times, transitions, values) in zip(paths, keys, strict=True):
        times, values = np.fromstring(times, sep=","), np.fromstring(values, sep=",")
        assert len(times) == len(values) == transitions.count("1")
        np.testing.assert_allclose(np.interp(track.times_s, times, values), track.column(name), atol=TOLERANCE + 1e-5)


def test_live2ds_motion_holds_together(track, tmp_path):
    simple_characters.write_live2d(track, tmp_path / "a.motion3.json")
    motion = json.loads((tmp_path / "a.motion3.json").read_text())
    meta, n_points, n_segments = motion["Meta"], 0, 0
    expected = simple_characters.live2d_parameters(track)
    assert {c["Id"] for c in motion["Curves"]} == set(expected)
    assert len(expected) == meta["CurveCount"]
    for curve in motion["Curves"]:
        segments = curve["Segments"]
        points = [segments[:2]] + [segments[i + 1 : i + 3] for i in range(2, len(segments), 3)]
        assert {segments[i] for i in range(2, len(segments), 3)} == {0}
        times, values = np.array(points).T
        reach = 0.01 if "Angle" in curve["Id"] else TOLERANCE + 1e-3
        np.testing.assert_allclose(np.interp(track.times_s, times, values), expected[curve["Id"]], atol=reach)
        n_points, n_segments = n_points + len(points), n_segments + len(points) - 1
    assert (meta["TotalPointCount"], meta["TotalSegmentCount"]) == (n_points, n_segments)
    assert meta["Duration"] == 3
    assert meta["Fps"] == 30


def test_live2ds_parameters_keep_their_signs():
    faces = {"mouthSmile": ("ParamMouthForm", 1), "mouthFrown": ("ParamMouthForm", -1)}
    for shape, (parameter, sign) in faces.items():
        assert np.sign(simple_characters.live2d_parameters(mouth(**{shape: 0.5}))[parameter][0]) == sign
    assert simple_characters.live2d_parameters(mouth(eyeBlink=1.0))["ParamEyeLOpen"][0] == 0
    assert simple_characters.live2d_parameters(mouth(**AH))["ParamEyeROpen"][0] == 1


def test_mikumikudances_motion_plays_the_vowels(track, tmp_path):
    simple_characters.write_vmd(track.replace(fps=60), tmp_path / "a.vmd")
    again = openfacefx.read_vmd(str(tmp_path / "a.vmd"))
    played = {channel.name: channel for channel in again.channels}
    names = {"aa": "aa", "ih": "I", "ou": "U", "ee": "E", "oh": "O"}
    for vowel, curve in vowels(track.replace(fps=60)).items():
        shown = openfacefx.sample(played[names[vowel]], np.arange(45) / 30)
        np.testing.assert_allclose(shown, curve[::2], atol=TOLERANCE + 1e-3)
    assert {"まばたき", "ウィンク２", "ｳｨﾝｸ２右", "困る", "怒り", "上", "にやり"} <= set(played)


@pytest.mark.parametrize("dialect", ["tsv", "xml", "json"])
def test_rhubarbs_cues_tell_the_mouths(dialect, tmp_path):
    order = "XDAFX"
    table = np.concatenate([CUES[name].arkit() for name in order])
    simple_characters.write_rhubarb(FaceTrack(arkit.NAMES, 30, table), tmp_path / "a", dialect)
    text = (tmp_path / "a").read_text()
    if dialect == "tsv":
        rows = [line.split("\t") for line in text.splitlines()]
        cues = [(float(start), name) for start, name in rows[:-1]]
        assert rows[-1] == ["2.50", "X"]
    elif dialect == "xml":
        found = ElementTree.fromstring(text).iter("mouthCue")
        cues = [(float(cue.get("start")), cue.text) for cue in found]
    else:
        cues = [(cue["start"], cue["value"]) for cue in json.loads(text)["mouthCues"]]
    assert "".join(name for _, name in cues) == order
    np.testing.assert_allclose([start for start, _ in cues], [0, 0.5, 1, 1.5, 2], atol=0.04)


def test_captions_follow_the_words(track, tmp_path):
    words = tuple(Word(w, i * 0.5, i * 0.5 + 0.4) for i, w in enumerate("It is noon. Time for tea!".split()))
    track = track.replace(text="It is noon. Time for tea!", words=words)
    write_captions(track, tmp_path / "a.srt")
    srt = openfacefx.parse_srt((tmp_path / "a.srt").read_text())
    assert [(cue.text, cue.start) for cue in srt] == [("It is noon.", 0.0), ("Time for tea!", 1.5)]
    write_captions(track, tmp_path / "a.vtt", "vtt")
    vtt = openfacefx.parse_vtt((tmp_path / "a.vtt").read_text())
    assert [(cue.text, cue.start) for cue in vtt] == [(cue.text, cue.start) for cue in srt]
    assert srt[-1].end <= 3


def test_words_without_times_are_spread_over_the_voice(track):
    quiet = np.zeros(24_000, np.float32)
    track = track.replace(
        frames=np.zeros((150, 52)), head=None, eyes=None, audio=np.concatenate([quiet, track.audio, quiet])
    )
    words = spoken_words(track.replace(text="Ab, 42 你好"))
    assert [w.text for w in words] == ["Ab,", "42", "你好"]
    assert words[0].start_s == pytest.approx(1, abs=0.05)
    assert words[-1].end_s == pytest.approx(4, abs=0.05)
    assert all(a.end_s <= b.start_s for a, b in itertools.pairwise(words))


def test_words_without_times_keep_to_the_pauses(track):
    voice = np.tile(track.audio[:24_000], 1)
    quiet = np.zeros(12_000, np.float32)
    audio = np.concatenate([quiet, voice, quiet, voice, voice, quiet])
    track = track.replace(frames=np.zeros((135, 52)), head=None, eyes=None, audio=audio)
    words = spoken_words(track.replace(text="Good morning. What a very fine and sunny day it is!"))
    starts = {word.text: word.start_s for word in words}
    ends = {word.text: word.end_s for word in words}
    assert starts["Good"] == pytest.approx(0.5, abs=0.05)
    assert ends["morning."] == pytest.approx(1.5, abs=0.05)
    assert starts["What"] == pytest.approx(2.0, abs=0.05)
    assert ends["is!"] == pytest.approx(4.0, abs=0.05)


def test_captions_need_text(track, tmp_path):
    with pytest.raises(FormatError, match="no text"):
        write_captions(track.replace(text=None), tmp_path / "a.srt")
    assert not (tmp_path / "a.srt").exists()


@pytest.mark.parametrize("n_frames", [1, 90, 4000])
def test_a_picture_of_the_curves(n_frames, moving, tmp_path):
    from PIL import Image

    write_plot(FaceTrack(arkit.NAMES, 30, moving(n_frames)), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert image.width == 1400
        assert len(image.convert("RGB").getcolors(1 << 24)) > 50


def test_a_still_face_has_a_picture_too(tmp_path):
    write_plot(FaceTrack(("jawOpen",), 30, np.zeros((9, 1))), tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_a_writer_that_fails_leaves_nothing(track, tmp_path):
    (tmp_path / "file").write_text("")
    for write in (
        engines.write_unity,
        simple_characters.write_vmd,
        simple_characters.write_rhubarb,
        write_plot,
        write_captions,
    ):
        with pytest.raises(OutputError):
            write(track, tmp_path / "file" / "a")
