"""What the LLM reads for speech while it trains."""

import types

import torch

from exomni.train.listener_stages import as_written, mixed_tokens


def test_blanks_go_and_repeats_merge(listener):
    table = 9 * torch.eye(6)[:3]
    steps = torch.stack([listener.blank, table[1], 1.1 * table[1], listener.blank, table[1], table[0], listener.blank])
    vectors, ids = mixed_tokens(listener, steps, table)
    assert ids.tolist() == [1, 1, 0]
    torch.testing.assert_close(vectors, table[[1, 1, 0]])


def test_what_is_unclear_lies_between_what_it_may_be(listener):
    table = 9 * torch.eye(6)[:3]
    between = table.mean(0)
    vectors, ids = mixed_tokens(listener, between[None] + 1e-4 * table[1], table)
    assert ids.tolist() == [1]
    torch.testing.assert_close(vectors[0], between, atol=0.05, rtol=0)


def test_what_is_clear_is_the_word_itself(listener):
    table = 9 * torch.eye(6)[:3]
    vectors, _ = mixed_tokens(listener, (0.7 * table[1] + 0.2 * table[2])[None], table)
    assert torch.equal(vectors[0], table[1])


def test_nothing_but_blanks_is_nothing(listener):
    vectors, ids = mixed_tokens(listener, listener.blank.repeat(4, 1), torch.eye(6))
    assert vectors.shape == (0, 6)
    assert ids.tolist() == []


class Letters:
    """A tokenizer that writes "ab" as one token, "a" and "b" as two."""

    names = ("a", "b", "c", "ab")

    def decode(self, ids):
        return "".join(self.names[i] for i in ids)

    def encode(self, text, add_special_tokens=False):
        ids = [3 if t == "_" else self.names.index(t) for t in text.replace("ab", "_")]
        return types.SimpleNamespace(ids=ids)


def test_a_word_heard_in_pieces_becomes_what_the_llm_would_write():
    table, vectors = torch.randn(4, 6), torch.randn(4, 6)
    c_a_b_c = [2, 0, 1, 2]
    written = as_written(vectors, c_a_b_c, Letters(), lambda ids: table[torch.tensor(ids)])
    torch.testing.assert_close(written, torch.stack([vectors[0], table[3], vectors[3]]))


def test_what_is_heard_as_it_is_written_keeps_its_vectors():
    vectors = torch.randn(2, 6)
    assert torch.equal(as_written(vectors, [1, 2], Letters(), None), vectors)
    assert as_written(vectors[:0], [], Letters(), None).shape == (0, 6)
