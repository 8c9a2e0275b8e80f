"""The LLM's own likeliest replies to many prompts at once, so that training on them loses nothing of what it knows."""

from collections.abc import Sequence

import torch

from .dialogue import _ASSISTANT, _USER, load_talker

BATCH = 32


class Answers:
    """Function of prompts and a number of tokens to replies, in the LLM's likeliest words."""

    def __init__(self) -> None:
        self._talker = None

    @torch.inference_mode()
    def __call__(self, prompts: Sequence[str], most_tokens: int) -> list[str]:
        """Replies, unfinished where they are longer than `most_tokens`."""
        self._talker = self._talker or load_talker()
        model, tokenizer = self._talker
        tokenizer.padding_side = "left"
        replies = []
        for i in range(0, len(prompts), BATCH):
            texts = [_USER + p + _ASSISTANT for p in prompts[i : i + BATCH]]
            batch = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
            out = model.generate(**batch, max_new_tokens=most_tokens, do_sample=False, repetition_penalty=1.05,
                                 pad_token_id=tokenizer.pad_token_id)  # fmt: skip
            replies += tokenizer.batch_decode(out[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)
        return replies
