"""Voice activity: where turns of real speech begin and end, however it arrives."""

from pathlib import Path

import numpy as np
import pytest

from exomni.core.audio import read_audio
from exomni.core.errors import InputError
from exomni.core.timebase import ENCODER_SAMPLE_HZ
from exomni.parts.loading import Parts
from exomni.parts.silero import WINDOW_SAMPLES, build_voice_activity
from exomni.pipeline.speech_detector import SpeechDetector, VadConfig

QUESTION = Path(__file__).parent.parent / "serve" / "fixtures" / "question.flac"
PAUSE_S = 1.0


@pytest.fixture(scope="module")
def question() -> np.ndarray:
    return read_audio(QUESTION, ENCODER_SAMPLE_HZ)


@pytest.fixture(scope="module")
def twice(question) -> np.ndarray:
    """The question between pauses, two times."""
    pause = np.zeros(round(PAUSE_S * ENCODER_SAMPLE_HZ), np.float32)
    return np.concatenate([pause, question, pause, question, pause])


def edges_of(samples: np.ndarray, piece: int = 4000, **config) -> list:
    detector = SpeechDetector(build_voice_activity(Parts()), VadConfig(**config))
    return [edge for i in range(0, len(samples), piece) for edge in detector.add(samples[i : i + piece])]


def test_each_turn_is_found_where_it_is(twice, question):
    edges = edges_of(twice)
    assert [e.kind for e in edges] == ["started", "stopped"] * 2
    for nth, (started, stopped) in enumerate(zip(edges[::2], edges[1::2], strict=True)):
        begin = (PAUSE_S + nth * (PAUSE_S + len(question) / ENCODER_SAMPLE_HZ)) * ENCODER_SAMPLE_HZ
        assert begin - 0.3 * ENCODER_SAMPLE_HZ <= started.sample <= begin + 0.3 * ENCODER_SAMPLE_HZ
        assert begin + 0.6 * len(question) <= stopped.sample <= begin + len(question) + WINDOW_SAMPLES
        assert started.n_samples - started.sample <= 0.5 * ENCODER_SAMPLE_HZ
        assert stopped.n_samples - stopped.sample >= 0.5 * ENCODER_SAMPLE_HZ


@pytest.mark.parametrize("piece", [1, 100, WINDOW_SAMPLES, 7777])
def test_pieces_make_no_difference(twice, piece):
    short = twice[: 3 * ENCODER_SAMPLE_HZ]
    assert edges_of(short, piece) == edges_of(short, len(short)) != []


@pytest.mark.parametrize(
    "sound",
    [
        np.zeros(ENCODER_SAMPLE_HZ * 3, np.float32),
        np.random.default_rng(0).standard_normal(ENCODER_SAMPLE_HZ * 3).astype(np.float32) * 0.05,
        (0.3 * np.sin(np.arange(ENCODER_SAMPLE_HZ * 3) * 0.1)).astype(np.float32),
        np.eye(1, ENCODER_SAMPLE_HZ * 3, 5000, np.float32)[0],
    ],
    ids=["silence", "noise", "tone", "click"],
)
def test_what_is_no_voice_starts_no_turn(sound):
    assert edges_of(sound) == []


def test_a_short_silence_ends_a_turn_sooner(twice):
    assert edges_of(twice, silence_ms=200)[1].n_samples < edges_of(twice, silence_ms=800)[1].n_samples


def test_a_pause_that_is_short_enough_ends_nothing(twice):
    assert [e.kind for e in edges_of(twice, silence_ms=3000)] == ["started"]


def test_the_prefix_reaches_back_and_never_into_the_turn_before(twice):
    near, far = edges_of(twice, prefix_ms=0), edges_of(twice, prefix_ms=5_000)
    assert near[0].sample - far[0].sample == near[0].sample  # to the very beginning
    assert far[2].sample == far[1].sample


def test_after_a_reset_nothing_is_remembered(twice):
    detector = SpeechDetector(build_voice_activity(Parts()))
    first = detector.add(twice)
    detector.reset()
    assert detector.add(twice) == first


@pytest.mark.parametrize("wrong", [np.full(600, np.nan, np.float32), np.zeros((2, 600), np.float32)])
def test_what_is_no_voice_at_all_is_refused(wrong):
    with pytest.raises(InputError, match="finite"):
        SpeechDetector(build_voice_activity(Parts())).add(wrong)
