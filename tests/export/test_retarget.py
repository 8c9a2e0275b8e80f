import numpy as np
import pytest

from exomni.core import arkit
from exomni.core.errors import ConfigError, FormatError, InputError
from exomni.export.profile import Profile, Shape, Smoothing, load_profile, save_profile
from exomni.export.retarget import REROUTES, mirror, retarget
from exomni.export.track import FaceTrack


def face(fps=30, head=None, **columns):
    return FaceTrack(tuple(columns), fps, np.array(list(columns.values())).T, head=head)


def test_an_empty_profile_only_clamps(track):
    assert (retarget(track, Profile()).track.frames == track.frames).all()
    assert retarget(face(jawOpen=[-0.5, 1.5]), Profile()).track.column("jawOpen").tolist() == [0, 1]


def test_gain_offset_clamp_and_mute():
    profile = Profile(
        every=Shape(gain=0.5),
        shapes={"jawOpen": Shape(gain=2, offset=0.1, clamp=(0.2, 0.9)), "mouthClose": Shape(mute=True)},
    )
    done = retarget(face(jawOpen=[0, 0.25, 1], mouthClose=[1, 1, 1], cheekPuff=[1, 0, 0.5]), profile).track
    np.testing.assert_allclose(done.column("jawOpen"), [0.2, 0.6, 0.9])
    assert done.column("mouthClose").tolist() == [0, 0, 0]
    assert done.column("cheekPuff").tolist() == [0.5, 0, 0.25]


def test_a_mirrored_face():
    track = face(jawLeft=[1.0, 0], eyeBlinkRight=[0.5, 0], eyeBlinkLeft=[0, 0.25], head=[[0.1, 0.2, 0.3]] * 2)
    done = retarget(track, Profile(mirror=True)).track
    assert done.column("jawRight").tolist() == [1, 0]
    assert "jawLeft" not in done.names
    assert done.column("eyeBlinkLeft").tolist() == [0.5, 0]
    assert done.column("eyeBlinkRight").tolist() == [0, 0.25]
    np.testing.assert_allclose(done.head[0], [-0.1, 0.2, -0.3])


def test_mirrored_twice_is_the_same(track):
    again = mirror(mirror(track))
    assert again.names == track.names
    assert (again.frames == track.frames).all()
    assert (again.eyes == track.eyes).all()
    assert (again.head == track.head).all()


def test_missing_shapes_go_elsewhere_and_are_named():
    has = {"jawOpen", "mouthPucker"}
    track = face(jawOpen=[0.1, 0.1], mouthFunnel=[0, 1.0], mouthSmileLeft=[0, 0.5], noseSneerLeft=[0, 0])
    done = retarget(track, Profile(), has)
    assert set(done.track.names) == has
    np.testing.assert_allclose(done.track.column("mouthPucker"), [0, 0.7])
    assert "1 shapes, which were rerouted: mouthFunnel to mouthPucker" in done.notes[0]
    assert "1 shapes, which were dropped: mouthSmileLeft" in done.notes[1]
    assert "noseSneerLeft" not in " ".join(done.notes)


def test_ways_are_chained_and_the_profiles_win():
    track = face(mouthShrugLower=[1.0, 0], jawOpen=[0, 0])
    chained = retarget(track, Profile(available=("mouthPressLeft", "mouthPressRight", "jawOpen"))).track
    np.testing.assert_allclose(chained.column("mouthPressLeft"), [0.15, 0])
    own = Profile(available=("jawOpen",), reroute={"mouthShrugLower": {"jawOpen": 0.5}})
    np.testing.assert_allclose(retarget(track, own).track.column("jawOpen"), [0.5, 0])
    circle = {"mouthFunnel": {"mouthPucker": 1.0}, "mouthPucker": {"mouthFunnel": 1.0}}
    nowhere = retarget(face(mouthFunnel=[1.0], jawOpen=[0]), Profile(available=("jawOpen",), reroute=circle))
    assert "dropped: mouthFunnel" in nowhere.notes[0]


def test_a_character_with_nothing_to_show_it(track):
    with pytest.raises(FormatError, match="none of the shapes"):
        retarget(face(tongueOut=[1.0]), Profile(), ["eyeBlinkLeft"])


def test_the_usual_ways_are_between_arkit_shapes():
    for name, ways in REROUTES.items():
        assert name in arkit.INDEX
        assert set(ways) <= set(arkit.NAMES)


def test_smoothing_quiets_jitter_without_delay():
    rng = np.random.default_rng(0)
    times = np.arange(300) / 30
    clean = 0.5 + 0.4 * np.sin(2 * np.pi * 0.7 * times)
    noisy = clean + rng.normal(0, 0.03, 300)
    track = face(jawOpen=noisy, browInnerUp=noisy)
    profile = Profile(smoothing=Smoothing(), shapes={"browInnerUp": Shape(smoothing=False)})
    done = retarget(track, profile).track
    jaw = done.column("jawOpen")
    jitter = [np.abs(np.diff(curve, 2)).mean() for curve in (jaw, track.column("jawOpen"))]
    assert jitter[0] < 0.5 * jitter[1]
    lags = [np.corrcoef(np.roll(clean, lag)[10:-10], jaw[10:-10])[0, 1] for lag in range(-3, 4)]
    assert np.argmax(lags) == 3
    assert (done.column("browInnerUp") == np.clip(track.column("browInnerUp"), 0, 1)).all()


def test_the_rate_is_converted_last():
    done = retarget(face(fps=30, jawOpen=np.linspace(0, 1, 30)), Profile(fps=60)).track
    assert (done.fps, done.n_frames) == (60, 60)


def test_a_profile_is_saved_and_read(tmp_path):
    profile = Profile(
        name="Анна",
        fps="30000/1001",
        mirror=True,
        smoothing=Smoothing(beta=0.5),
        shapes={"jawOpen": Shape(gain=0.8, clamp=(0, 0.9), smoothing=False)},
        available=("jawOpen", "mouthClose"),
        reroute={"tongueOut": {}},
    )
    save_profile(profile, tmp_path / "anna.yaml")
    assert load_profile(tmp_path / "anna.yaml") == profile
    save_profile(Profile(), tmp_path / "plain.yaml")
    assert load_profile(tmp_path / "plain.yaml") == Profile()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gain: 2", "gain: Extra inputs"),
        ("shapes: {jawOpne: {}}", "did you mean jawOpen"),
        ("shapes: {jawOpen: {gain: big}}", "shapes.jawOpen.gain"),
        ("shapes: {jawOpen: {clamp: [1, 0]}}", "the least is above the most"),
        ("shapes: {jawOpen: {smoothing: some}}", "smoothing"),
        ("shapes: {jawOpen: {gain: .nan}}", "gain"),
        ("reroute: {tongueOut: {tongue: 1}}", "'tongue' is not an ARKit shape"),
        ("available: [jaw]", "'jaw' is not"),
        ("fps: 0", "frame rate"),
        ("name: [", "line 1"),
        ("a: b: c", "line 1"),
        ("- 3", "valid dictionary"),
    ],
)
def test_a_profile_that_is_not_understood(text, message, tmp_path):
    (tmp_path / "p.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_profile(tmp_path / "p.yaml")


def test_no_profile(tmp_path):
    with pytest.raises(InputError):
        load_profile(tmp_path / "none.yaml")
