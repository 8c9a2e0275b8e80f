"""Decodes CTC scores: a beam search for the likeliest hypotheses, and their rescoring with the LLM.

CTC decides on each step by itself, so the likeliest hypothesis mixes words that sound alike ("the see was calm"). Other
hypotheses differ from it here and there; each such edit is made if CTC listener and LLM together find it likelier. A
dozen edits of single words stand for thousands of hypotheses, of which an n-best list holds few.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ..core.sequences import n_shared, n_shared_ends
from .ctc_listener import BLANK

BEAM = 64
"""Prefixes that are kept from step to step."""
TOKENS_A_STEP = 8
"""Likeliest tokens of a step that are tried."""
LEAST_LOG_PROB = -7.0
"""A less likely token is not tried."""
MAX_EDITS = 16
"""Most edits that the LLM scores."""
LLM_WEIGHT = 0.4
"""Of the LLM's log-likelihood beside the listener's; 0.3 and 0.5 decode as well."""

_NEVER = -math.inf


@dataclass(frozen=True)
class Hypothesis:
    """Tokens that a clip may say, rows of the table, and the natural log-probability of all alignments kept."""

    ids: tuple[int, ...]
    log_prob: float


@dataclass(frozen=True)
class Edit:
    """Replaces a span of a hypothesis, which may insert or delete tokens.

    Attributes:
        start, stop: the span, in tokens; empty where they are equal.
        ids: tokens that take its place; may be none.
        log_prob: how much likelier the CTC listener finds it, natural logarithm.
    """

    start: int
    stop: int
    ids: tuple[int, ...]
    log_prob: float

    def excludes(self, other: "Edit") -> bool:
        """Whether both edit one place."""
        return self.start < max(other.stop, other.start + 1) and other.start < max(self.stop, self.start + 1)


def edits_of(hypotheses: Sequence[Hypothesis]) -> list[Edit]:
    """The edits that turn the first hypothesis into each other one that differs in one place alone, likeliest first."""
    best, *others = hypotheses
    found: dict[tuple[int, int, tuple[int, ...]], Edit] = {}
    for other in others:
        start = n_shared(best.ids, other.ids)
        n_after = n_shared_ends(best.ids, other.ids)
        stop, ids = len(best.ids) - n_after, other.ids[start : len(other.ids) - n_after]
        if set(best.ids[start:stop]).isdisjoint(ids):  # else something in between stays
            found.setdefault((start, stop, ids), Edit(start, stop, ids, other.log_prob - best.log_prob))
    return list(found.values())


def apply_edits(ids: Sequence[int], edits: Iterable[Edit]) -> tuple[int, ...]:
    """Makes edits, none of which excludes another."""
    out = list(ids)
    for edit in sorted(edits, key=lambda edit: edit.start, reverse=True):
        out[edit.start : edit.stop] = edit.ids
    return tuple(out)


def rescore(
    hypotheses: Sequence[Hypothesis],
    text_of: Callable[[Sequence[int]], str],
    log_ratios: Callable[[str, Sequence[str]], Sequence[float]],
) -> tuple[int, ...]:
    """Makes each edit of the likeliest hypothesis that CTC listener and LLM together find likelier.

    Args:
        hypotheses: of one clip, the likeliest first; at least one.
        text_of: the text of tokens.
        log_ratios: the LLM's log-likelihood ratio of other texts to a text.
    Returns:
        Tokens of the edited hypothesis.
    """
    ids = hypotheses[0].ids
    text = text_of(ids)
    # Different tokens may spell one text: two such edits are one, and one that leaves the text alone is none.
    by_text: dict[str, Edit] = {text: Edit(0, 0, (), 0.0)}
    for edit in edits_of(hypotheses)[:MAX_EDITS]:
        by_text.setdefault(text_of(apply_edits(ids, [edit])), edit)
    (_, *others), (_, *edits) = by_text.keys(), by_text.values()
    if not edits:
        return ids
    ratios = log_ratios(text, others)
    gains = [edit.log_prob + LLM_WEIGHT * ratio for edit, ratio in zip(edits, ratios, strict=True)]
    made: list[Edit] = []
    for gain, edit in sorted(zip(gains, edits, strict=True), key=lambda pair: -pair[0]):
        if gain > 0 and not any(edit.excludes(other) for other in made):
            made.append(edit)
    return apply_edits(ids, made)


def beam_search(log_probs: np.ndarray, beam: int = BEAM) -> list[Hypothesis]:
    """Finds at most `beam` hypotheses by CTC prefix beam search, the likeliest first.

    Args:
        log_probs: of the blank (column 0) and each token at every step, [T, 1 + V].
        beam: prefixes that are kept from step to step; at least 1.
    Source:
        Hannun et al. 2014, arXiv:1408.2873; without the language model, which rescores the whole here.
    """
    tokens = log_probs[:, 1:]
    n_tried = min(TOKENS_A_STEP, tokens.shape[1])
    likeliest = np.argpartition(tokens, -n_tried, axis=1)[:, -n_tried:]
    # For each prefix: how likely it is to end in a blank here, and in its own last token.
    kept: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, _NEVER)}
    for step, best in zip(log_probs, likeliest.tolist(), strict=True):
        silent = float(step[BLANK])
        tried = [(new, log_prob) for new in best if (log_prob := float(step[1 + new])) >= LEAST_LOG_PROB]
        grown: dict[tuple[int, ...], tuple[float, float]] = {}
        for ids, (blank, token) in kept.items():
            either = _either(blank, token)
            held = token + float(step[1 + ids[-1]]) if ids else _NEVER
            before = grown.get(ids, (_NEVER, _NEVER))
            grown[ids] = _either(before[0], either + silent), _either(before[1], held)
            for new, log_prob in tried:
                longer = (*ids, new)
                # The same token again is a new one only after a blank.
                so_far = blank if ids and ids[-1] == new else either
                before = grown.get(longer, (_NEVER, _NEVER))
                grown[longer] = before[0], _either(before[1], so_far + log_prob)
        kept = dict(sorted(grown.items(), key=lambda item: -_either(*item[1]))[:beam])
    return [Hypothesis(ids, _either(*ends)) for ids, ends in kept.items()]


def _either(a: float, b: float) -> float:
    """Log-probability of one or the other."""
    high, low = max(a, b), min(a, b)
    return high if low == _NEVER else high + math.log1p(math.exp(low - high))
