"""What a sentence feels like, from the language model's hidden states."""

import torch
from torch import Tensor, nn

N_POOLS = 4
"""Places of a sentence that are looked at side by side."""


class EmotionReader(nn.Module):
    """Hidden states of a sentence to an emotion vector.

    Each pool weighs the tokens by how much they tell and takes their mean, so that one telling word colours a long
    sentence.

    Source:
        Our choice; the paper's data set estimates the vector from the audio, and its model is not told it.
    """

    def __init__(self, d_llm: int, n_emotions: int, d_inner: int = 128, dropout: float = 0.2) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(d_llm)
        self.token = nn.Linear(d_llm, d_inner)
        self.weigh = nn.Linear(d_inner, N_POOLS)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(N_POOLS * d_inner, n_emotions)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """States [B, T, D_llm] -> logits [B, n_emotions], whose sigmoid is the emotion, 0..1.

        `mask` is True where a state counts, [B, T]; a row without any reads what no words at all would.
        """
        tokens = self.dropout(nn.functional.gelu(self.token(self.norm(states))))
        # Not -inf: a row without any state must stay a number.
        scores = self.weigh(tokens).masked_fill(~mask[..., None], -1e4)
        pooled = torch.einsum("btp,btd->bpd", scores.softmax(dim=1), tokens * mask[..., None])
        return self.out(pooled.flatten(1))
