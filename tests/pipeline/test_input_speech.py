"""A spoken turn: trimmed, levelled, cut at pauses; silence and noise are no question."""

import itertools

import numpy as np
import pytest

from exomni.core.errors import InputError, NoSpeechError
from exomni.parts.loading import Parts
from exomni.parts.silero import build_voice_activity
from exomni.pipeline.input_speech import MARGIN_S, MAX_PIECE_S, MAX_TURN_S, cut_at_pauses, read_input_audio

HZ = 16_000


@pytest.fixture(scope="module")
def activity():
    return build_voice_activity(Parts())


@pytest.mark.parametrize("level", [0.02, 0.3, 3.0])
def test_speech_is_trimmed_and_levelled(activity, question, level):
    silence = np.zeros(48_000, np.float32)
    recording = np.clip(np.concatenate([silence, question * level, silence]), -1, 1)
    (piece,) = read_input_audio(recording.astype(np.float32), 24_000, activity)
    spoken_s = len(question) / 24_000
    assert spoken_s - 0.5 < len(piece) / HZ < spoken_s + 2 * MARGIN_S
    assert 0.4 < np.abs(piece).max() <= 0.51


@pytest.mark.parametrize("rate", [8_000, 44_100])
def test_any_rate_is_heard(activity, question, rate):
    import soxr

    (piece,) = read_input_audio(soxr.resample(question, 24_000, rate), rate, activity)
    assert abs(len(piece) / HZ - len(question) / 24_000) < 0.7


def _noise(kind: str) -> np.ndarray:
    rng, times = np.random.default_rng(0), np.arange(3 * HZ) / HZ
    return {
        "silence": np.zeros(3 * HZ),
        "a constant": np.full(3 * HZ, 0.7),
        "faint noise": 2e-4 * rng.standard_normal(3 * HZ),
        "loud noise": 0.2 * rng.standard_normal(3 * HZ),
        "hum": 0.4 * np.sin(2 * np.pi * 50 * times),
        "a click": np.where(np.arange(3 * HZ) == HZ, 1.0, 0.0),
    }[kind].astype(np.float32)


@pytest.mark.parametrize("kind", ["silence", "a constant", "faint noise", "loud noise", "hum", "a click"])
def test_what_nobody_says_is_not_heard(activity, kind):
    with pytest.raises(NoSpeechError, match="did not hear anything"):
        read_input_audio(_noise(kind), HZ, activity)


def test_long_speech_is_cut_at_a_pause(activity, question):
    pause = np.zeros(24_000, np.float32)
    times = int(40 * 24_000 / (len(question) + len(pause))) + 1
    pieces = read_input_audio(np.concatenate([question, pause] * times), 24_000, activity)
    assert len(pieces) == 2
    for piece in pieces:
        assert len(piece) <= MAX_PIECE_S * HZ
        edge = int(0.1 * HZ)  # cut in the quiet: both ends are
        assert np.abs(piece[:edge]).max() < 0.1
        assert np.abs(piece[-edge:]).max() < 0.1


def test_a_turn_has_an_end(activity):
    with pytest.raises(InputError, match="longer than"):
        read_input_audio(np.zeros((MAX_TURN_S + 11) * 1_000, np.float32), 1_000, activity)


def test_trimmed_speech_is_not_searched(question):
    (piece,) = read_input_audio(question, 24_000, None)
    assert abs(len(piece) / HZ - len(question) / 24_000) < 0.01


def test_pieces_hold_all_speech_in_order():
    spans = [(0, 10 * HZ), (11 * HZ, 20 * HZ), (24 * HZ, 40 * HZ), (41 * HZ, 110 * HZ)]
    pieces = cut_at_pauses(spans, 111 * HZ)
    assert all(0 < stop - start <= MAX_PIECE_S * HZ for start, stop in pieces)
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(pieces))
    for start, stop in spans:
        covered = sum(max(0, min(stop, b) - max(start, a)) for a, b in pieces)
        assert covered == stop - start
