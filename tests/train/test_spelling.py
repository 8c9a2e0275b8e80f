"""Texts as tokens for CTC: what is common stays whole, what is rare is spelled in pieces."""

import types

import torch

from exomni.train.spelling import SPACE, Spelling

PIECES = (
    "re",
    "su",
    "rr",
    "rec",
    "ec",
    "ti",
    "tion",
    "on",
    "sur",
    f"{SPACE}re",
    f"{SPACE}res",
    "ur",
    "ct",
    "ion",
    "ect",
)
WHOLE = (f"{SPACE}the", f"{SPACE}resurrection", ".", "the", f"{SPACE}again", "gain", f"{SPACE}ag", "ai", "in")
VOCABULARY = {token: i for i, token in enumerate((*PIECES, *WHOLE))}
TEXT = "the resurrection again."


class Tokenizer:
    """Knows the words of one text."""

    def encode(self, text, add_special_tokens=False):
        tokens = text.replace(".", " .").replace(" ", f" {SPACE}").replace(f"{SPACE}.", ".").split(" ")
        ids = [VOCABULARY[t] for t in tokens]
        return types.SimpleNamespace(ids=ids, tokens=tokens, word_ids=list(range(len(tokens))))

    def get_vocab(self):
        return VOCABULARY


def spelling(**options) -> Spelling:
    return Spelling(Tokenizer(), [TEXT, "the again again again."], **options)


def read(tokens) -> str:
    names = list(VOCABULARY)
    return "".join(names[i] for i in tokens.tolist()).replace(SPACE, " ")


def test_a_rare_word_is_spelled_and_a_common_one_is_not():
    made = spelling(common=4, share=0.0)
    words = made.words(TEXT)
    assert words == ["the", f"{SPACE}resurrection", f"{SPACE}again", "."]
    seen = set()
    for seed in range(20):
        drawn = made.draw(words, torch.Generator().manual_seed(seed))
        assert read(drawn) == TEXT
        assert VOCABULARY[f"{SPACE}resurrection"] not in drawn
        assert VOCABULARY[f"{SPACE}again"] in drawn
        seen.add(tuple(drawn.tolist()))
    assert len(seen) > 1, "it is spelled in more than one way"


def test_some_common_words_are_spelled_for_the_sake_of_the_pieces():
    made = spelling(common=1, share=0.5)
    words = made.words(TEXT)
    drawn = [made.draw(words, torch.Generator().manual_seed(seed)).tolist() for seed in range(40)]
    whole = sum(VOCABULARY[f"{SPACE}resurrection"] in tokens for tokens in drawn)
    assert 5 < whole < 35


def test_whatever_is_drawn_is_known():
    made = spelling()
    known = set(made.known().tolist())
    for seed in range(30):
        assert set(made.draw(made.words(TEXT), torch.Generator().manual_seed(seed)).tolist()) <= known


def test_what_has_no_letters_to_spell_stays_as_it_is():
    made = Spelling(Tokenizer(), ["the the."], common=9, share=1.0)
    assert read(made.draw(made.words("the the."), torch.Generator().manual_seed(0))) == "the the."


def test_the_same_texts_are_known_by_the_same_tokens():
    assert torch.equal(spelling().known(), spelling().known())
