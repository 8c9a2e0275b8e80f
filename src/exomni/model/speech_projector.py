"""From the speech encoder's frames to tokens of the language model."""

import torch
from torch import Tensor, nn

from .attention import EncoderLayer, rotation
from .config import ContextLayersConfig, SpeechProjectorConfig

ROTARY_BASE = 1_000.0


def encoder_frames(n_mel_frames: int) -> int:
    """Frames of the speech encoder for so many mel frames; at least one."""
    return max((n_mel_frames + 1) // 2, 1)


class ContextLayers(nn.Module):
    """What the tokens of a clip learn from each other, to be added to them; nothing before training.

    A word lasts several tokens and is written as one: which one it becomes takes more than a tenth of a second to tell.
    """

    def __init__(self, d_token: int, config: ContextLayersConfig) -> None:
        super().__init__()
        self.head_dim = config.d_model // config.n_heads
        self.narrow = nn.Linear(d_token, config.d_model)
        self.layers = nn.ModuleList(
            EncoderLayer(config.d_model, config.n_heads, config.ff_mult * config.d_model, dropout=config.dropout)
            for _ in range(config.n_layers)
        )
        self.norm = nn.LayerNorm(config.d_model)
        self.widen = nn.Linear(config.d_model, d_token)
        nn.init.zeros_(self.widen.weight)
        nn.init.zeros_(self.widen.bias)

    def forward(self, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """Read whole clips, [B, T, D_token]; `mask` [B, T] is True where a token belongs to its clip, None: all do."""
        angles = rotation(torch.arange(tokens.shape[1], device=tokens.device)[None], self.head_dim, ROTARY_BASE)
        seen = None if mask is None else mask[:, None, None, :]
        x = self.narrow(tokens)
        for layer in self.layers:
            x = layer(x, seen, angles)
        return self.widen(self.norm(x))


class SpeechProjector(nn.Module):
    """Stack neighbouring frames and project them: Linear, ReLU, Linear (paper, speech projector)."""

    def __init__(self, d_encoder: int, d_llm: int, config: SpeechProjectorConfig) -> None:
        super().__init__()
        self.stack_frames = config.stack_frames
        self.expand = nn.Linear(config.stack_frames * d_encoder, config.d_hidden)
        self.contract = nn.Linear(config.d_hidden, d_llm)
        self.context = ContextLayers(d_llm, config.context) if config.context else None

    def n_tokens(self, n_mel_frames: int) -> int:
        """Tokens that a clip of so many mel frames becomes; may be 0."""
        return encoder_frames(n_mel_frames) // self.stack_frames

    def forward(self, frames: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Project a batch of clips.

        Args:
            frames: [B, T, D_encoder]; a last group that is not full is dropped.
            lengths: frames of each clip, int [B]; None: all are T long. Only context layers look at it.
        Returns:
            [B, T // stack_frames, D_llm].
        """
        n_tokens = frames.shape[1] // self.stack_frames
        width = self.stack_frames * frames.shape[2]
        stacked = frames[:, : n_tokens * self.stack_frames].reshape(len(frames), n_tokens, width)
        tokens = self.contract(torch.relu(self.expand(stacked)))
        if self.context is None or not n_tokens:
            return tokens
        if lengths is None:
            return tokens + self.context(tokens, None)
        # A clip shorter than one token still sees itself: an empty row would be no number.
        counts = (lengths // self.stack_frames).clamp(min=1)
        return tokens + self.context(tokens, torch.arange(n_tokens, device=tokens.device)[None] < counts[:, None])
