"""Speech in the LLM's embedding space: reading by distance, and the file that ships."""

import numpy as np
import pytest
import torch

from exomni.core.errors import AssetError, CheckpointError
from exomni.model.config import ContextLayersConfig, SpeechProjectorConfig
from exomni.model.ctc_listener import LISTENER_FILE, CTCListener, load_ctc_listener, save_ctc_listener


def test_blanks_go_and_repeats_merge(listener):
    table = 9 * torch.eye(6)[:3]
    steps = torch.stack([listener.blank, table[1], 1.1 * table[1], listener.blank, table[1], table[0], listener.blank])
    assert listener.greedy_tokens(steps, table).tolist() == [1, 1, 0]
    assert listener.greedy_tokens(listener.blank.repeat(4, 1), table).tolist() == []


def test_scores_are_distances(listener):
    vectors, table = torch.randn(5, 6), torch.randn(4, 6)
    scores = listener.scores(vectors, table)
    distances = torch.cdist(vectors, torch.cat([listener.blank[None], table])).square()
    sharpness = listener.log_sharpness.exp()
    torch.testing.assert_close(scores.log_softmax(-1), (-0.5 * sharpness * distances).log_softmax(-1))


@pytest.fixture
def contextual():
    """A listener whose tokens hear each other."""
    torch.manual_seed(2)
    context = ContextLayersConfig(d_model=16, n_layers=2, n_heads=2, ff_mult=2, dropout=0.0)
    return CTCListener(8, 6, SpeechProjectorConfig(stack_frames=5, d_hidden=16, context=context)).requires_grad_(False)


def test_context_adds_nothing_before_it_is_trained(contextual):
    frames, projector = torch.randn(2, 40, 8), contextual.projector
    whole = contextual(frames)
    projector.context = None
    torch.testing.assert_close(whole, contextual(frames))


def test_a_clip_in_a_batch_hears_itself_alone(contextual):
    torch.nn.init.normal_(contextual.projector.context.widen.weight)
    frames, lengths = torch.randn(3, 40, 8), torch.tensor([40, 23, 3])
    both = contextual(frames, lengths)
    assert torch.isfinite(both).all()
    torch.testing.assert_close(both[1, :4], contextual(frames[1:2, :23])[0])
    moved = contextual(frames.roll(1, dims=1), lengths)
    assert not torch.allclose(moved[0, 4], both[0, 4])
    assert contextual(frames[:, :4]).shape == (3, 0, 6)


@pytest.fixture
def shipped(tiny_config, tmp_path):
    """A folder with weights of listening, and what they were made from."""
    torch.manual_seed(1)
    sizes = tiny_config.speech_encoder.d_model, tiny_config.language_model.d_model, tiny_config.speech_projector
    made = CTCListener(*sizes).requires_grad_(False)
    adapters = {"0.q.down": torch.randn(2, 6), "0.q.up": torch.randn(6, 2)}
    save_ctc_listener(tmp_path / LISTENER_FILE, made.state_dict(), torch.tensor([3, 70_000]), adapters)
    return tmp_path, made, adapters


def test_what_ships_is_what_was_trained(shipped, tiny_config):
    folder, made, adapters = shipped
    read = load_ctc_listener(folder, tiny_config)
    frames = torch.randn(1, 20, tiny_config.speech_encoder.d_model)
    before, after = made(frames), read.listener(frames)
    assert (before - after).norm() < 0.02 * before.norm()
    assert read.known.tolist() == [3, 70_000]
    for name, value in adapters.items():
        np.testing.assert_allclose(read.adapters[name], value.numpy(), rtol=2e-3, atol=2e-3)


def test_weights_that_are_missing_or_do_not_fit_are_refused(shipped, tiny_config, tmp_path):
    folder, _, _ = shipped
    with pytest.raises(AssetError, match="transcribe"):
        load_ctc_listener(tmp_path / "none", tiny_config)
    narrow = tiny_config.model_copy(update={"speech_projector": SpeechProjectorConfig(stack_frames=4, d_hidden=16)})
    with pytest.raises(CheckpointError, match="does not fit"):
        load_ctc_listener(folder, narrow)
    (folder / LISTENER_FILE).write_bytes(b"damaged")
    with pytest.raises(CheckpointError):
        load_ctc_listener(folder, tiny_config)
