"""What the LLM reads for speech while it trains."""

import types

import torch

from exomni.train.mixtures import MixedTokens, as_written, mixed_tokens


def test_blanks_go_and_repeats_merge(listener):
    table = 9 * torch.eye(6)[:3]
    steps = torch.stack([listener.blank, table[1], 1.1 * table[1], listener.blank, table[1], table[0], listener.blank])
    heard = mixed_tokens(listener, steps, table)
    assert heard.ids.tolist() == [1, 1, 0]
    torch.testing.assert_close(heard.vectors, table[[1, 1, 0]])


def test_what_is_unclear_lies_between_what_it_may_be(listener):
    table = 9 * torch.eye(6)[:3]
    between = table.mean(0)
    heard = mixed_tokens(listener, between[None] + 1e-4 * table[1], table)
    assert heard.ids.tolist() == [1]
    torch.testing.assert_close(heard.vectors[0], between, atol=0.05, rtol=0)


def test_what_is_clear_is_the_word_itself(listener):
    table = 9 * torch.eye(6)[:3]
    heard = mixed_tokens(listener, (0.7 * table[1] + 0.2 * table[2])[None], table)
    assert torch.equal(heard.vectors[0], table[1])


def test_nothing_but_blanks_is_nothing(listener):
    heard = mixed_tokens(listener, listener.blank.repeat(4, 1), torch.eye(6))
    assert heard.vectors.shape == (0, 6)
    assert heard.ids.tolist() == []


class Letters:
    """A tokenizer that writes "ab" as one token, "a" and "b" as two."""

    names = ("a", "b", "c", "ab")

    def decode(self, ids):
        return "".join(self.names[i] for i in ids)

    def encode(self, text, add_special_tokens=False):
        ids = [3 if t == "_" else self.names.index(t) for t in text.replace("ab", "_")]
        return types.SimpleNamespace(ids=ids)


def test_a_word_heard_in_pieces_becomes_what_the_llm_would_write():
    known, table = torch.tensor([0, 1, 2]), torch.randn(4, 6)
    vectors = torch.randn(4, 6)
    heard = MixedTokens(vectors, torch.tensor([2, 0, 1, 2]))  # c a b c
    written = as_written(heard, known, Letters(), lambda ids: table[torch.tensor(ids)])
    torch.testing.assert_close(written, torch.stack([vectors[0], table[3], vectors[3]]))


def test_what_is_heard_as_it_is_written_keeps_its_vectors():
    vectors = torch.randn(2, 6)
    heard = MixedTokens(vectors, torch.tensor([1, 2]))
    assert torch.equal(as_written(heard, torch.tensor([0, 1, 2]), Letters(), None), vectors)
    nothing = MixedTokens(vectors[:0], torch.zeros(0, dtype=torch.long))
    assert as_written(nothing, torch.tensor([0]), Letters(), None).shape == (0, 6)
