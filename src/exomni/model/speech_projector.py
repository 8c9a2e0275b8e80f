"""From the speech encoder's frames to tokens of the language model."""

import torch
from torch import Tensor, nn

from .config import SpeechProjectorConfig


def encoder_frames(n_mel_frames: int) -> int:
    """Frames of the speech encoder for so many mel frames; at least one."""
    return max((n_mel_frames + 1) // 2, 1)


class SpeechProjector(nn.Module):
    """Stack neighbouring frames and project them: Linear, ReLU, Linear (paper, speech projector).

    Args:
        d_encoder: width of the speech encoder.
        d_llm: width of the language model.
        config: how many frames become one token, and the inner width.
    """

    def __init__(self, d_encoder: int, d_llm: int, config: SpeechProjectorConfig) -> None:
        super().__init__()
        self.stack_frames = config.stack_frames
        self.expand = nn.Linear(config.stack_frames * d_encoder, config.d_hidden)
        self.contract = nn.Linear(config.d_hidden, d_llm)

    def n_tokens(self, n_mel_frames: int) -> int:
        """Tokens that a clip of so many mel frames becomes; may be 0."""
        return encoder_frames(n_mel_frames) // self.stack_frames

    def forward(self, frames: Tensor) -> Tensor:
        """Project a batch of clips.

        Args:
            frames: [B, T, D_encoder]; a last group that is not full is dropped.
        Returns:
            [B, T // stack_frames, D_llm].
        """
        n_tokens = frames.shape[1] // self.stack_frames
        width = self.stack_frames * frames.shape[2]
        stacked = frames[:, : n_tokens * self.stack_frames].reshape(len(frames), n_tokens, width)
        return self.contract(torch.relu(self.expand(stacked)))
