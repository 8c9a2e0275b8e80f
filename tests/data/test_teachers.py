"""The default teacher, checked on the mesh: contacts, rounding, rest, expression, determinism, speed."""

import time

import numpy as np
import pytest

from exomni.core.arkit import INDEX, K
from exomni.core.emotion import EMOTIONS, emotion_vector
from exomni.core.errors import ConfigError
from exomni.core.timebase import FRAME_HZ
from exomni.data.teachers import Clip, Phone, get_teacher, voice_phones
from exomni.data.teachers.poses import CLOSED, LIP_ON_TEETH, POSES
from exomni.data.teachers.timing import TICK_S
from exomni.face.measures import (
    inner_lip_gap_mm,
    lip_aperture_mm,
    lip_protrusion_mm,
    lip_teeth_gap_mm,
    lip_width_mm,
)

SPOKEN: dict[str, tuple[str, list[int]]] = {
    "Mama bought poppy a big map.": (
        "_mˈɑmə bˈɔt pˈɑpi ɐ bˈɪɡ mˈæp._",
        [16, 2, 3, 2, 2, 2, 2, 2, 3, 2, 1, 2, 2, 2, 2, 2, 2, 1, 1, 2, 1, 2, 2, 2, 2, 2, 5, 4, 11, 6, 1],
    ),
    "Five very fluffy vans.": (
        "_fˈIv vˈɛɹi flˈʌfi vˈænz._",
        [15, 2, 4, 3, 2, 2, 1, 2, 2, 2, 2, 2, 2, 1, 2, 2, 3, 2, 2, 2, 5, 3, 3, 13, 6, 1],
    ),
    "Who would do two shoes?": (
        "_hˌu wʊd dˈu tˈu ʃˈuz?_",
        [14, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 3, 2, 4, 5, 13, 6, 1],
    ),
    "Wow, I am so happy for you!": (
        "_wˈW, ˌI ɐm sˌO hˈæpi fɔɹ ju!_",
        [15, 2, 5, 4, 1, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 1, 2, 2, 3, 2, 2, 1, 1, 1, 2, 3, 12, 8, 1],
    ),
}
"""What the voice said, and its own durations."""
EYES = [i for name, i in INDEX.items() if name.startswith(("eyeBlink", "eyeLook"))]
NOT_EYES = [i for i in range(K) if i not in EYES]


def clip(text: str, **options) -> Clip:
    symbols, ticks = SPOKEN[text]
    return Clip(list(symbols), ticks, round(sum(ticks) * TICK_S * FRAME_HZ), **options)


def label(text: str, **options) -> np.ndarray:
    return get_teacher("openfacefx").label(clip(text, **options))


def phones_of(text: str, which: frozenset[str] | str) -> list[Phone]:
    return [p for p in voice_phones(*map(list, SPOKEN[text])) if p.symbol and p.symbol in which]


def frames_near(phone: Phone, n: int, slack_s: float = 0.0) -> np.ndarray:
    middle_s = (np.arange(n) + 0.5) / FRAME_HZ
    return np.flatnonzero((middle_s > phone.start_s - slack_s) & (middle_s < phone.end_s + slack_s))


FEELINGS = [np.zeros(5, np.float32), *np.eye(5, dtype=np.float32)]


@pytest.mark.parametrize("emotion", FEELINGS, ids=["neutral", *EMOTIONS])
@pytest.mark.parametrize("text", SPOKEN)
def test_bilabials_close_whatever_is_felt(text: str, emotion: np.ndarray) -> None:
    gap = inner_lip_gap_mm(label(text, emotion=emotion))
    for phone in phones_of(text, CLOSED):
        middle = (phone.start_s + phone.end_s) / 2 * FRAME_HZ - 0.5
        around = gap[int(np.floor(middle)) : int(np.floor(middle)) + 2]
        assert (around <= 0.5).all(), phone


@pytest.mark.parametrize("text", SPOKEN)
def test_lips_do_not_pass_through_each_other(text: str) -> None:
    face = label(text)
    assert lip_aperture_mm(face).min() > -3.0


def test_lips_open_again_for_the_stressed_vowels_between_closures() -> None:
    text = "Mama bought poppy a big map."
    gap = inner_lip_gap_mm(label(text))
    vowels = [p for p in phones_of(text, "ɑɔæ") if p.stress == 2]
    assert len(vowels) == 4
    for phone in vowels:
        assert gap[frames_near(phone, len(gap))].max() > 4, phone


@pytest.mark.parametrize("emotion", FEELINGS, ids=["neutral", *EMOTIONS])
def test_labiodentals_touch_the_teeth_and_show_them(emotion: np.ndarray) -> None:
    text = "Five very fluffy vans."
    face = label(text, emotion=emotion)
    teeth, gap = lip_teeth_gap_mm(face), inner_lip_gap_mm(face)
    for phone in phones_of(text, LIP_ON_TEETH):
        near = frames_near(phone, len(face), 0.02)
        best = near[teeth[near].argmin()]
        assert teeth[best] < 0.3, phone
        assert 0.8 < gap[best] < 5.0, phone


def test_rounded_sounds_round_and_open_vowels_open() -> None:
    text = "Who would do two shoes?"
    face = label(text)
    width, out = lip_width_mm(face), lip_protrusion_mm(face)
    for phone in phones_of(text, "uwʊʃ"):
        near = frames_near(phone, len(face), 0.02)
        assert width[near].min() < 46.5 or out[near].max() > 2, phone
    jaw = label("Five very fluffy vans.")[:, INDEX["jawOpen"]]
    for phone in phones_of("Five very fluffy vans.", "Iæ"):
        assert jaw[frames_near(phone, len(jaw))].max() > 0.22


def test_a_t_between_rounded_vowels_stays_rounded_and_an_s_keeps_the_jaw_up() -> None:
    phones = [("u", 4), ("t", 2), ("u", 4), ("ɑ", 4), ("s", 3), ("ɑ", 4)]
    symbols, ticks = ["_", *[p[0] for p in phones], "_"], [10, *[p[1] for p in phones], 10]
    face = get_teacher("openfacefx").label(Clip(symbols, ticks, 30))
    heard = voice_phones(symbols, ticks)
    t, s = heard[2], heard[5]
    assert lip_protrusion_mm(face)[frames_near(t, 30)].min() > 3
    assert face[frames_near(s, 30), INDEX["jawOpen"]].min() < 0.09


@pytest.mark.parametrize("text", SPOKEN)
def test_silence_rests_with_the_mouth_closed(text: str) -> None:
    face = label(text)
    before = int(SPOKEN[text][1][0] * TICK_S * FRAME_HZ) - 7
    assert inner_lip_gap_mm(face[:before]).max() < 0.2
    assert inner_lip_gap_mm(face[-2:]).max() < 0.5
    longer = get_teacher("openfacefx").label(Clip(*map(list, SPOKEN[text]), len(face) + 30))
    assert np.abs(longer[len(face) + 5 :][:, NOT_EYES]).max() < 0.01


def test_only_the_eyes_are_random() -> None:
    text = "Wow, I am so happy for you!"
    a, b, again = label(text, seed=1), label(text, seed=2), label(text, seed=1)
    np.testing.assert_array_equal(a, again)
    np.testing.assert_array_equal(a[:, NOT_EYES], b[:, NOT_EYES])
    assert np.abs(a[:, EYES] - b[:, EYES]).max() > 0.05


def test_blinks_come_every_few_seconds_and_close_the_eyes() -> None:
    face = get_teacher("openfacefx").label(Clip(["_"], [40 * 60], 30 * 60, seed=5))
    shut = face[:, INDEX["eyeBlinkLeft"]] > 0.5
    starts = np.flatnonzero(shut[1:] & ~shut[:-1])
    assert 8 <= len(starts) <= 32
    assert face[:, INDEX["eyeBlinkLeft"]].max() > 0.9
    assert (np.diff(starts) > 1.0 * FRAME_HZ).all()


def test_each_emotion_shows_in_its_own_shapes_and_grows_with_it() -> None:
    text = "Five very fluffy vans."
    telling = {
        "anger": "browDownLeft",
        "disgust": "noseSneerLeft",
        "sadness": "mouthFrownLeft",
        "joy": "mouthSmileLeft",
        "fear": "eyeWideLeft",
    }
    neutral = label(text)
    for name, shape in telling.items():
        half = label(text, emotion=emotion_vector({name: 0.5}))[:, INDEX[shape]].max()
        full = label(text, emotion=emotion_vector({name: 1.0}))[:, INDEX[shape]].max()
        assert full > half + 0.1 > neutral[:, INDEX[shape]].max() + 0.2, name


def test_each_sentence_has_its_own_emotion() -> None:
    symbols, ticks = SPOKEN["Five very fluffy vans."]
    n = round(sum(ticks) * TICK_S * FRAME_HZ)
    emotion = np.stack([emotion_vector({"joy": 1.0}), emotion_vector({"anger": 1.0})])
    face = get_teacher("openfacefx").label(Clip(list(symbols * 2), ticks * 2, 2 * n, emotion=emotion))
    smile, frown = face[:, INDEX["mouthSmileLeft"]], face[:, INDEX["browDownLeft"]]
    assert smile[n // 2] > 0.4 > 0.1 > smile[n + n // 2]
    assert frown[n + n // 2] > 0.6 > 0.1 > frown[n // 2]


def test_brows_rise_in_a_question() -> None:
    symbols, ticks = SPOKEN["Who would do two shoes?"]
    asked = label("Who would do two shoes?")
    told = get_teacher("openfacefx").label(Clip(list(symbols.replace("?", ".")), ticks, len(asked)))
    brow = INDEX["browInnerUp"]
    assert asked[25:, brow].mean() > told[25:, brow].mean() + 0.03


@pytest.mark.parametrize("text", SPOKEN)
def test_no_buzzing(text: str) -> None:
    gap = inner_lip_gap_mm(label(text))
    power = np.abs(np.fft.rfft((gap - gap.mean()) * np.hanning(len(gap)))) ** 2
    fast = np.fft.rfftfreq(len(gap), 1 / FRAME_HZ) > 10
    assert power[fast].sum() / power.sum() < 0.03


def test_any_phonemes_close_where_they_must() -> None:
    rng = np.random.default_rng(3)
    alphabet = [s for s in POSES if s] + ["A", "I", "O", "W", "Y", " ", "ˈ", ",", "_", "?", "☂"]
    for _ in range(5):
        symbols = [*rng.choice(alphabet, 80).tolist(), "_"]
        ticks = rng.integers(1, 5, 81)
        n = round(float(ticks.sum()) * TICK_S * FRAME_HZ)
        face = get_teacher("openfacefx").label(Clip(symbols, ticks, n, emotion=rng.uniform(0, 1, 5)))
        assert face.shape == (n, K)
        assert face.dtype == np.float32
        assert face.min() >= 0
        assert face.max() <= 1
        gap = inner_lip_gap_mm(face)
        for phone in voice_phones(symbols, ticks):
            if phone.symbol in CLOSED and phone.end_s < n / FRAME_HZ - 0.05:
                assert gap[frames_near(phone, n, 0.034)].min() <= 0.5, phone


@pytest.mark.parametrize("n_frames", [0, 1, 2])
def test_tiny_clips(n_frames: int) -> None:
    assert get_teacher("openfacefx").label(Clip(["_", "m", "_"], [1, 1, 1], n_frames)).shape == (n_frames, K)
    assert get_teacher("openfacefx").label(Clip([], [], n_frames)).shape == (n_frames, K)


def test_cost_grows_with_length_and_not_with_its_square() -> None:
    symbols, ticks = SPOKEN["Mama bought poppy a big map."]
    teacher = get_teacher("openfacefx")
    long = Clip(list(symbols * 40), ticks * 40, round(40 * sum(ticks) * TICK_S * FRAME_HZ))
    teacher.label(clip("Mama bought poppy a big map."))
    begun = time.perf_counter()
    face = teacher.label(long)
    assert len(face) / FRAME_HZ / (time.perf_counter() - begun) > 20


def test_unknown_teacher_lists_the_known() -> None:
    with pytest.raises(ConfigError, match="openfacefx"):
        get_teacher("nobody")
