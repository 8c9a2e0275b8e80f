"""Clauses keep the meaning of the sentence that they belong to."""

import torch

from exomni.parts.ports import Clause, WrittenToken
from exomni.pipeline.clause_stream import MAX_SENTENCE_TOKENS, SentenceStates, TextPiece, clauses_of_tokens


def test_a_clause_means_its_sentence_so_far():
    sentence, states = SentenceStates(), [torch.full((n, 2), float(n)) for n in (3, 2, 4)]
    assert sentence.add(Clause("I am,", states[0])).tolist() == states[0].tolist()
    assert len(sentence.add(Clause("so happy!", states[1]))) == 5
    assert sentence.add(Clause("Now,", states[2])).tolist() == states[2].tolist()


def test_without_states_there_is_nothing_to_feel():
    sentence = SentenceStates()
    assert sentence.add(Clause("Well,", None)) is None
    states = torch.ones(2, 3)
    assert torch.equal(sentence.add(Clause("yes,", states)), states)
    assert torch.equal(sentence.add(Clause("no.", None)), states)
    assert sentence.add(Clause("Oh.", None)) is None


def test_an_item_of_a_list_feels_for_itself():
    sentence, states = SentenceStates(), torch.ones(2, 3)
    assert len(sentence.add(Clause("1. Sad news\n", states))) == 2
    assert len(sentence.add(Clause("2. Apples\n", states))) == 2


def test_a_sentence_without_an_end_stays_bounded():
    sentence = SentenceStates()
    for _ in range(20):
        kept = sentence.add(Clause("and so on,", torch.randn(40, 2)))
    assert len(kept) == MAX_SENTENCE_TOKENS


def test_every_token_is_shown_and_every_clause_has_its_states():
    words = ["Yes", ",", " it", " is", " a", " fine", " day", ".", " Good", "bye", "."]
    tokens = [WrittenToken(w, torch.full((2,), float(i)), 100 + i) for i, w in enumerate(words)]
    items = list(clauses_of_tokens(tokens, FakeReader()))
    assert "".join(item.text for item in items if isinstance(item, TextPiece)) == "".join(words)
    clauses = [item for item in items if isinstance(item, Clause)]
    assert "".join(clause.text for clause in clauses) == "".join(words)
    assert torch.cat([clause.hidden_states for clause in clauses])[:, 0].tolist() == list(range(len(words)))
    assert [i for clause in clauses for i in clause.token_ids] == [t.token_id for t in tokens]


class FakeReader:
    """Notes what it reads."""

    def __init__(self):
        self.asked = []

    def read(self, text, prompt="", before=""):
        self.asked.append((text, before))
        return Clause(text, torch.ones(3, 2), (1, 2, 3))


def test_a_writer_that_keeps_its_states_is_read_clause_by_clause():
    reader = FakeReader()
    words = ["Yes", ", of course", " it", " is", " fine", ",", " my", " dear", " friend", ".", " Good", "bye", "."]
    items = list(clauses_of_tokens(map(WrittenToken, words), reader))
    clauses = [item for item in items if isinstance(item, Clause)]
    assert "".join(clause.text for clause in clauses) == "".join(words)
    assert all(torch.equal(clause.hidden_states, torch.ones(3, 2)) for clause in clauses)
    assert reader.asked[-1] == ("Goodbye.", "")
    for (text, before), earlier in zip(reader.asked[1:], reader.asked, strict=False):
        assert before == ("" if earlier[0].endswith(".") else f"{earlier[1]} {earlier[0]}".strip()), text
