"""A recording in pieces: the same face as from the whole, soon, and never more of it in memory than is needed."""

import weakref

import numpy as np
import pytest
import torch

from exomni.core import audio
from exomni.core.arkit import EYES, indices
from exomni.core.audio import read_audio, resample
from exomni.core.errors import InputError
from exomni.core.events import FaceEvent
from exomni.model.config import UnitTokenizerConfig
from exomni.model.unit_tokenizer import UnitTokenizer
from exomni.parts.nano.units import FeatureTokenizer
from exomni.pipeline.recordings import Recording, UnitWindow
from exomni.pipeline.results import wav_bytes

SHAPES = [i for i in range(52) if i not in indices(EYES)]
"""All that is not drawn at random."""


@pytest.fixture(scope="module")
def long_file(speechlike, tmp_path_factory):
    """A recording of 53.3 s at 44.1 kHz whose pitch wanders, so that no two windows are alike."""
    path = tmp_path_factory.mktemp("recordings") / "long.wav"
    samples = np.concatenate([speechlike(5.33, 44_100, seed) * (0.3 + 0.07 * seed) for seed in range(10)])
    path.write_bytes(wav_bytes(samples, 44_100))
    return path


@pytest.mark.parametrize("piece_seconds", [3, 10])
def test_a_stream_from_a_file_equals_the_whole(omni, long_file, monkeypatch, piece_seconds):
    monkeypatch.setattr(audio, "PIECE_SECONDS", piece_seconds)
    streamed = omni.animate(long_file)
    whole = read_audio(long_file, 24_000)
    heard = resample(whole, 24_000, 16_000)
    encoder, tokenizer = omni.parts.speech_encoder, omni.parts.recording_tokenizer
    units = tokenizer.units_of(torch.cat(list(encoder.long([heard]))))
    face = omni.parts.face_maker.recording_frames(units, 0, None)
    np.testing.assert_allclose(streamed.samples, whole, atol=1e-6)
    assert np.ptp(streamed.units) > 0
    np.testing.assert_array_equal(streamed.units, units.numpy())
    n_frames = len(streamed.frames)
    assert n_frames == round(len(whole) / 800)
    np.testing.assert_allclose(streamed.frames[:, SHAPES], face[:n_frames, SHAPES], atol=1e-4)


def test_a_file_is_read_no_further_than_its_face_has_come(omni, long_file, monkeypatch):
    n_read, most_ahead = 0, 0
    pieces = audio.read_pieces(long_file, 24_000)
    whole = len(read_audio(long_file, 24_000))

    def counted(path, sample_rate):
        nonlocal n_read
        for piece in pieces:
            n_read += len(piece)
            yield piece

    monkeypatch.setattr("exomni.pipeline.recordings.read_pieces", counted)
    for event in omni.stream_animation(long_file):
        if isinstance(event, FaceEvent):
            most_ahead = max(most_ahead, n_read - event.start_sample)
    assert n_read == whole
    assert 24_000 < most_ahead < 24_000 * 32 < whole


def test_speech_does_not_keep_the_recording_in_memory(omni, long_file):
    seen, most = [], 0
    for event in omni.stream_animation(long_file):
        for name in ("samples", "frames"):
            if hasattr(event, name):
                array = getattr(event, name)
                seen.append(weakref.ref(array if array.base is None else array.base))
        del event
        most = max(most, sum(ref() is not None for ref in seen))
    assert len(seen) >= 20
    assert most <= 3


def test_a_wrong_file_is_refused_at_once(omni, tmp_path):
    (tmp_path / "a.wav").write_bytes(b"Dear Sir or Madam,\n" * 100)
    with pytest.raises(InputError, match=r"a\.wav"):
        omni.stream_animation(tmp_path / "a.wav")


@pytest.mark.parametrize("rate", [16_000, 24_000, 44_100])
def test_what_was_read_is_handed_out_once_and_in_order(speechlike, rate):
    samples = speechlike(25, rate)
    recording = Recording(samples, rate)
    taken, heard = [], []
    for piece in recording.encoder_pieces():
        heard.append(piece)
        taken.append(recording.take(recording.n_samples // 3))
    taken.append(recording.take(recording.n_samples))
    assert recording.n_taken == recording.n_samples
    np.testing.assert_allclose(np.concatenate(taken), resample(samples, rate, 24_000), atol=1e-6)
    np.testing.assert_allclose(np.concatenate(heard), resample(samples, rate, 16_000), atol=1e-6)
    assert recording.n_frames == 25 * 30


def lively_with(config: UnitTokenizerConfig) -> FeatureTokenizer:
    """A tokenizer that says something else for every sound."""
    torch.manual_seed(0)
    tokenizer = UnitTokenizer(config).requires_grad_(False).eval()
    tokenizer.to_codes.weight *= 5
    return FeatureTokenizer(tokenizer, lambda: None)


@pytest.fixture(scope="module", params=[0, 1, 3])
def lively(request, tiny_config):
    return lively_with(tiny_config.unit_tokenizer.model_copy(update={"n_layers": request.param}))


@pytest.mark.parametrize("sizes", [[1], [1, 1, 1, 1, 1, 1, 1], [4, 1, 9], [2, 30], [30, 2], [126, 126, 13], [3, 0, 20]])
def test_units_heard_in_pieces_equal_the_whole(lively, tiny_config, sizes):
    draw = torch.Generator().manual_seed(sum(sizes))
    features = torch.randn(4 * sum(sizes), tiny_config.unit_tokenizer.d_features, generator=draw)
    whole = lively.units_of(features)
    assert len(set(whole.tolist())) > sum(sizes) // 20
    assert torch.equal(torch.cat(list(lively.stream_features(torch.split(features, [4 * n for n in sizes])))), whole)


def test_a_unit_hears_its_neighbours(tiny_config):
    """Without them units differ, so the test above can fail."""
    lively = lively_with(tiny_config.unit_tokenizer)
    features = torch.randn(400, tiny_config.unit_tokenizer.d_features, generator=torch.Generator().manual_seed(1))
    alone = torch.cat([lively.units_of(piece) for piece in torch.split(features, 20)])
    assert not torch.equal(alone, lively.units_of(features))


@pytest.mark.parametrize("n_units", [1, 4, 5, 49, 50, 51, 74, 75, 76, 100, 133, 260])
@pytest.mark.parametrize("step", [1, 7, 126, 1000])
def test_chunks_of_units_equal_the_whole(tiny_nano, n_units, step):
    units = torch.randint(0, 36, (n_units,), generator=torch.Generator().manual_seed(n_units))
    whole = tiny_nano.face_maker.recording_frames(units, 0, None)
    window, pieces = UnitWindow(tiny_nano.face_maker, None), []
    for start in range(0, n_units, step):
        pieces += window.add(units[start : start + step])
        assert len(window.units) <= 2 * tiny_nano.face_maker.reach_units + window.CHUNK_UNITS + step
    pieces += window.finish()
    np.testing.assert_allclose(np.concatenate([frames for frames, _ in pieces]), whole, atol=1e-4)
    assert np.concatenate([own for _, own in pieces]).tolist() == units.tolist()
