"""What a clip may say: its likeliest wordings, and what the LLM would rather hear.

Steps of CTC do not hear each other, so the likeliest wording mixes words that sound alike ("the see was calm"). Other
wordings say something else here and there; each such change is taken if listener and LLM together find it likelier. A
dozen changes of single words stand for thousands of wordings, of which a list of the best holds few.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ..core.sequences import n_shared, n_shared_ends
from .ctc_listener import BLANK

BEAM = 64
"""Beginnings that are kept from step to step."""
TOKENS_A_STEP = 8
"""Likeliest tokens of a step that are tried."""
LEAST_LOG_PROB = -7.0
"""A less likely token is not tried."""
CHANGES = 16
"""Most changes that the LLM is asked about."""
LLM_WEIGHT = 0.4
"""Of the LLM's log-probability beside the listener's; 0.3 and 0.5 read as well."""

_NEVER = -math.inf


@dataclass(frozen=True)
class Wording:
    """One thing that a clip may say.

    Attributes:
        ids: its tokens, rows of the table.
        log_prob: of all alignments that the search kept, natural logarithm.
    """

    ids: tuple[int, ...]
    log_prob: float


@dataclass(frozen=True)
class Change:
    """What may be said in place of a part of a wording.

    Attributes:
        start, stop: the part, in tokens; nothing where they are equal.
        ids: what may be said there; nothing where they are none.
        log_prob: how much likelier the listener finds it, natural logarithm.
    """

    start: int
    stop: int
    ids: tuple[int, ...]
    log_prob: float

    def excludes(self, other: "Change") -> bool:
        """Whether both speak of one place."""
        return self.start < max(other.stop, other.start + 1) and other.start < max(self.stop, self.start + 1)


def changes_of(wordings: Sequence[Wording]) -> list[Change]:
    """How other wordings differ from the first, where in one place alone; the likeliest first."""
    best, *others = wordings
    found: dict[tuple[int, int, tuple[int, ...]], Change] = {}
    for other in others:
        start = n_shared(best.ids, other.ids)
        n_after = n_shared_ends(best.ids, other.ids)
        stop, ids = len(best.ids) - n_after, other.ids[start : len(other.ids) - n_after]
        if set(best.ids[start:stop]).isdisjoint(ids):  # else something in between stays
            found.setdefault((start, stop, ids), Change(start, stop, ids, other.log_prob - best.log_prob))
    return list(found.values())


def changed(ids: Sequence[int], changes: Iterable[Change]) -> tuple[int, ...]:
    """A wording with some changes, none of which excludes another."""
    out = list(ids)
    for change in sorted(changes, key=lambda change: change.start, reverse=True):
        out[change.start : change.stop] = change.ids
    return tuple(out)


def most_sensible(
    wordings: Sequence[Wording],
    text_of: Callable[[Sequence[int]], str],
    rather: Callable[[str, Sequence[str]], Sequence[float]],
) -> tuple[int, ...]:
    """The tokens that listener and LLM together find likeliest.

    Args:
        wordings: of one clip, the likeliest first; at least one.
        text_of: what tokens say.
        rather: how much rather the LLM would hear other texts than a text, logarithms (`ChatModel.rather`).
    """
    ids = wordings[0].ids
    text = text_of(ids)
    # Different tokens may say the same: two such changes are one, and one that says what is said already is none.
    by_text: dict[str, Change] = {text: Change(0, 0, (), 0.0)}
    for change in changes_of(wordings)[:CHANGES]:
        by_text.setdefault(text_of(changed(ids, [change])), change)
    (_, *others), (_, *changes) = by_text.keys(), by_text.values()
    if not changes:
        return ids
    wanted = rather(text, others)
    gains = [change.log_prob + LLM_WEIGHT * log_ratio for change, log_ratio in zip(changes, wanted, strict=True)]
    taken: list[Change] = []
    for gain, change in sorted(zip(gains, changes, strict=True), key=lambda pair: -pair[0]):
        if gain > 0 and not any(change.excludes(other) for other in taken):
            taken.append(change)
    return changed(ids, taken)


def likely_wordings(log_probs: np.ndarray, beam: int = BEAM) -> list[Wording]:
    """Wordings by CTC, the likeliest first.

    Args:
        log_probs: of the blank (column 0) and each token at every step, [T, 1 + V].
        beam: beginnings that are kept from step to step; at least 1.
    Returns:
        At most `beam`.
    Source:
        Prefix beam search, Hannun et al. 2014, arXiv:1408.2873; without a language model, which judges the whole here.
    """
    tokens = log_probs[:, 1:]
    n_tried = min(TOKENS_A_STEP, tokens.shape[1])
    likeliest = np.argpartition(tokens, -n_tried, axis=1)[:, -n_tried:]
    # For each beginning: how likely it is to end in a blank here, and in its own last token.
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
    return [Wording(ids, _either(*ends)) for ids, ends in kept.items()]


def _either(a: float, b: float) -> float:
    """Log-probability of one or the other."""
    high, low = max(a, b), min(a, b)
    return high if low == _NEVER else high + math.log1p(math.exp(low - high))
