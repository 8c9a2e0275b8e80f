"""The held-out texts are many, of all lengths, and in no training data that we write ourselves."""

import re

from exomni.data import templates
from exomni.evaluate.suites import held_out_prompts, held_out_texts, text_groups


def test_there_are_enough_of_every_length():
    texts = [text for _, text in held_out_texts()]
    assert len(texts) >= 100
    assert len(set(texts)) == len(texts)
    assert sum(len(t) < 60 for t in texts) >= 15
    assert sum(350 < len(t) < 800 for t in texts) >= 8
    assert sum(len(t) > 1100 for t in texts) >= 6  # More than a minute, at some 17 characters a second.
    assert sum(bool(re.search(r"\d", t)) for t in texts) >= 10


def test_a_few_texts_are_a_sample_of_all_groups():
    groups = [name for name in text_groups() if name != "prompts"]
    assert [group for group, _ in held_out_texts(len(groups))] == groups
    assert len(held_out_texts(5)) == 5


def test_questions_are_no_texts():
    assert not set(held_out_prompts()) & {text for _, text in held_out_texts()}
    assert len(held_out_prompts(3)) == 3


def test_nothing_comes_from_the_training_templates():
    forms = [*templates.SHORT, *templates.FACTS, *(s for own in templates.FEELINGS.values() for s in own)]
    slot = re.compile(r"\\\{\w+\\\}")
    patterns = [re.compile(slot.sub(r".+", re.escape(" ".join(f.split())))) for f in forms if f.strip()]
    for _, text in held_out_texts():
        for sentence in re.split(r"(?<=[.!?])\s+", text):
            assert not any(p.fullmatch(sentence) for p in patterns), sentence
