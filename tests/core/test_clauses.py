"""Cutting text: lossless, the same however the text arrives, never too long, and early."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exomni.core import clauses
from exomni.core.clauses import (
    FIRST_CLAUSE_WORDS,
    MAX_CLAUSE_CHARS,
    SECOND_CLAUSE_WORDS,
    ClauseCutter,
    cut_clauses,
    speakable,
)

words = st.one_of(
    st.sampled_from('a I the Dr. U.S. No. e.g. 3. 12. 3.14 Paris, then; well— (yes) "Stop!" end. why? ok… - *'.split()),
    st.text("abcdefgh'", min_size=1, max_size=14),
    st.text("xyz.,!", min_size=1, max_size=260),
)
spaces = st.sampled_from([" ", " ", " ", " ", "  ", "\n", "\n\n", "\t", " \n", "\u2003", "\r\n"])
texts = st.lists(st.tuples(words, spaces), max_size=60).map(lambda pairs: "".join(a + b for a, b in pairs))
any_text = st.one_of(texts, texts.map(str.rstrip), st.text(max_size=400))


def arriving(text: str, cuts: list[int]) -> list[str]:
    """Clauses of a text that comes in pieces."""
    cutter, clauses, before = ClauseCutter(), [], 0
    for cut in [*sorted(c % (len(text) + 1) for c in cuts), len(text)]:
        clauses += cutter.add(text[before:cut])
        before = cut
    return clauses + cutter.finish()


@given(any_text, st.lists(st.integers(0, 10_000), max_size=30))
@example("One. Two", [1, 2, 3, 4, 5, 6, 7])
def test_how_the_text_arrives_does_not_matter(text, cuts):
    assert arriving(text, cuts) == cut_clauses(text)


@given(any_text)
def test_character_by_character_is_the_same_too(text):
    assert arriving(text, list(range(len(text)))) == cut_clauses(text)


@given(any_text)
@example("Hello there. " + "x" * 400)
@example("one two three four five six seven eight nine ten " * 30)
def test_nothing_is_lost_but_white_space_at_the_end(text):
    joined = "".join(cut_clauses(text))
    assert text.startswith(joined)
    assert not text[len(joined) :].strip()


@given(any_text)
def test_at_every_moment_clauses_and_pending_are_the_text(text):
    cutter, clauses = ClauseCutter(), ""
    for i, letter in enumerate(text):
        clauses += "".join(cutter.add(letter))
        assert clauses + cutter.pending == text[: i + 1]


@given(any_text)
@example("x" * 5000)
@example("x" * 5000 + " and on")
@example("x" * 170 + " a " + "b" * 5000 + ", c ")
@example(" " * 1000 + "late.")
def test_no_clause_is_too_long(text):
    assert max(map(len, cut_clauses(text)), default=0) <= MAX_CLAUSE_CHARS


@given(any_text)
def test_the_first_clauses_are_short(text):
    for clause, most in zip(cut_clauses(text), (FIRST_CLAUSE_WORDS, SECOND_CLAUSE_WORDS), strict=False):
        assert len(clause.split()) <= most + 1


@given(st.lists(st.text("abcdefghij", min_size=1, max_size=9), min_size=1, max_size=80))
def test_speech_can_begin_before_the_sentence_ends(spoken):
    cutter, n_clauses = ClauseCutter(), 0
    for i, word in enumerate(spoken):
        n_clauses += len(cutter.add(word + " "))
        assert len(cutter.pending) <= MAX_CLAUSE_CHARS + 1
        assert n_clauses >= (i > FIRST_CLAUSE_WORDS)


def test_sentences_stay_whole_where_they_fit():
    text = "Hello there. Paris is the capital of France! Is it not? Yes, it is the capital, as everybody knows."
    assert [c.strip() for c in cut_clauses(text)] == [
        "Hello there.", "Paris is the capital of France!", "Is it not?",
        "Yes, it is the capital, as everybody knows.",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    ["Dr. Smith met Mr. Jones.", "It is 3.14 exactly.", "The U.S. is big.", "See e.g. here.", "1. Apples first."],
)
def test_a_full_stop_is_not_always_an_end(text):
    assert cut_clauses(text) == [text]


def test_a_long_first_sentence_is_cut_at_its_first_comma():
    text = "When the sun goes down, the owls of the old forest come out of their holes and begin to hunt for mice."
    assert cut_clauses(text)[0] == "When the sun goes down,"


def test_a_line_break_ends_a_clause():
    assert [c.strip() for c in cut_clauses("Apples\nPears\nPlums")] == ["Apples", "Pears", "Plums"]


def test_no_text_has_no_clause():
    assert cut_clauses("") == cut_clauses(" \n\t ") == []


def test_a_long_text_costs_its_length():
    cutter, longest = ClauseCutter(), 0
    for _ in range(20_000):
        cutter.add("some more words, ")
        longest = max(longest, len(cutter.pending))
    assert longest <= MAX_CLAUSE_CHARS + 20


def test_a_word_without_end_costs_its_length(monkeypatch):
    looked_at, sentence_end = [], clauses._sentence_end
    monkeypatch.setattr(clauses, "_sentence_end", lambda text: looked_at.append(len(text)) or sentence_end(text))
    assert "".join(cut_clauses("x" * 50_000 + " end.")) == "x" * 50_000 + " end."
    assert sum(looked_at) <= 3 * 50_000


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("**Bold** and _it_, `code`", "Bold and _it_, code"),
        ("# Title\n> quoted", "Title quoted"),
        ("- one\n- two\n* three\n• four", "one two three four"),
        ("See [the site](https://example.com/x?y=1).", "See the site."),
        ("Go to https://example.com now", "Go to example.com now"),
        ("Hi 😀👩‍👩‍👧 there 🎉", "Hi there"),
        ("tab\there\x00\x07\x1b[0m", "tab here [0m"),
        ("bell\u202eright to left", "bellright to left"),
        ("co\u00adoperate zero\u200bwidth", "cooperate zerowidth"),
        ("\ufeffmarked", "marked"),
        ("\ud800lone", "lone"),
        ("ﬁne ｆｕｌｌ Ａ", "fine full A"),
        ("x² and ½ cup", "x² and ½ cup"),
        ("20°C or 68 °F, turned 90°", "20 degrees Celsius or 68 degrees Fahrenheit, turned 90 degrees"),
        ("It is 20° outside", "It is 20 degrees outside"),
        ("|a|b|", "a b"),
        ("e\u0301te\u0301", "été"),
        ("  many   spaces \n here ", "many spaces here"),
        ("Привет, 日本", "Привет, 日本"),
        ("😀 🎉", ""),
        ("", ""),
    ],
)
def test_written_style_becomes_words(written, said):
    assert speakable(written) == said


@given(st.text(max_size=200))
def test_what_is_spoken_has_no_markup_left_and_no_control_characters(text):
    said = speakable(text)
    assert said == " ".join(said.split())
    assert said.isprintable()


@given(st.text("abc XYZ 019.,;:!?'\"()-", max_size=100))
def test_plain_text_is_said_as_it_stands(text):
    assert speakable("a" + text) == " ".join(("a" + text).split())
