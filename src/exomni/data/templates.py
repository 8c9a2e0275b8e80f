"""Templates for what dialogue text is short of: numbers, dates, names, lists, feelings, questions.

The words and sentences themselves lie in `templates.yaml`.
"""

import random
import re
from collections.abc import Callable, Iterator, Sequence
from importlib import resources

import yaml

from .text import TextRow, is_speakable

_LISTS = yaml.safe_load((resources.files("exomni.data") / "templates.yaml").read_text("utf-8"))
FEELINGS: dict[str, list[str]] = _LISTS["feelings"]
OPENERS: list[str] = _LISTS["openers"]
SHORT: list[str] = _LISTS["short"]
FACTS: list[str] = _LISTS["facts"]
QUESTIONS: list[str] = _LISTS["questions"]
BROAD_QUESTIONS: list[str] = _LISTS["broad_questions"]
"""Questions and requests that people put to a talking machine, broader than `QUESTIONS`."""


def _words(lists: dict[str, str]) -> dict[str, list[str]]:
    return {slot: [word.replace("_", " ") for word in words.split()] for slot, words in lists.items()}


WORDS, BROAD_WORDS = _words(_LISTS["words"]), _words(_LISTS["broad_words"])


_KINDS: tuple[Callable[[random.Random], str], ...] = (
    lambda r: str(r.randint(0, 20)),
    lambda r: str(r.randint(21, 999)),
    lambda r: f"{r.randint(1000, 999999):,}",
    lambda r: f"{r.uniform(0, 100):.{r.randint(1, 2)}f}",
    lambda r: f"{r.randint(1, 12)} million",
    lambda r: f"{r.randint(1, 100)}%",
    lambda r: f"${r.randint(1, 999)}.{r.randint(0, 99):02d}",
    lambda r: r.choice("one two three four five six seven eight nine ten eleven twelve".split()),
    lambda r: str(r.randint(1000, 9999)),
)
"""Numbers of all kinds."""


def _ordinal(n: int) -> str:
    suffix = "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{suffix}"


_NUMBERS: dict[str, Callable[[random.Random], str]] = {
    "n": lambda r: r.choice(_KINDS)(r),
    "date": lambda r: _ordinal(r.randint(1, 31)),
    "year": lambda r: str(r.randint(1066, 2040)),
    "hour": lambda r: str(r.randint(1, 12)),
    "half": lambda r: r.choice(("am", "pm")),
    "minute": lambda r: f"{r.randrange(0, 60, 5):02d}",
    "count": lambda r: str(r.randint(2, 99)),
}


def filling(slot: str, rng: random.Random) -> str:
    """A word for a slot such as "name", "place", "topic" or "thing", or a number for "n", "year" and the like."""
    return _NUMBERS[slot](rng) if slot in _NUMBERS else rng.choice(WORDS[slot])


def _fill(rng: random.Random, text: str) -> str:
    """Fill every slot afresh, so that a slot named twice gets two fillings."""
    return re.sub(r"\{(\w+)\}", lambda match: filling(match.group(1), rng), text)


def question(rng: random.Random) -> str:
    """A question or remark that people put to a talking machine."""
    return _sentence(_fill(rng, rng.choice(QUESTIONS)))


def broad_question(rng: random.Random, nouns: Sequence[str]) -> str:
    """A question or request to a talking machine, a third from `question`; some ask the meaning of a noun."""
    if rng.random() < 0.33:
        return question(rng)
    asked = rng.choice(BROAD_QUESTIONS)
    return re.sub(r"\{(\w+)\}", lambda match: _broad_filling(match.group(1), rng, nouns), asked)


def _broad_filling(slot: str, rng: random.Random, nouns: Sequence[str]) -> str:
    if slot in BROAD_WORDS:
        return rng.choice(BROAD_WORDS[slot])
    if slot == "small":
        return str(rng.randint(2, 20))
    if slot in ("noun", "a_noun"):
        noun = rng.choice(nouns)
        article = ("an " if noun[0] in "aeiou" else "a ") if slot == "a_noun" else ""
        return article + noun
    return filling(slot, rng)


def draw(rng: random.Random) -> str:
    """One text from the templates."""
    kind = rng.random()
    if kind < 0.10:
        return _sentence(_fill(rng, rng.choice(SHORT)))
    if kind < 0.34:
        feeling = [_fill(rng, rng.choice(FEELINGS[rng.choice(list(FEELINGS))])) for _ in range(rng.choice((1, 1, 2)))]
        return _sentence(" ".join(feeling))
    if kind < 0.44:
        return question(rng)
    facts = [_fill(rng, rng.choice(OPENERS) + rng.choice(FACTS)) for _ in range(rng.choice((1, 1, 2)))]
    return _sentence(" ".join(facts))


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    return text[:1].upper() + text[1:]


def template_rows(rng: random.Random) -> Iterator[TextRow]:
    """Numbers, dates, names, lists, exclamations and feelings, from the templates of this package, without end."""
    while True:
        text = draw(rng)
        if is_speakable(text):
            yield TextRow(text, "", "templates")
