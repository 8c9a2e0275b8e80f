"""What a sentence feels like is read from the LLM's states, and reaches the face where nobody says otherwise."""

import pytest
import torch

from exomni.model.blendshape_decoder import BlendshapeDecoder
from exomni.model.config import BlendshapeDecoderConfig
from exomni.model.emotion_reader import EmotionReader
from exomni.train.losses import emotion_loss

from .conftest import D_LLM, D_MODEL, N_UNITS, small_decoder_config


@pytest.fixture
def decoder() -> BlendshapeDecoder:
    torch.manual_seed(0)
    return BlendshapeDecoder(small_decoder_config()).eval()


@pytest.fixture
def speech():
    draw = torch.Generator().manual_seed(5)
    return torch.randint(0, N_UNITS, (2, 10), generator=draw), torch.randn(2, 10, D_MODEL, generator=draw)


def test_one_telling_word_is_found_in_a_long_sentence():
    torch.manual_seed(0)
    reader, telling = EmotionReader(D_LLM, 5), torch.randn(5, D_LLM)
    optimizer = torch.optim.AdamW(reader.parameters(), 3e-3)

    def sentences(n: int) -> tuple[torch.Tensor, torch.Tensor]:
        states, kinds, places = torch.randn(n, 20, D_LLM), torch.randint(6, (n,)), torch.randint(20, (n,))
        feeling = kinds < 5
        states[feeling, places[feeling]] += 2 * telling[kinds[feeling]]
        return states, 0.8 * torch.eye(6)[kinds][:, :5]

    for _ in range(250):
        states, emotion = sentences(32)
        loss = emotion_loss(reader(states, torch.ones(32, 20, dtype=torch.bool)), emotion)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    states, emotion = sentences(100)
    with torch.no_grad():
        felt = reader.eval()(states, torch.ones(100, 20, dtype=torch.bool)).sigmoid()
    assert (felt - emotion).square().mean() < 0.3 * (emotion - emotion.mean(0)).square().mean()


@torch.inference_mode()
def test_padding_changes_nothing_and_no_words_are_no_fault():
    torch.manual_seed(1)
    reader, states = EmotionReader(D_LLM, 5).eval(), torch.randn(2, 7, D_LLM)
    mask = torch.ones(2, 7, dtype=torch.bool)
    mask[0, 4:] = False
    torch.testing.assert_close(reader(states, mask)[:1], reader(states[:1, :4], mask[:1, :4]))
    assert torch.isfinite(reader(states, torch.zeros(2, 7, dtype=torch.bool))).all()


@torch.inference_mode()
def test_what_is_given_comes_before_what_is_read(decoder, speech):
    states = torch.randn(2, 6, D_LLM)
    felt = decoder.emotion_reader(states, torch.ones(2, 6, dtype=torch.bool)).sigmoid()
    read = decoder(*speech, llm_states=states).blendshapes
    torch.testing.assert_close(read, decoder(*speech, emotion=felt).blendshapes)
    given = torch.rand(2, 5)
    torch.testing.assert_close(
        decoder(*speech, emotion=given, llm_states=states).blendshapes, decoder(*speech, emotion=given).blendshapes
    )
    known = torch.tensor([True, False])
    mixed = decoder(*speech, emotion=given, emotion_known=known, llm_states=states).blendshapes
    torch.testing.assert_close(mixed[0], decoder(*speech, emotion=given).blendshapes[0])
    torch.testing.assert_close(mixed[1], read[1])


@torch.inference_mode()
def test_without_words_the_emotion_is_unknown(decoder, speech):
    nothing = decoder(*speech).blendshapes
    mask = torch.tensor([[True] * 6, [False] * 6])
    read = decoder(*speech, llm_states=torch.randn(2, 6, D_LLM), llm_mask=mask).blendshapes
    torch.testing.assert_close(read[1], nothing[1])
    assert not torch.allclose(read[0], nothing[0])


def test_the_face_teaches_the_reader_nothing(decoder, speech):
    decoder(*speech, llm_states=torch.randn(2, 6, D_LLM)).blendshapes.sum().backward()
    assert all(p.grad is None for p in decoder.emotion_reader.parameters())
    assert decoder.emotion_projection.weight.grad is not None


def test_a_reader_needs_emotions():
    sizes = small_decoder_config().model_dump() | {"n_emotions": 0}
    with pytest.raises(ValueError, match="n_emotions"):
        BlendshapeDecoderConfig(**sizes)
