"""All the parts as one model: speech or text in; text, speech units and a face out (paper, overview)."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..core.errors import ConfigError
from .blendshape_decoder import BlendshapeDecoder
from .config import OmniConfig, UnitGeneratorConfig
from .duration_pace import PacedUnitGenerator
from .free_pace import FreeUnitGenerator
from .language_model import LanguageModel
from .prompt import assemble
from .sampling import UnitSampler
from .speech_encoder import SpeechEncoder
from .speech_projector import SpeechProjector


def build_unit_generator(config: UnitGeneratorConfig) -> FreeUnitGenerator | PacedUnitGenerator:
    """The unit generator of the pace that a configuration names."""
    return (FreeUnitGenerator if config.pace.kind == "free" else PacedUnitGenerator)(config)


@dataclass(frozen=True)
class OmniReply:
    """A whole reply.

    Attributes:
        prompt_embeds: what the language model read, [L, D_llm].
        text_ids: tokens of the reply, its end token included, [T_text].
        text_logits: scores behind them, [T_text, n_tokens].
        text_states: states behind them, [T_text, D_llm].
        units: speech units, [T_unit].
        unit_states: states behind them, [T_unit or T_unit + 1, D].
        blendshapes: raw, [T_frame, K]: clip to 0..1 for use.
    """

    prompt_embeds: Tensor
    text_ids: Tensor
    text_logits: Tensor
    text_states: Tensor
    units: Tensor
    unit_states: Tensor
    blendshapes: Tensor


class Omni(nn.Module):
    """Speech encoder, projector, language model, unit generator and face decoder."""

    def __init__(self, config: OmniConfig) -> None:
        super().__init__()
        self.config = config
        d_llm = config.language_model.d_model
        self.speech_encoder = SpeechEncoder(config.speech_encoder)
        self.speech_projector = SpeechProjector(config.speech_encoder.d_model, d_llm, config.speech_projector)
        self.language_model = LanguageModel(config.language_model)
        self.unit_generator = build_unit_generator(config.unit_generator)
        self.blendshape_decoder = BlendshapeDecoder(config.blendshape_decoder)

    def encode_speech(self, features: Tensor, mel_lengths: Sequence[int]) -> list[Tensor]:
        """Clips of speech as tokens for the language model, each [T_clip, D_llm], ten a second; may have none.

        Args:
            features: [B, n_mels, T_mel], each clip padded to the encoder's length.
            mel_lengths: mel frames of each clip that count; the published code counts all, silence too.
        """
        projected = self.speech_projector(self.speech_encoder(features))
        return [rows[: self.speech_projector.n_tokens(n)] for rows, n in zip(projected, mel_lengths, strict=True)]

    @torch.inference_mode()
    def respond(
        self,
        input_ids: Sequence[int],
        clips: Sequence[Tensor],
        *,
        text_sampler: UnitSampler,
        unit_sampler: UnitSampler,
        max_tokens: int,
        end_ids: Collection[int],
    ) -> OmniReply:
        """Answer one prompt with text, units and a face, as published.

        Args:
            input_ids: the prompt, SPEECH_MARKER where a clip belongs.
            clips: projected speech in that order.
            text_sampler, unit_sampler: draw the text and the units.
            max_tokens: most tokens of text.
            end_ids: tokens that end a reply.
        Raises:
            ConfigError: the unit generator reads phonemes and not tokens of text.
            InputError: markers and clips differ in number.
        """
        if not isinstance(self.unit_generator, FreeUnitGenerator):
            raise ConfigError("this model's unit generator speaks phonemes: use exomni.pipeline.exomni")
        device = self.blendshape_decoder.unit_embedding.weight.device
        ids = torch.tensor([list(input_ids)], device=device)
        prompt = assemble(ids, clips, self.language_model.embed).inputs_embeds
        reply = list(self.language_model.generate(prompt, text_sampler, max_tokens, end_ids))
        text_ids = torch.tensor([token.token_id for token in reply], dtype=torch.long, device=device)
        states = torch.stack([token.hidden_state for token in reply])
        spoken = self._spoken(text_ids, end_ids)[None]
        everything = torch.ones_like(spoken, dtype=torch.bool)
        made = self.unit_generator.generate(spoken, everything, [unit_sampler], states[None])
        face = self.blendshape_decoder(made.units, made.hidden_states, made.hidden_mask)
        return OmniReply(
            prompt_embeds=prompt[0],
            text_ids=text_ids,
            text_logits=torch.stack([token.logits for token in reply]),
            text_states=states,
            units=made.units[0],
            unit_states=made.hidden_states[0],
            blendshapes=face.blendshapes[0],
        )

    def _spoken(self, text_ids: Tensor, end_ids: Collection[int]) -> Tensor:
        """The tokens that are said: without the end token, or as published without the last one."""
        ended = len(text_ids) > 0 and int(text_ids[-1]) in end_ids
        return text_ids[:-1] if ended or self.config.dropped_text_token == "last" else text_ids
