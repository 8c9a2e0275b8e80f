"""Turns CTC scores into embeddings for the LLM while the listener trains: tokens where they are clear, else mixtures.

In use the transcript is settled first (`model.ctc_hypotheses`). Here the loss has to reach the listener through it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from difflib import SequenceMatcher

import torch
from torch import Tensor

from ..model.ctc_listener import BLANK, CTCListener

CLEAR = 0.5
"""A token that is likelier than all others together is clear."""


@dataclass(frozen=True)
class MixedTokens:
    """A clip as the LLM's input embeddings.

    Attributes:
        vectors: one for each token, blanks dropped and repeats merged, [T_token, D_llm]: its word embedding where
            it is clear, else the mean of those that it may be, by how likely each is.
        ids: the likeliest token, int64 [T_token].
    """

    vectors: Tensor
    ids: Tensor


def mixed_tokens(listener: CTCListener, vectors: Tensor, table: Tensor) -> MixedTokens:
    """Drop blanks and merge what is one token held for several steps.

    A clear token becomes its word embedding, as if it had been typed; any other lies between those that it may be.
    (The projected vectors themselves lie nearest to their words, but not near enough for the LLM to know them, and even
    a slight mixture leads to another reply; see docs/listening.md.)

    Args:
        listener: whose vectors they are.
        vectors: of one clip, [T, D_llm].
        table: word embeddings [V, D_llm].
    Returns:
        `ids` are rows of the table.
    """
    scores = listener.scores(vectors, table)
    runs, lengths = torch.unique_consecutive(scores.argmax(-1), return_counts=True)
    kept = runs != BLANK
    ids = runs[kept] - 1
    likely = scores[:, 1:].softmax(-1)
    likely = torch.stack([piece.mean(0) for piece in likely.split(lengths.tolist())])[kept]
    clear = likely.gather(1, ids[:, None]) >= CLEAR
    return MixedTokens(torch.where(clear, table[ids], likely @ table), ids)


def as_written(mixed: MixedTokens, known: Tensor, tokenizer, embeddings: Callable[[list[int]], Tensor]) -> Tensor:
    """Respell a clip with the tokens that the LLM itself would write.

    Rare words come as short pieces, which the LLM seldom sees side by side: such words become the embeddings of
    the tokens that they are written with. All else keeps its own vectors.

    Args:
        mixed: one clip, made with a table of the known tokens.
        known: ids of these, int64 [V].
        tokenizer: the LLM's (`tokenizers.Tokenizer`).
        embeddings: word embeddings of a list of ids, [n, D_llm].
    Returns:
        [T_written, D_llm].
    """
    ids = known[mixed.ids].tolist()
    written = tokenizer.encode(tokenizer.decode(ids), add_special_tokens=False).ids
    pieces = []
    for same, i, j, k, n in SequenceMatcher(None, ids, written, autojunk=False).get_opcodes():
        if same == "equal":
            pieces.append(mixed.vectors[i:j])
        elif n > k:
            pieces.append(embeddings(written[k:n]).to(mixed.vectors.dtype))
    return torch.cat(pieces) if pieces else mixed.vectors
