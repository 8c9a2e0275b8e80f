"""Texts as tokens for CTC: what is common stays whole, what is rare is cut into short pieces, always alike."""

import pytest
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE

from exomni.train.ctc import LONGEST_PIECE, SPACE, Spelling, short_tokenizer

TEXTS = ["the resurrection again.", "the again.", "again, the end"]
MERGES = "t h,th e,r e,re s,u r,e c,t i,ti o,tio n,res ur,resur r,resurr ec,a g,ag a,i n,aga in".split(",")


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    """A byte-pair encoding that writes "again" as one token and "resurrection" with long pieces."""
    merges = [tuple(m.split()) for m in MERGES] + [(SPACE, "again"), (SPACE, "the")]
    merged = ["".join(pair) for pair in merges]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate(dict.fromkeys([*letters, *merged]))}
    made = Tokenizer(BPE(vocabulary, merges))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    return made


def tokens(tokenizer, ids) -> list[str]:
    return [tokenizer.id_to_token(i) for i in ids]


def test_short_pieces_are_short_and_say_the_same(tokenizer):
    short = short_tokenizer(tokenizer)
    ids = short.encode(" resurrection").ids
    assert tokenizer.decode(ids) == " resurrection"
    pieces = tokens(tokenizer, ids)
    assert max(len(p.removeprefix(SPACE)) for p in pieces) <= LONGEST_PIECE
    assert "tion" in pieces, "merges that stay short are kept"
    assert len(pieces) > len(tokenizer.encode(" resurrection").ids)


def test_a_rare_word_is_cut_up_and_a_common_one_is_not(tokenizer):
    spelling = Spelling(tokenizer, TEXTS, common=2)
    written = tokens(tokenizer, spelling(TEXTS[0]))
    assert f"{SPACE}again" in written
    assert written[0] == "the"
    assert max(map(len, written)) <= LONGEST_PIECE + 2
    assert tokenizer.decode(spelling(TEXTS[0])) == TEXTS[0]
    whole = Spelling(tokenizer, TEXTS, common=1)
    assert whole(TEXTS[0]) == tokenizer.encode(TEXTS[0]).ids


def test_a_word_that_was_never_said_is_rare(tokenizer):
    spelling = Spelling(tokenizer, TEXTS, common=1)
    short = short_tokenizer(tokenizer)
    assert spelling("resurrections") == short.encode("resurrections").ids


def test_whatever_is_written_is_known(tokenizer):
    spelling = Spelling(tokenizer, TEXTS, common=2)
    known = spelling.known().tolist()
    assert known == sorted({i for text in TEXTS for i in spelling(text)})
