"""Speech in the LLM's embedding space: what `nano` hears, ten vectors a second, and how it reads as tokens."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .config import SpeechProjectorConfig
from .speech_projector import SpeechProjector

BLANK = 0
"""Place of the blank among the scores; token i of the table stands at i + 1."""


@dataclass(frozen=True)
class Heard:
    """Speech as the LLM takes it.

    Attributes:
        vectors: one for each token heard, blanks dropped and repeats merged, [T_heard, D_llm].
        ids: the token whose embedding lies nearest, int64 [T_heard].
    """

    vectors: Tensor
    ids: Tensor


class Listener(nn.Module):
    """The speech projector, and what its training by CTC adds: a blank and how sharply distances are told apart.

    The score of a token is the negative squared distance to its word embedding, so what is heard clearly lies where
    the LLM expects that word.

    Args:
        d_encoder: width of the speech encoder.
        d_llm: width of the language model.
        config: of the projector.
    Source:
        The projector is the paper's; the blank and the reading by distance are our choice.
    """

    def __init__(self, d_encoder: int, d_llm: int, config: SpeechProjectorConfig) -> None:
        super().__init__()
        self.projector = SpeechProjector(d_encoder, d_llm, config)
        self.blank = nn.Parameter(torch.zeros(d_llm))
        self.log_sharpness = nn.Parameter(torch.tensor(0.7))
        self.register_buffer("mean", torch.zeros(d_encoder))
        self.register_buffer("std", torch.ones(d_encoder))

    def forward(self, frames: Tensor) -> Tensor:
        """Encoder frames [B, T, D_encoder], 50 a second, to vectors [B, T // 5, D_llm], ten a second."""
        return self.projector((frames - self.mean) / self.std)

    def scores(self, vectors: Tensor, table: Tensor) -> Tensor:
        """Log-probabilities up to a constant of each row.

        Args:
            vectors: [..., D_llm].
            table: word embeddings [V, D_llm].
        Returns:
            [..., 1 + V]: the blank, then the tokens.
        """
        rows = torch.cat([self.blank[None], table])
        return self.log_sharpness.exp() * (vectors @ rows.T - 0.5 * rows.square().sum(-1))

    def collapse(self, vectors: Tensor, table: Tensor) -> Heard:
        """Drop blanks and merge what is one token held for several steps.

        Args:
            vectors: of one clip, [T, D_llm].
            table: word embeddings [V, D_llm].
        Returns:
            `ids` are rows of the table; a merged vector is the mean of its run.
        """
        best = self.scores(vectors, table).argmax(-1)
        runs, lengths = torch.unique_consecutive(best, return_counts=True)
        means = torch.stack([piece.mean(0) for piece in vectors.split(lengths.tolist())]) if len(runs) else vectors
        kept = runs != BLANK
        return Heard(means[kept], runs[kept] - 1)
