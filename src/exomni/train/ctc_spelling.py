"""How texts are written as tokens for CTC: common words as the LLM writes them, rare ones in short pieces.

A token that training says three times is not learned, and one that it never says cannot be read at all. Short pieces
come up often, and sound much as they are spelled. Each word is always cut up alike: CTC decides on every piece by
itself, and where one word has several spellings, it mixes them.
"""

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterable

import torch

SPACE = "Ġ"
"""Stands for the space before a word in the LLM's vocabulary."""
LONGEST_PIECE = 4
"""Most letters of a piece."""
_SPELLABLE = re.compile(f"{SPACE}?[A-Za-z']+")


def short_tokenizer(tokenizer):
    """The same byte-pair encoding without the merges that make pieces of more than `LONGEST_PIECE` letters."""
    from tokenizers import Tokenizer

    made = json.loads(tokenizer.to_str())
    if "merges" in made["model"]:
        made["model"]["merges"] = [
            pair for pair in made["model"]["merges"]
            if len("".join(pair if isinstance(pair, list) else pair.split(" ")).removeprefix(SPACE)) <= LONGEST_PIECE
        ]  # fmt: skip
    return Tokenizer.from_str(json.dumps(made))


class Spelling:
    """Words of texts as tokens.

    Args:
        tokenizer: the LLM's (`tokenizers.Tokenizer`).
        texts: that are trained on; they say which words are rare.
        common: a word that they say as often is written as the LLM writes it.
    """

    def __init__(self, tokenizer, texts: Iterable[str], *, common: int = 5) -> None:
        self._tokenizer, self._short = tokenizer, short_tokenizer(tokenizer)
        texts = list(texts)
        counts = Counter(word for text in texts for word, _ in self._words(text))
        self._common = {word for word, n in counts.items() if n >= common}
        self._texts = texts

    def _words(self, text: str) -> list[tuple[str, list[int]]]:
        """Words of a text, each with the space before it, and how the LLM writes them."""
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        parts = zip(encoding.tokens, encoding.ids, encoding.word_ids, strict=True)
        words = []
        for _, word in itertools.groupby(parts, key=lambda part: part[2]):
            tokens, ids, _ = zip(*word, strict=True)
            words.append(("".join(tokens), list(ids)))
        return words

    def __call__(self, text: str) -> list[int]:
        """Tokens of a text."""
        out: list[int] = []
        for word, ids in self._words(text):
            if word in self._common or not _SPELLABLE.fullmatch(word):
                out += ids
            else:
                out += self._short.encode(word.replace(SPACE, " "), add_special_tokens=False).ids
        return out

    def known(self) -> torch.Tensor:
        """Ids of all tokens that the texts are written with, ascending, int64 [V]: what speech can be read as."""
        return torch.tensor(sorted({token for text in self._texts for token in self(text)}))
