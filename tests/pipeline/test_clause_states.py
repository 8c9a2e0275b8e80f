"""Clauses keep the meaning of the sentence that they belong to."""

import types

import torch

from exomni.pipeline.clause_states import MOST_SENTENCE_TOKENS, Sentence, clauses_of_tokens


def test_a_clause_means_its_sentence_so_far():
    sentence, states = Sentence(), [torch.full((n, 2), float(n)) for n in (3, 2, 4)]
    assert sentence.add("I am,", states[0]).tolist() == states[0].tolist()
    assert len(sentence.add("so happy!", states[1])) == 5
    assert sentence.add("Now,", states[2]).tolist() == states[2].tolist()


def test_without_states_there_is_nothing_to_feel():
    sentence = Sentence()
    assert sentence.add("Well,", None) is None
    states = torch.ones(2, 3)
    assert torch.equal(sentence.add("yes,", states), states)
    assert torch.equal(sentence.add("no.", None), states)
    assert sentence.add("Oh.", None) is None


def test_an_item_of_a_list_feels_for_itself():
    sentence, states = Sentence(), torch.ones(2, 3)
    assert len(sentence.add("1. Sad news\n", states)) == 2
    assert len(sentence.add("2. Apples\n", states)) == 2


def test_a_sentence_without_an_end_stays_bounded():
    sentence = Sentence()
    for _ in range(20):
        kept = sentence.add("and so on,", torch.randn(40, 2))
    assert len(kept) == MOST_SENTENCE_TOKENS


def test_every_token_is_shown_and_every_clause_has_its_states():
    words = ["Yes", ",", " it", " is", " a", " fine", " day", ".", " Good", "bye", "."]
    tokens = [types.SimpleNamespace(text=w, state=torch.full((2,), float(i))) for i, w in enumerate(words)]
    parts = list(clauses_of_tokens(tokens))
    assert "".join(text for text, _ in parts) == "".join(words)
    clauses = [clause for _, clause in parts if clause]
    assert "".join(text for text, _ in clauses) == "".join(words)
    assert torch.cat([states for _, states in clauses])[:, 0].tolist() == list(range(len(words)))
