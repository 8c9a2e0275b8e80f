"""Questions and requests to be spoken to a talking machine: broader than the questions among the texts."""

import random
import re
from collections.abc import Sequence

from . import templates


def question(rng: random.Random, nouns: Sequence[str]) -> str:
    """One question; a third come from the templates that the voice's texts have too.

    Args:
        rng: source of every choice.
        nouns: to ask the meaning of.
    """
    if rng.random() < 0.33:
        return templates.question(rng)
    asked = rng.choice(templates.BROAD_QUESTIONS)
    return re.sub(r"\{(\w+)\}", lambda match: _filling(match.group(1), rng, nouns), asked)


def _filling(slot: str, rng: random.Random, nouns: Sequence[str]) -> str:
    if slot in templates.BROAD_WORDS:
        return rng.choice(templates.BROAD_WORDS[slot])
    if slot == "small":
        return str(rng.randint(2, 20))
    if slot in ("noun", "a_noun"):
        noun = rng.choice(nouns)
        article = ("an " if noun[0] in "aeiou" else "a ") if slot == "a_noun" else ""
        return article + noun
    return templates.filling(slot, rng)
