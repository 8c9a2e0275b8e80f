"""An LLM's own prompts and replies, so that training on them loses nothing of what it knows.

Source: paper, data set section (S2SF rows keep the LLM's own words); drawing prompts from the model itself by
leaving the user's turn open is our choice.
"""

import random
import re

import torch

from . import templates
from .text import TextRow, is_speakable, split_passages

_USER = "<|im_start|>user\n"
_ASSISTANT = "<|im_end|>\n<|im_start|>assistant\n"
_LIST_MARK = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+", re.M)
_MARKUP = re.compile(r"[*_`#]+")


def load_talker() -> tuple:
    """The LLM of `nano` and its tokenizer in `transformers`, which writes many replies at once."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from ..parts.smollm.conversion import LLM_WEIGHTS

    folder = str(LLM_WEIGHTS.folder())
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16, local_files_only=True).eval()
    return model, AutoTokenizer.from_pretrained(folder, local_files_only=True)


def clean_reply(text: str) -> str:
    """Turn written style (markdown, lists) into words for a voice."""
    return " ".join(_MARKUP.sub("", _LIST_MARK.sub("", text)).split())


def dialogue_rows(
    model, tokenizer, rng: random.Random, *, batch_size: int = 64, own_prompts: float = 0.35, max_new_tokens: int = 90
) -> list[TextRow]:
    """A batch of rows: passages of the LLM's replies, with the prompt each answers.

    Args:
        model: causal LLM with `generate`.
        tokenizer: its tokenizer (ChatML markers).
        rng: source of every random choice; it also seeds the sampler.
        batch_size: prompts answered at once.
        own_prompts: share of prompts that the LLM itself writes.
        max_new_tokens: longest reply in tokens.
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


@torch.inference_mode()
def _generate(model, tokenizer, prompts: list[str], max_new_tokens: int) -> list[str]:
    tokenizer.padding_side = "left"
    batch = tokenizer(prompts, return_tensors="pt", padding=True, add_special_tokens=False)
    out = model.generate(
        **batch, max_new_tokens=max_new_tokens, do_sample=True, temperature=0.8, top_p=0.95, top_k=0,
        repetition_penalty=1.1, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    return tokenizer.batch_decode(out[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)
