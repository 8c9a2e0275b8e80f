import random
import re

import pytest
import torch

from exomni.data import llm_replies
from exomni.data.llm_replies import clean_reply, dialogue_rows
from exomni.data.text import is_speakable


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("**Paris** is the `capital`.", "Paris is the capital."),
        ("1. First.\n2) Second.\n- Third.\n* Fourth.\n• Fifth.", "First. Second. Third. Fourth. Fifth."),
        ("# Title\n\nText  here.", "Title Text here."),
        ("", ""),
    ],
)
def test_written_style_becomes_words(written, said):
    assert clean_reply(written) == said


class Words:
    """Stands in for `_generate`: it answers with canned replies, chosen by torch's seed."""

    REPLIES = (
        "Paris is the capital. It lies on the Seine. It is also",
        "**Yes!** I think so.\n- One.\n- Two.",
        "Ünspeakable ünd lost.",
        "No end in sight",
        "",
    )

    def __init__(self):
        self.asked: list[str] = []

    def __call__(self, model, tokenizer, prompts, max_new_tokens):
        self.asked += prompts
        if prompts and prompts[0].endswith("user\n"):
            return ["What is a question?\nand more" if i % 2 else "nothing to ask" for i in range(len(prompts))]
        picks = torch.randint(len(self.REPLIES), (len(prompts),)).tolist()
        return [self.REPLIES[i] for i in picks]


class Tokenizer:
    padding_side = "right"


@pytest.fixture
def words(monkeypatch) -> Words:
    made = Words()
    monkeypatch.setattr(llm_replies, "_generate", made)
    return made


def draw(seed: int, **options):
    return dialogue_rows(None, Tokenizer(), random.Random(seed), batch_size=40, **options)


def test_rows_are_whole_sentences_with_the_prompt_they_answer(words):
    rows = draw(0)
    assert len(rows) > 10
    assert all(is_speakable(r.text) and r.text.endswith((".", "!", "?")) for r in rows)
    assert not any("It is also" in r.text or "No end" in r.text or "Ü" in r.text for r in rows)
    assert all(r.source == "dialogue" and r.prompt for r in rows)
    assert any(r.prompt == "What is a question?" for r in rows)


def test_replies_answer_in_chat_form(words):
    draw(0, own_prompts=0.0)
    assert all(re.fullmatch(r"<\|im_start\|>user\n.+<\|im_end\|>\n<\|im_start\|>assistant\n", p) for p in words.asked)


def test_the_seed_decides(words):
    assert draw(1) == draw(1)
    assert draw(1) != draw(2)
