import numpy as np
import pytest
import torch

from exomni.core.timebase import ENCODER_FRAMES_PER_UNIT
from exomni.parts.whisper import encoder as acoustics
from exomni.parts.whisper.encoder import SpeechFeatures, log_mel

RATE, PER_UNIT = 16_000, 1280


@pytest.fixture(scope="module")
def features(tiny_whisper) -> SpeechFeatures:
    return SpeechFeatures(tiny_whisper)


def test_log_mel_is_whispers(features, speechlike):
    from transformers import WhisperFeatureExtractor

    samples = speechlike(30, RATE)
    theirs = WhisperFeatureExtractor()(samples, sampling_rate=RATE, return_tensors="np").input_features[0]
    ours = log_mel(torch.from_numpy(samples), features.filters).numpy()
    assert ours.shape == theirs.shape == (80, 3000)
    np.testing.assert_allclose(ours, theirs, atol=2e-4)


def test_a_whole_window_is_encoded_as_whisper_does(features, speechlike):
    samples = speechlike(30, RATE)
    mel = log_mel(torch.from_numpy(samples), features.filters)[None]
    with torch.inference_mode():
        theirs = features.encoder(mel).last_hidden_state[0]
    torch.testing.assert_close(features(samples), theirs, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("n_samples", "n_units"), [(0, 1), (1, 1), (1279, 1), (1280, 1), (1281, 2), (16_000, 13)])
def test_units_cover_the_clip(features, speechlike, n_samples, n_units):
    made = features(speechlike(1, RATE)[:n_samples])
    assert made.shape == (n_units * ENCODER_FRAMES_PER_UNIT, 64)
    assert torch.isfinite(made).all()


def test_silence_is_finite(features):
    assert torch.isfinite(features(np.zeros(RATE, np.float32))).all()


def in_pieces(samples: np.ndarray, size: int) -> list[np.ndarray]:
    return [samples[i : i + size] for i in range(0, len(samples), size)]


@pytest.mark.parametrize("size", [7_001, 160_000, 10**9])
@pytest.mark.parametrize("n_units", [1, 100, 138, 139, 150, 151, 263, 264, 265, 400])
def test_windows_follow_each_other_and_cover_the_clip(features, monkeypatch, n_units, size):
    seen = []

    def fake(samples):
        seen.append(len(samples))
        first = int(samples[0]) if len(samples) else 0
        n = -(-len(samples) // PER_UNIT)
        return torch.arange(first * 4, (first + n) * 4)[:, None]

    monkeypatch.setattr(SpeechFeatures, "__call__", lambda self, samples: fake(samples))
    samples = np.repeat(np.arange(n_units, dtype=np.float32), PER_UNIT)[: n_units * PER_UNIT - 7]
    pieces = list(features.long(in_pieces(samples, size)))
    assert torch.cat(pieces)[:, 0].tolist() == list(range(4 * n_units))
    assert max(seen) <= (acoustics.WINDOW_UNITS + acoustics.OVERLAP_UNITS) * PER_UNIT
    assert all(len(p) % ENCODER_FRAMES_PER_UNIT == 0 for p in pieces)


def test_a_short_clip_is_one_window(features, speechlike):
    samples = speechlike(3.3, RATE)
    (piece,) = features.long([samples])
    torch.testing.assert_close(piece, features(samples))


def test_nothing_at_all_is_one_unit(features):
    (piece,) = features.long([])
    assert len(piece) == ENCODER_FRAMES_PER_UNIT


def test_the_encoder_does_not_train(features):
    assert not any(p.requires_grad for p in features.parameters())
    assert not features.encoder.training
