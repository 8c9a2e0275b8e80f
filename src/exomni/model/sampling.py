"""How the next speech unit or text token is drawn: nucleus, and afresh when it repeats too often."""

import torch
from torch import Tensor

from .config import SamplingConfig


def nucleus(probabilities: Tensor, top_p: float, top_k: int) -> tuple[Tensor, Tensor]:
    """The likeliest ids that together reach a mass; the id that crosses it is included.

    Args:
        probabilities: of one step, [V], summing to 1.
        top_p: mass to reach, 0..1.
        top_k: most ids to keep; 0 keeps any number.
    Returns:
        Ids [N] and their probabilities [N], not renormalised, likeliest first (equal ones by id).
    Source:
        Paper, repetition-aware sampling (VALL-E 2).
    """
    top_k = min(top_k or len(probabilities), len(probabilities))
    least = probabilities.topk(top_k).values[-1]
    ids = (probabilities >= least).nonzero()[:, 0]  # sorting these few costs a fraction of sorting all
    ordered, order = probabilities[ids].sort(descending=True, stable=True)
    ids, ordered = ids[order][:top_k], ordered[:top_k]
    mass_before = ordered.cumsum(dim=0) - ordered
    n_kept = max(int((mass_before < top_p).sum()), 1)
    return ids[:n_kept], ordered[:n_kept]


class UnitSampler:
    """Draws ids; has its own generator, so that nothing else's draws change it nor it theirs."""

    def __init__(self, config: SamplingConfig, seed: int) -> None:
        self.config = config
        self._generator = torch.Generator().manual_seed(seed)

    def __call__(self, logits: Tensor, recent: list[int]) -> int:
        """Draw one id.

        Args:
            logits: unnormalised log-probabilities of one step, [V]; -inf forbids an id.
            recent: ids drawn so far in this sequence, oldest first.
        Returns:
            An id in 0..V-1.
        """
        config = self.config
        if config.temperature == 0:
            return int(logits.argmax())
        probabilities = (logits.float().cpu() / config.temperature).softmax(dim=0)
        ids, weights = nucleus(probabilities, config.top_p, config.top_k)
        drawn = int(ids[self._draw(weights)])
        window = recent[-config.repetition_window :] if config.repetition_window else []
        if window and window.count(drawn) >= config.repetition_window * config.repetition_share:
            return self._draw(probabilities)
        return drawn

    def _draw(self, weights: Tensor) -> int:
        return int(torch.multinomial(weights, 1, generator=self._generator))
