"""What the LLM reads for speech while it trains: words where they are clear, mixtures of words where they are not.

In use the words are settled first (`model.wordings`). Here the loss has to reach the listener through them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from difflib import SequenceMatcher

import torch
from torch import Tensor

from ..model.ctc_listener import BLANK, Listener

CLEAR = 0.5
"""A token that is likelier than all others together is heard clearly."""


@dataclass(frozen=True)
class Heard:
    """A clip's words.

    Attributes:
        vectors: one for each token heard, blanks dropped and repeats merged, [T_heard, D_llm]: its word embedding where
            it is clear, else the mean of those that it may be, by how likely each is.
        ids: the likeliest token, int64 [T_heard].
    """

    vectors: Tensor
    ids: Tensor


def mixed_words(listener: Listener, vectors: Tensor, table: Tensor) -> Heard:
    """Drop blanks and merge what is one token held for several steps.

    What is heard clearly becomes the word embedding itself, as if it had been typed; what is not lies between those
    that it may be. (The projected vectors themselves lie nearest to their words, but not near enough for the LLM to
    know them, and even a slight mixture leads to another reply; see docs/hearing.md.)

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
    return Heard(torch.where(clear, table[ids], likely @ table), ids)


def as_written(heard: Heard, known: Tensor, tokenizer, embeddings: Callable[[list[int]], Tensor]) -> Tensor:
    """Vectors of what was heard, word for word as the LLM would write them.

    Rare words are heard in short pieces, which the LLM seldom sees side by side: such words become the embeddings of
    the tokens that they are written with. All else keeps its own vectors.

    Args:
        heard: one clip, read with a table of the known tokens.
        known: ids of these, int64 [V].
        tokenizer: the LLM's (`tokenizers.Tokenizer`).
        embeddings: word embeddings of a list of ids, [n, D_llm].
    Returns:
        [T_written, D_llm].
    """
    ids = known[heard.ids].tolist()
    written = tokenizer.encode(tokenizer.decode(ids), add_special_tokens=False).ids
    pieces = []
    for same, i, j, k, n in SequenceMatcher(None, ids, written, autojunk=False).get_opcodes():
        if same == "equal":
            pieces.append(heard.vectors[i:j])
        elif n > k:
            pieces.append(embeddings(written[k:n]).to(heard.vectors.dtype))
    return torch.cat(pieces) if pieces else heard.vectors
