"""Text as it is written, and clauses as they become whole, with the hidden states that carry their meaning."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.clauses import ClauseCutter, ends_sentence
from ..parts.ports import Clause, Reader, WrittenToken

MAX_SENTENCE_TOKENS = 200
"""How much of a sentence its feeling is read from."""
MAX_BEFORE_CHARS = 400
"""How much of a sentence the LLM reads before a clause of it."""
CUT_CHARS = 1_000
"""How much of a text is cut into clauses at once: the first clause does not wait for the cuts of the last one."""


@dataclass(frozen=True)
class TextPiece:
    """Text that was just written; joined, the pieces are the reply."""

    text: str


ClauseStream = Iterator[TextPiece | Clause]
"""Every piece of text, and each clause as soon as it is whole."""


class _Reading:
    """Reads clause after clause, each after what came before it in its sentence."""

    def __init__(self, reader: Reader):
        self._reader, self._sentence = reader, ""

    def read(self, words: str) -> Clause:
        clause = self._reader.read(words, before=self._sentence)
        # A clause is meant as part of its sentence, whose feeling goes on in it.
        self._sentence = "" if ends_sentence(words) else f"{self._sentence} {words}".strip()[-MAX_BEFORE_CHARS:]
        return clause


def clauses_of_text(text: str, reader: Reader) -> ClauseStream:
    """A given text clause by clause, each read when it is asked for."""
    cutter, reading = ClauseCutter(), _Reading(reader)
    for start in range(0, len(text) + CUT_CHARS, CUT_CHARS):
        piece = text[start : start + CUT_CHARS]
        for clause in cutter.add(piece) if piece else cutter.finish():
            read = reading.read(clause.strip())
            yield TextPiece(clause)
            yield Clause(clause, read.hidden_states, read.token_ids)


def clauses_of_tokens(tokens: Iterable[WrittenToken], reader: Reader) -> ClauseStream:
    """A reply as it is written.

    Args:
        tokens: of a `Writer`. Where they carry no hidden states, each clause is read by the reader.
        reader: for clauses whose writer keeps its states to itself.
    """
    cutter, reading = ClauseCutter(), _Reading(reader)
    waiting: deque[tuple[int, WrittenToken]] = deque()
    written = given = 0

    def clause_until(text: str, end: int) -> Clause:
        """A clause with the tokens that begin before `end`, counted in characters of the reply."""
        picked = []
        while waiting and waiting[0][0] < end:
            picked.append(waiting.popleft()[1])
        states = [token.hidden_state for token in picked if token.hidden_state is not None]
        if len(states) < len(picked) and text.strip():
            read = reading.read(text.strip())
            return Clause(text, read.hidden_states, read.token_ids)
        ids = tuple(token.token_id for token in picked if token.token_id is not None)
        return Clause(text, torch.stack(states) if states else None, ids if len(ids) == len(picked) else ())

    for token in tokens:
        waiting.append((written, token))
        written += len(token.text)
        clauses = cutter.add(token.text)
        yield TextPiece(token.text)
        for clause in clauses:
            given += len(clause)
            yield clause_until(clause, given)
    for clause in cutter.finish():
        yield clause_until(clause, written + 1)


class SentenceStates:
    """Hidden states of a sentence, clause by clause: a clause feels like the sentence that it belongs to."""

    def __init__(self) -> None:
        self._states: list[Tensor] = []

    def add(self, clause: Clause) -> Tensor | None:
        """States of the sentence up to the end of this clause, float32 [T_llm, D]; None without any."""
        if clause.hidden_states is not None:
            self._states.append(clause.hidden_states)
        so_far = torch.cat(self._states)[-MAX_SENTENCE_TOKENS:] if self._states else None
        # A line that ends without a full stop (an item of a list) is a sentence of its own too.
        over = ends_sentence(clause.text) or clause.text.rstrip(" ").endswith("\n")
        self._states = [] if over or so_far is None else [so_far]
        return so_far
