import numpy as np
import pytest
import torch

from exomni.model.config import SpeechEncoderConfig
from exomni.model.speech_encoder import SpeechEncoder, clip_features


@pytest.mark.parametrize(("n_mels", "length"), [(80, 24_000), (128, 500_000), (16, 0)])
def test_features_equal_those_of_transformers(n_mels, length):
    from transformers import WhisperFeatureExtractor

    samples = np.random.default_rng(0).standard_normal(length).astype(np.float32) * 0.1
    theirs = WhisperFeatureExtractor(feature_size=n_mels)(
        samples if length else np.zeros(1, np.float32), sampling_rate=16_000, return_tensors="pt"
    ).input_features[0]
    ours = clip_features(samples, n_mels)
    assert ours.shape == (n_mels, 3000)
    torch.testing.assert_close(ours, theirs, atol=2e-4, rtol=1e-4)


@torch.inference_mode()
def test_thirty_seconds_are_fifteen_hundred_frames():
    encoder = SpeechEncoder(SpeechEncoderConfig(n_mels=16, d_model=8, n_layers=1, n_heads=2, d_ff=16))
    assert encoder(torch.randn(2, 16, 3000)).shape == (2, 1500, 8)
