"""How texts are written as tokens for CTC: common words as the LLM writes them, rare ones in short pieces.

A token that training says three times is not learned, and one that it never says cannot be read at all. Pieces of two
to four letters come up often, and sound much as they are spelled.
"""

import itertools
import random
import re
from collections import Counter
from collections.abc import Iterable, Sequence

import torch

SPACE = "Ġ"
"""Stands for the space before a word in the LLM's vocabulary."""
PIECE_LETTERS = (2, 3, 4)
N_SPELLINGS = 4
"""Ways in which each word is cut up."""
_SPELLABLE = re.compile(f"{SPACE}?[A-Za-z']{{4,}}")


class Spelling:
    """Words of texts as tokens.

    Args:
        tokenizer: the LLM's (`tokenizers.Tokenizer`).
        texts: that are trained on; they say which words are rare.
        common: a word that they say as often is written as the LLM writes it.
        share: of the common words that are cut up all the same, for the sake of the pieces.
    """

    def __init__(self, tokenizer, texts: Iterable[str], *, common: int = 6, share: float = 0.15) -> None:
        self.tokenizer, self.common, self.share = tokenizer, common, share
        self._vocabulary = tokenizer.get_vocab()
        self._counts: Counter[str] = Counter()
        self._written: dict[str, list[int]] = {}
        for text in texts:
            self._counts.update(self.words(text))
        self._spelled = {word: self._spellings(word) for word in self._counts if _SPELLABLE.fullmatch(word)}

    def words(self, text: str) -> list[str]:
        """Words of a text, each with the space before it."""
        encoding, words = self.tokenizer.encode(text, add_special_tokens=False), []
        parts = zip(encoding.tokens, encoding.ids, encoding.word_ids, strict=True)
        for _, word in itertools.groupby(parts, key=lambda part: part[2]):
            tokens, ids, _ = zip(*word, strict=True)
            words.append("".join(tokens))
            self._written[words[-1]] = list(ids)
        return words

    def _spellings(self, word: str) -> list[list[int]]:
        """Ways to cut a word up, always the same ones; none where its letters are no tokens."""
        rng, found = random.Random(word), []
        for _ in range(N_SPELLINGS):
            pieces = self._cut(word, rng)
            if pieces and pieces not in found:
                found.append(pieces)
        return found

    def _cut(self, word: str, rng: random.Random) -> list[int] | None:
        pieces, at = [], 0
        while at < len(word):
            space = word[at] == SPACE
            sizes = [n for n in PIECE_LETTERS if word[at : at + n + space] in self._vocabulary]
            # A lone last letter would be a piece of its own: it goes with those before it.
            sizes = [n for n in sizes if len(word) - at - n - space != 1] or sizes
            if not sizes:
                return None
            end = at + rng.choice(sizes) + space
            pieces.append(self._vocabulary[word[at:end]])
            at = end
        return pieces

    def known(self) -> torch.Tensor:
        """Ids of all tokens that these texts may be written with, ascending, int64 [V]."""
        ways = [self._written[word] for word in self._counts]
        ways += [way for spelled in self._spelled.values() for way in spelled]
        return torch.tensor(sorted({token for way in ways for token in way}))

    def draw(self, words: Sequence[str], generator: torch.Generator) -> torch.Tensor:
        """Tokens of a text's words, int64 [T_text].

        Args:
            words: of `words`.
            generator: draws which common words are cut up, and how.
        """
        chance = torch.rand(len(words), 2, generator=generator).tolist()
        out: list[int] = []
        for word, (first, second) in zip(words, chance, strict=True):
            spelled = self._spelled.get(word)
            if spelled and (self._counts[word] < self.common or first < self.share):
                out += spelled[int(second * len(spelled))]
            else:
                out += self._written[word]
        return torch.tensor(out, dtype=torch.long)
