"""Texts have a source with a licence, are speakable, and come from the seed alone."""

import itertools
import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exomni.core.errors import InputError
from exomni.data import templates
from exomni.data.templates import template_rows
from exomni.data.text import MAX_CHARS, is_speakable, split_passages
from exomni.data.text_sources import SOURCES
from exomni.data.wordnet import wordnet_rows

sentences = st.from_regex(r"[A-Z][a-z ]{0,150}[.!?]", fullmatch=True).map(lambda s: " ".join(s.split()))

NOUNS = """  1 This is the licence | of the file
00001740 03 n 01 apple 0 001 @ 00001 n 0000 | fruit with red or yellow skin; "an apple a day keeps worry away"
00001741 03 n 02 steam_engine 0 x 0 001 @ 00001 n 0000 | an engine that is driven by steam
00001742 03 n 01 Paris 0 001 @ 00001 n 0000 | the capital of France (and its largest city)
00001743 03 n 01 thing 0 001 @ 00001 n 0000 | ¿qué?
"""


def test_every_source_has_a_licence():
    assert SOURCES
    for source in SOURCES.values():
        assert source.licence


@pytest.mark.parametrize(
    "text", ["Hello.", "It costs $5.50, which is 20% off!", 'A (short) "quote" & more - yes; no: ok']
)
def test_what_a_voice_can_read(text):
    assert is_speakable(text)


@pytest.mark.parametrize(
    "text", ["", "a", "12345", "naïve", "x" * (MAX_CHARS + 1), "two\nlines", "日本", "<b>bold</b>", "1 2 3 4 a", "a_b"]
)
def test_what_it_cannot(text):
    assert not is_speakable(text)


@given(st.lists(sentences, min_size=1, max_size=12), st.integers(0, 99))
def test_passages_are_whole_sentences_and_nothing_is_lost(parts, seed):
    text = " ".join(parts)
    passages = list(split_passages(text, random.Random(seed)))
    assert " ".join(passages) == text
    for passage in passages:
        assert passage.endswith((".", "!", "?"))
        assert len(passage) <= MAX_CHARS or passage in parts


def test_no_text_has_no_passage():
    assert list(split_passages("", random.Random(0))) == []
    assert list(split_passages("  \n ", random.Random(0))) == []


def test_templates_come_from_the_seed_alone():
    rows = [list(itertools.islice(template_rows(random.Random(seed)), 300)) for seed in (1, 1, 2)]
    assert rows[0] == rows[1] != rows[2]


def test_templates_cover_what_dialogue_is_short_of():
    texts = [r.text for r in itertools.islice(template_rows(random.Random(0)), 2000)]
    assert all(is_speakable(t) for t in texts)
    assert not any("{" in t or "}" in t or "  " in t for t in texts)
    assert all(t[0].isupper() or t[0].isdigit() or t[0] in "$\"'" for t in texts)
    for pattern, least in ((r"\d", 0.2), (r"\?", 0.1), (r"!", 0.1), (r",.*,", 0.1)):
        assert sum(bool(re.search(pattern, t)) for t in texts) / len(texts) > least
    assert len(set(texts)) > 1500


def test_every_slot_of_every_template_can_be_filled():
    rng = random.Random(0)
    every = [*templates.FACTS, *templates.QUESTIONS, *templates.SHORT, *itertools.chain(*templates.FEELINGS.values())]
    for template in every:
        filled = templates._fill(rng, template)
        assert filled.strip()
        assert "{" not in filled, template


def test_a_slot_named_twice_gets_two_fillings():
    rng = random.Random(0)
    pairs = [templates._fill(rng, "{name} {name}").split(" ") for _ in range(50)]
    assert sum(a != b for a, b in pairs) > 40


@pytest.mark.parametrize(
    ("n", "spelled"), [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (12, "12th"), (13, "13th"),
                       (21, "21st"), (22, "22nd"), (31, "31st"), (111, "111th")],
)  # fmt: skip
def test_ordinals(n, spelled):
    assert templates._ordinal(n) == spelled


def test_wordnet_becomes_spoken_explanations(tmp_path):
    (tmp_path / "data.noun").write_text(NOUNS, "latin-1")
    for kind in ("verb", "adj", "adv"):
        (tmp_path / f"data.{kind}").write_text("", "latin-1")
    rows = list(wordnet_rows(random.Random(0), tmp_path))
    texts = {r.text for r in rows}
    assert "An apple a day keeps worry away." in texts
    assert "A steam engine is an engine that is driven by steam." in texts
    assert "Apple, that is, fruit with red or yellow skin." in texts
    assert len(texts) == 3
    assert {r.source for r in rows} == {"wordnet"}


def test_a_folder_without_wordnet_says_what_to_install(tmp_path):
    with pytest.raises(InputError, match="wordnet-base"):
        next(wordnet_rows(random.Random(0), tmp_path))
