"""The held-out texts and questions, a fixed list in `texts.yaml`."""

from functools import cache
from importlib import resources

import yaml

PROMPTS = "prompts"
"""The group of questions; all the others are texts to be spoken."""


@cache
def text_groups() -> dict[str, tuple[str, ...]]:
    """Every group by name, in the file's order."""
    raw = yaml.safe_load((resources.files("exomni.evaluate") / "texts.yaml").read_text("utf-8"))
    return {name: tuple(" ".join(text.split()) for text in texts) for name, texts in raw.items()}


def held_out_texts(limit: int = 0) -> list[tuple[str, str]]:
    """Texts, at most `limit` (0: all), with their group; groups take turns, so that a few are a fair sample of all."""
    groups = {name: texts for name, texts in text_groups().items() if name != PROMPTS}
    longest = max(map(len, groups.values()))
    turns = [(name, texts[i]) for i in range(longest) for name, texts in groups.items() if i < len(texts)]
    return turns[:limit] if limit else turns


def held_out_prompts(limit: int = 0) -> list[str]:
    """Questions; at most `limit` of them, 0 for all."""
    prompts = list(text_groups()[PROMPTS])
    return prompts[:limit] if limit else prompts
