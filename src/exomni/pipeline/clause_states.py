"""Words with what they mean: clauses as the LLM writes them, and its states of the sentence that each belongs to."""

from collections import deque
from collections.abc import Iterator

import torch

from ..core.clauses import ClauseCutter, ends_sentence

MOST_SENTENCE_TOKENS = 200
"""How much of a sentence its feeling is read from."""


def clauses_of_tokens(tokens) -> Iterator[tuple[str | None, tuple | None]]:
    """Text as it is written, and each clause with the states of its tokens as soon as it is whole.

    Args:
        tokens: of a reply (`model.chat.ChatModel.reply`).
    Yields:
        (new text, None) for each token; ("", (clause, float32 [T_llm, D] or None)) for each clause.
    """
    cutter = ClauseCutter()
    states: deque[tuple[int, torch.Tensor]] = deque()
    written = given = 0

    def states_until(end: int) -> torch.Tensor | None:
        picked = []
        while states and states[0][0] < end:
            picked.append(states.popleft()[1])
        return torch.stack(picked) if picked else None

    for token in tokens:
        states.append((written, token.state))
        written += len(token.text)
        clauses = cutter.add(token.text)
        yield token.text, None
        for clause in clauses:
            given += len(clause)
            yield "", (clause, states_until(given))
    for clause in cutter.finish():
        yield "", (clause, states_until(written + 1))


class Sentence:
    """The LLM's states of a sentence, clause by clause: a clause feels like the sentence that it belongs to."""

    def __init__(self) -> None:
        self._states: list[torch.Tensor] = []

    def add(self, clause: str, states: torch.Tensor | None) -> torch.Tensor | None:
        """States of the sentence up to the end of this clause, float32 [T_llm, D]; None without any.

        Args:
            clause: its words.
            states: of its tokens, float32 [T_llm, D]; None if there are none.
        """
        if states is not None:
            self._states.append(states)
        so_far = torch.cat(self._states)[-MOST_SENTENCE_TOKENS:] if self._states else None
        # A line that ends without a full stop (an item of a list) is a sentence of its own too.
        over = ends_sentence(clause) or clause.rstrip(" ").endswith("\n")
        self._states = [] if over or so_far is None else [so_far]
        return so_far
