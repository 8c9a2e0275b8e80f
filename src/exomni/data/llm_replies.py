"""An LLM's own prompts and replies, so that training on them loses nothing of what it knows.

Source: paper, data set section (S2SF rows keep the LLM's own words); drawing prompts from the model itself by
leaving the user's turn open is our choice.
"""

import itertools
import json
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import torch

from ..core.atomic import write_text
from ..parts.loading import load_parts
from . import templates
from .text import SourceInput, TextRow, is_speakable, split_passages

ANSWERS_AT_ONCE = 32

_USER = "<|im_start|>user\n"
_ASSISTANT = "<|im_end|>\n<|im_start|>assistant\n"
_LIST_MARK = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+", re.M)
_MARKUP = re.compile(r"[*_`#]+")


def load_llm() -> tuple[Any, Any]:
    """Load the LLM of `nano` and its tokenizer with `transformers`, which writes many replies at once."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = str(load_parts("nano").trainable_llm)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16, local_files_only=True).eval()
    return model, AutoTokenizer.from_pretrained(folder, local_files_only=True)


def clean_reply(text: str) -> str:
    """Turn written style (markdown, lists) into words for a voice."""
    return " ".join(_MARKUP.sub("", _LIST_MARK.sub("", text)).split())


def dialogue_rows(
    model, tokenizer, rng: random.Random, *, batch_size: int = 64, own_prompts: float = 0.35, max_new_tokens: int = 90
) -> list[TextRow]:
    """A batch of rows: passages of the LLM's replies, with the prompt each answers; the tokenizer knows ChatML markers.

    `rng` is the source of every random choice, the sampler's too; `own_prompts` is the share of prompts that the LLM
    itself writes.
    """
    torch.manual_seed(rng.randrange(2**31))
    n_own = int(batch_size * own_prompts)
    prompts = [templates.question(rng) for _ in range(batch_size - n_own)]
    for text in _generate(model, tokenizer, [_USER] * (2 * n_own), 40):
        first = clean_reply(text.split("\n")[0])
        if is_speakable(first) and first.endswith(("?", ".", "!")) and len(first) < 200 and len(prompts) < batch_size:
            prompts.append(first)
    rows = []
    replies = _generate(model, tokenizer, [_USER + p + _ASSISTANT for p in prompts], max_new_tokens)
    for prompt, reply in zip(prompts, replies, strict=True):
        whole = re.split(r"(?<=[.!?])(?=\s|$)(?!.*[.!?])", clean_reply(reply), maxsplit=1)[0]
        for passage in split_passages(whole, rng):
            if is_speakable(passage) and passage.endswith((".", "!", "?")):
                rows.append(TextRow(passage, prompt, "dialogue"))
    return rows


def kept_dialogue_rows(given: SourceInput) -> Iterator[TextRow]:
    """Rows of the LLM's replies, without end; each batch has its own seed and file, so that a stopped build goes on."""
    llm = None
    for number in itertools.count():
        path = given.kept / f"{number:05d}.json"
        if not path.exists():
            llm = llm or load_llm()
            write_text(path, json.dumps([asdict(row) for row in dialogue_rows(*llm, given.rng(str(number)))]))
        yield from (TextRow(**row) for row in json.loads(path.read_text("utf-8")))


class Answers:
    """Replies to many prompts in the LLM's likeliest words; the LLM is loaded when the first are asked for."""

    def __init__(self) -> None:
        self._llm: tuple[Any, Any] | None = None

    def __call__(self, prompts: Sequence[str], most_tokens: int) -> list[str]:
        """Replies, unfinished where they are longer than `most_tokens`."""
        self._llm = self._llm or load_llm()
        replies = []
        for i in range(0, len(prompts), ANSWERS_AT_ONCE):
            texts = [_USER + p + _ASSISTANT for p in prompts[i : i + ANSWERS_AT_ONCE]]
            replies += _generate(*self._llm, texts, most_tokens, do_sample=False, repetition_penalty=1.05)
        return replies


SAMPLED = {"do_sample": True, "temperature": 0.8, "top_p": 0.95, "top_k": 0, "repetition_penalty": 1.1}
"""How the LLM draws its prompts and replies."""


@torch.inference_mode()
def _generate(model, tokenizer, prompts: Sequence[str], max_new_tokens: int, **how) -> list[str]:
    """What the LLM writes after each prompt; drawn as `SAMPLED` says unless `how` says otherwise."""
    tokenizer.padding_side = "left"
    batch = tokenizer(list(prompts), return_tensors="pt", padding=True, add_special_tokens=False)
    how = {"max_new_tokens": max_new_tokens, "pad_token_id": tokenizer.pad_token_id, **(how or SAMPLED)}
    out = model.generate(**batch, **how)
    return tokenizer.batch_decode(out[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)
