"""The LLM of `nano` as a talker: replies token by token, with the hidden states that carry their meaning."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

SYSTEM_FREE_USER = "<|im_start|>user\n{}<|im_end|>\n"
ASSISTANT = "<|im_start|>assistant\n"
ASSISTANT_TURN = ASSISTANT + "{}<|im_end|>\n"
CONTEXT_TOKENS = 2048
"""What the LLM was tuned on; older turns are dropped beyond it."""


@dataclass(frozen=True)
class Turn:
    """One turn of a conversation: `role` is "user" or "assistant"."""

    role: str
    content: str


@dataclass(frozen=True)
class ChatToken:
    """One token of a reply.

    Attributes:
        text: the characters that it completes ("" while a character is unfinished).
        state: the state that predicted it, after the final norm, float32 [D].
    """

    text: str
    state: torch.Tensor


class ChatModel:
    """A causal LLM on the CPU.

    Args:
        folder: `transformers` model folder with its tokenizer.
        dtype: of the weights; bfloat16 halves what a token must read from memory.
    """

    def __init__(self, folder: Path, dtype: torch.dtype = torch.bfloat16):
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        self.model = AutoModelForCausalLM.from_pretrained(str(folder), dtype=dtype, local_files_only=True).eval()
        self.model.requires_grad_(False)
        self.end_id = self.tokenizer.convert_tokens_to_ids("<|im_end|>")

    def prompt(self, turns: Sequence[Turn]) -> str:
        """The conversation as the LLM reads it, up to where its reply begins."""
        # Without a system message: the small LLM answers facts better so (measured, docs/experiments.md).
        forms = {"user": SYSTEM_FREE_USER, "assistant": ASSISTANT_TURN}
        return "".join(forms[t.role].format(_plain(t.content)) for t in turns) + ASSISTANT

    @torch.inference_mode()
    def reply(
        self,
        turns: Sequence[Turn],
        *,
        max_new_tokens: int = 256,
        temperature: float = 0.0,
        repetition_penalty: float = 1.05,
        seed: int = 0,
    ) -> Iterator[ChatToken]:
        """Write a reply, token by token; stop iterating to stop the work.

        Args:
            turns: the conversation; its last turn is the user's.
            max_new_tokens: longest reply.
            temperature: 0 takes the likeliest token.
            repetition_penalty: above 1, tokens that the reply already has become less likely.
            seed: of the draws at a temperature above 0.
        """
        ids = self._ids(self.prompt(turns))[-CONTEXT_TOKENS:]
        generator = torch.Generator().manual_seed(seed)
        feed, cache, written = torch.tensor([ids]), None, []
        text = ""
        for _ in range(max_new_tokens):
            out = self.model.model(input_ids=feed, past_key_values=cache, use_cache=True)
            cache, state = out.past_key_values, out.last_hidden_state[0, -1]
            logits = self.model.lm_head(state).float()
            token = _choose(logits, written, temperature, repetition_penalty, generator)
            if token == self.end_id:
                break
            written.append(token)
            whole = self.tokenizer.decode(written, skip_special_tokens=True)
            piece = "" if whole.endswith("�") else whole[len(text) :]
            text += piece
            yield ChatToken(piece, state.float())
            feed = torch.tensor([[token]])

    @torch.inference_mode()
    def states(self, text: str, prompt: str = "") -> torch.Tensor:
        """States of a given reply, as `reply` would give them had the LLM written it.

        Args:
            text: the reply.
            prompt: the user's turn that it answers ("" for none).
        Returns:
            float32 [T_llm, D]; row i predicted token i.
        """
        before = self._ids((SYSTEM_FREE_USER.format(_plain(prompt)) if prompt else "") + ASSISTANT)
        tokens = self._ids(_plain(text))
        hidden = self.model.model(input_ids=torch.tensor([before + tokens])).last_hidden_state[0]
        return hidden[len(before) - 1 : -1].float()

    def _ids(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]


def _plain(text: str) -> str:
    """Text in which nobody can write the markers that end a turn."""
    text = "".join(c for c in text if not "\ud800" <= c <= "\udfff")  # lone surrogates are no characters
    return text.replace("<|im_start|>", "< |im_start| >").replace("<|im_end|>", "< |im_end| >")


def _choose(
    logits: torch.Tensor, before: list[int], temperature: float, penalty: float, generator: torch.Generator
) -> int:
    if penalty != 1.0 and before:
        seen = torch.tensor(sorted(set(before)))
        values = logits[seen]
        logits[seen] = torch.where(values > 0, values / penalty, values * penalty)
    if temperature == 0:
        return int(logits.argmax())
    return int(torch.multinomial((logits / temperature).softmax(-1), 1, generator=generator))
