"""Measures of a face on cases with known answers."""

import numpy as np
import pytest

from exomni.core.arkit import EXPRESSION, INDEX, K
from exomni.core.errors import InputError
from exomni.data.teachers import Phone
from exomni.evaluate import face_metrics as metrics
from exomni.evaluate.phones import expected_opening
from exomni.face.head import Head


def still(n_frames: int) -> np.ndarray:
    return np.zeros((n_frames, K), np.float32)


def moving(n_frames: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 1, (n_frames, K)).astype(np.float32)


def test_lip_vertex_error_is_the_largest_distance_averaged_over_all_frames_of_all_clips():
    head = Head.load()
    jaw = still(2)
    jaw[1, INDEX["jawOpen"]] = 0.5
    furthest_mm = np.linalg.norm(0.5 * head.deltas_mm[INDEX["jawOpen"], head.lip_vertices], axis=-1).max()
    assert furthest_mm > 5
    assert metrics.lip_vertex_error([(jaw, still(2)), (still(6), still(6))]) == pytest.approx(furthest_mm / 8, rel=1e-5)
    assert metrics.lip_vertex_error([(jaw, jaw)]) == 0.0


def test_shapes_away_from_the_lips_make_no_lip_error():
    blink = still(3)
    blink[:, INDEX["eyeBlinkLeft"]] = 1.0
    assert metrics.lip_vertex_error([(blink, still(3))]) == pytest.approx(0.0, abs=1e-4)


@pytest.mark.parametrize("bad", [np.zeros((3, K)), np.zeros((4, K - 1)), np.zeros((0, K))])
def test_faces_that_cannot_be_compared_are_refused(bad):
    with pytest.raises(InputError, match="shapes"):
        metrics.lip_vertex_error([(bad, np.zeros((4, K)))])


def test_correlation_of_each_shape():
    reference = moving(50)
    face = reference.copy()
    face[:, INDEX["jawOpen"]] = 1 - reference[:, INDEX["jawOpen"]]
    face[:, INDEX["mouthPucker"]] = 0.5
    face[:, INDEX["mouthFunnel"]] = 0.2 + 0.1 * reference[:, INDEX["mouthFunnel"]]
    reference[:, INDEX["tongueOut"]] = 0.0
    found = metrics.shape_correlation(face, reference)
    assert found["jawOpen"] == pytest.approx(-1, abs=1e-4)
    assert found["mouthPucker"] == 0.0
    assert found["mouthFunnel"] == pytest.approx(1, abs=1e-4)
    assert "tongueOut" not in found
    assert not any(name.startswith(("eyeBlink", "eyeLook")) for name in found)


def test_expression_error_is_over_expression_shapes_only():
    face = still(4)
    face[:, INDEX["mouthSmileLeft"]] = 0.6
    face[:, INDEX["jawOpen"]] = 1.0
    assert metrics.expression_error(face, still(4)) == pytest.approx(0.36 / len(EXPRESSION))


def test_jitter_is_nought_for_steady_motion_and_grows_with_shaking():
    ramp = still(20)
    ramp[:, INDEX["jawOpen"]] = np.linspace(0, 1, 20)
    assert metrics.jitter_mm(ramp) == pytest.approx(0.0, abs=1e-4)
    shaking = still(20)
    shaking[::2, INDEX["jawOpen"]] = 0.1
    head = Head.load()
    mean_mm = np.linalg.norm(head.deltas_mm[INDEX["jawOpen"], head.lip_vertices], axis=-1).mean()
    assert metrics.jitter_mm(shaking) == pytest.approx(0.2 * mean_mm, rel=1e-4)
    assert metrics.jitter_mm(still(2)) == 0.0


@pytest.mark.parametrize(("frame", "closes"), [(13, False), (14, True), (16, True), (18, True), (19, False)])
def test_closures_are_looked_for_within_fifty_milliseconds(frame, closes):
    # 50 ms around the p reach from 0.455 to 0.645 s; frame 13 shows 0.450 s, frame 19 shows 0.650 s.
    phones = [Phone("ɑ", 0.0, 0.505), Phone("p", 0.505, 0.595), Phone("ɑ", 0.595, 1.0), Phone("s", 1.0, 1.1)]
    gap = np.full(40, 9.0)
    gap[frame] = 1.49
    gaps = metrics.closure_gaps_mm(gap, phones)
    assert gaps.tolist() == [1.49 if closes else 9.0]
    assert metrics.closed_share(gaps) == closes


def test_lips_that_nearly_meet_are_not_closed():
    assert metrics.closed_share(metrics.closure_gaps_mm(np.full(40, 1.51), [Phone("m", 0.5, 0.6)])) == 0.0


def test_a_share_of_closures():
    assert metrics.closed_share(np.array([0.0, 1.4, 1.6, 8.0])) == 0.5
    assert np.isnan(metrics.closed_share(np.zeros(0)))


def test_openings_of_phones():
    gap = np.arange(30.0)
    phones = [Phone("ɑ", 0.1, 0.2), Phone("ɑ", 0.505, 0.51), Phone("ɑ", 2.0, 2.1)]
    assert metrics.phone_openings_mm(gap, phones).tolist() == [5.0, 15.0]


def babble(rng: np.random.Generator) -> list[Phone]:
    """Half a minute of made-up phones of natural lengths."""
    phones, t = [], 0.0
    while t < 30:
        length = rng.uniform(0.05, 0.2)
        phones.append(Phone(str(rng.choice(list("ɑipmstfuæ"))), t, t + length))
        t += length
    return phones


@pytest.mark.parametrize("shift", [-2, -1, 0, 1, 2, 7])
def test_a_shift_of_the_face_is_found_exactly(shift):
    rng = np.random.default_rng(5)
    expected = expected_opening(babble(rng), 900)
    measured = 8 * expected + rng.normal(0, 1.5, 900)
    found = metrics.lag([np.roll(measured, shift)], [expected])
    assert found.frames == shift
    assert found.exact_frames == pytest.approx(shift, abs=0.25)
    assert found.correlation > 0.7


def test_half_a_frame_is_seen_between_frames():
    t = np.arange(400)
    wave = lambda at: np.sin(at / 5.0) + np.sin(at / 3.1)  # noqa: E731
    assert metrics.lag([wave(t - 0.4)], [wave(t)]).exact_frames == pytest.approx(0.4, abs=0.05)


def test_many_clips_are_pooled_and_their_own_means_do_not_matter():
    rng = np.random.default_rng(1)
    expected = [expected_opening(babble(rng), 300) for _ in range(4)]
    measured = [np.roll(e, 2) + 10 * i for i, e in enumerate(expected)]
    found = metrics.lag(measured, expected)
    assert found.frames == 2
    assert found.correlation > 0.95


def test_a_lag_needs_a_face_that_moves():
    with pytest.raises(InputError, match="moves"):
        metrics.lag([np.zeros(200)], [np.zeros(200)])
    with pytest.raises(InputError, match="moves"):
        metrics.lag([np.arange(10.0)], [np.arange(10.0)])
    with pytest.raises(InputError, match="length"):
        metrics.lag([np.zeros(200)], [np.zeros(100)])


def test_loudness_follows_the_sound_frame_by_frame():
    rate = 24_000
    samples = np.zeros(rate, np.float32)
    t = np.arange(rate) / rate
    samples[8000:16000] = np.sin(2 * np.pi * 800 * t[8000:16000])  # Frames 10 to 20.
    loud = metrics.loudness(samples, rate, 36)
    assert loud.shape == (36,)
    assert loud[11:19].min() > 10 * loud[[*range(9), *range(21, 36)]].max()
    hum = metrics.loudness(np.sin(2 * np.pi * 50 * t).astype(np.float32), rate, 30)
    assert hum[5:25].max() < 0.2 * loud.max()
