import pytest
import torch

from exomni.core.errors import InputError
from exomni.model.prompt import ChatMessage, assemble, prompt_ids
from exomni.model.tokens import SPEECH_MARKER

TABLE = torch.arange(40.0)[:, None].expand(-1, 3)


def embed(ids: torch.Tensor) -> torch.Tensor:
    return TABLE[ids]


def clip(length: int, value: float = -1.0) -> torch.Tensor:
    return torch.full((length, 3), value)


def test_a_typed_marker_is_text():
    ids = prompt_ids([ChatMessage("user", "Hello <speech> abc")], lambda text: list(text.encode()))
    assert SPEECH_MARKER not in ids
    assert b"<speech>" in bytes(ids)


def test_clips_take_the_place_of_their_markers():
    ids = torch.tensor([[SPEECH_MARKER, 5, SPEECH_MARKER], [6, 7, SPEECH_MARKER]])
    prompt = assemble(ids, [clip(2), clip(0), clip(1, -2.0)], embed, labels=ids.clamp(min=0))
    assert prompt.inputs_embeds[:, :, 0].tolist() == [[-1, -1, 5], [6, 7, -2]]
    assert prompt.labels.tolist() == [[-100, -100, 5], [6, 7, -100]]


@pytest.mark.parametrize(("side", "expected"), [("right", [[1, 2, 0], [3, 4, 5]]), ("left", [[0, 1, 2], [3, 4, 5]])])
def test_padding(side, expected):
    ids, mask = torch.tensor([[1, 2, 9], [3, 4, 5]]), torch.tensor([[True, True, False], [True] * 3])
    prompt = assemble(ids, [], embed, attention_mask=mask, padding_side=side)
    assert prompt.inputs_embeds[:, :, 0].tolist() == expected
    assert prompt.attention_mask.sum(dim=1).tolist() == [2, 3]
    assert prompt.position_ids[0][prompt.attention_mask[0]].tolist() == [0, 1]
    assert prompt.labels is None


def test_long_rows_are_cut():
    prompt = assemble(torch.tensor([[1, SPEECH_MARKER, 2]]), [clip(9)], embed, max_length=4)
    assert prompt.inputs_embeds[0, :, 0].tolist() == [1, -1, -1, -1]


@pytest.mark.parametrize("n_clips", [0, 2])
def test_markers_and_clips_must_match(n_clips):
    with pytest.raises(InputError, match=f"1 places for speech and {n_clips} clips"):
        assemble(torch.tensor([[1, SPEECH_MARKER]]), [clip(1)] * n_clips, embed)
