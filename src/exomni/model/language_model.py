"""The language model: reads a prompt as embeddings, writes tokens and keeps the states behind them."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from .config import LanguageModelConfig
from .sampling import UnitSampler

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, Qwen3ForCausalLM


@dataclass(frozen=True)
class LanguageOutput:
    """One pass over whole sequences.

    Attributes:
        logits: of the next token at every position, [B, L, n_tokens].
        hidden_states: last states, after the final norm, [B, L, D].
    """

    logits: Tensor
    hidden_states: Tensor


@dataclass(frozen=True)
class ReplyToken:
    """One token of a reply.

    Attributes:
        token_id: what was drawn.
        hidden_state: the last state that it was drawn from, after the final norm, [D].
        logits: the scores that it was drawn from, [n_tokens].
    """

    token_id: int
    hidden_state: Tensor
    logits: Tensor


def build_causal_lm(config: LanguageModelConfig) -> "LlamaForCausalLM | Qwen3ForCausalLM":
    """The `transformers` network of a configuration, with random weights."""
    from transformers import LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

    config_class, network = {
        "qwen3": (Qwen3Config, Qwen3ForCausalLM),
        "llama": (LlamaConfig, LlamaForCausalLM),
    }[config.architecture]
    return network(
        config_class(
            vocab_size=config.n_tokens,
            hidden_size=config.d_model,
            intermediate_size=config.d_ff,
            num_hidden_layers=config.n_layers,
            num_attention_heads=config.n_heads,
            num_key_value_heads=config.n_kv_heads,
            head_dim=config.head_dim,
            max_position_embeddings=config.max_positions,
            rope_parameters={"rope_type": "default", "rope_theta": config.rope_theta},
            rms_norm_eps=config.norm_eps,
            tie_word_embeddings=config.tied_embeddings,
        )
    )


class LanguageModel(nn.Module):
    """A causal language model of `transformers`, fed with embeddings."""

    def __init__(self, config: LanguageModelConfig) -> None:
        super().__init__()
        self.config = config
        self.model = build_causal_lm(config)

    def embed(self, token_ids: Tensor) -> Tensor:
        """[..., T] -> [..., T, D]."""
        return self.model.get_input_embeddings()(token_ids)

    def forward(
        self, inputs_embeds: Tensor, attention_mask: Tensor | None = None, position_ids: Tensor | None = None
    ) -> LanguageOutput:
        """Read whole sequences [B, L, D]; the mask is True where a position counts, positions count from the left."""
        states = self.model.model(
            inputs_embeds=inputs_embeds,
            attention_mask=attention_mask,
            position_ids=position_ids,
            use_cache=False,
        ).last_hidden_state
        return LanguageOutput(self.model.lm_head(states), states)

    def generate(
        self, inputs_embeds: Tensor, sampler: UnitSampler, max_tokens: int, end_ids: Collection[int]
    ) -> Iterator[ReplyToken]:
        """Write a reply token by token; a caller that stops listening stops the work.

        Args:
            inputs_embeds: one prompt, [1, L, D].
            sampler: draws the tokens.
            max_tokens: most to write.
            end_ids: tokens that end a reply; such a token is given too, as the last one.
        """
        cache, drawn = None, []
        while len(drawn) < max_tokens:
            with torch.inference_mode():
                out = self.model.model(inputs_embeds=inputs_embeds, past_key_values=cache, use_cache=True)
                state = out.last_hidden_state[0, -1]
                logits = self.model.lm_head(state)
                drawn.append(sampler(logits, drawn))
                cache = out.past_key_values
                inputs_embeds = self.embed(torch.tensor([[drawn[-1]]], device=state.device))
            yield ReplyToken(drawn[-1], state, logits)
            if drawn[-1] in end_ids:
                return

    def restore_tables(self) -> None:
        """Recompute what no checkpoint stores, after weights were put into a model on the meta device."""
        inner = self.model.model
        rotary = cast(Callable[[Any], nn.Module], type(inner.rotary_emb))
        inner.register_module("rotary_emb", rotary(inner.config))
        if self.config.tied_embeddings:
            self.model.lm_head.weight = inner.embed_tokens.weight
