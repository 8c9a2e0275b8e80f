"""Stage "reading": warms the projector up by CTC over the LLM's tokens, without the LLM in the loop.

The LLM's own word embeddings are the frozen classifier, so what the projector puts out lies where the LLM expects
words (our choice; the paper trains stage I through the LLM at once).
"""

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from ..core.word_errors import WordErrors, count_word_errors
from ..data.asr_build import ASRRow
from ..model.config import SpeechProjectorConfig
from ..model.ctc_listener import CTCListener
from .loop import load_modules, rows_of_one_length, weights_of

N_STATISTICS_ROWS = 300
"""Rows that the mean and spread of the encoder's channels are taken from."""
LATER_LAYERS = "listener.projector.context."
"""What the first release of the listener did not have."""
MASK_FRAMES, N_MASKS = 15, 4
"""Longest piece of a training row that is hidden, and most pieces."""
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
    """Writes texts as tokens for CTC: common words as the LLM writes them, rare ones in short pieces.

    A token that training says three times is not learned, and one that it never says cannot be read at all. Short
    pieces come up often, and sound much as they are spelled. Each word is always cut up alike: CTC decides on every
    piece by itself, and where one word has several spellings, it mixes them.

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


class CTCTask:
    """Trains the listener by CTC to score the tokens of a row's text.

    Args:
        train, held_out: rows to train on, and to validate on.
        table: the LLM's word embeddings, float [n_tokens, D].
        tokenizer: the LLM's (`tokenizers.Tokenizer`); rare words are learned in short pieces (`Spelling`).
        config: of the projector.
        n_rivals: tokens that a step's own compete with, drawn at random: all of them would cost most of a step.
        noise: standard deviation of the noise on encoder channels, each of which has 1.
        seed: of the initial weights.
    """

    def __init__(
        self, train: Sequence[ASRRow], held_out: Sequence[ASRRow], table: torch.Tensor, tokenizer,
        config: SpeechProjectorConfig, *, n_rivals: int = 4000, noise: float = 0.2, seed: int = 0,
    ):  # fmt: skip
        torch.manual_seed(seed)
        self.rows = sorted(train, key=lambda r: len(r.features))
        self.held_out, self.tokenizer = list(held_out), tokenizer
        self.n_rivals, self.noise = n_rivals, noise
        spelling = Spelling(tokenizer, (r.text for r in self.rows))
        self._ids = [torch.tensor(spelling(r.text)) for r in self.rows]
        self.known = torch.cat(self._ids).unique()
        self.table = table.float()
        self.listener = CTCListener(self.rows[0].features.shape[1], table.shape[1], config)
        self._set_statistics()
        self.modules: dict[str, nn.Module] = {"listener": self.listener}

    def _set_statistics(self) -> None:
        step = max(1, len(self.rows) // N_STATISTICS_ROWS)
        frames = np.concatenate([r.features for r in self.rows[::step]]).astype(np.float32)
        centre = self.table[self.known].mean(0)
        with torch.no_grad():
            self.listener.mean.copy_(torch.from_numpy(frames.mean(0)))
            self.listener.std.copy_(torch.from_numpy(frames.std(0)))
            self.listener.projector.contract.bias.copy_(centre)
            self.listener.blank.copy_(centre)

    def start_from(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Begin with what an earlier release has learned; layers that it did not have yet stay new.

        Raises:
            CheckpointError: a missing, surplus or misshapen tensor other than those layers.
        """
        new = {k: v for k, v in weights_of(self.modules).items() if k.startswith(LATER_LAYERS)}
        load_modules(self.modules, new | dict(weights))

    def batch(self, generator: torch.Generator, size: int) -> dict[str, torch.Tensor]:
        """Rows of about one length, noisy and with holes, and the tokens that compete."""
        size = min(size, len(self.rows))
        picks = rows_of_one_length(len(self.rows), size, generator)
        frames, lengths = pad_frames([self.rows[i].features for i in picks])
        for row, length in zip(frames, lengths.tolist(), strict=True):
            for _ in range(int(torch.randint(N_MASKS + 1, (1,), generator=generator))):
                n, at = torch.randint(1, MASK_FRAMES + 1, (1,), generator=generator), torch.rand(1, generator=generator)
                start = int(at * length)
                row[start : start + int(n)] = self.listener.mean.cpu()
        frames = with_noise(frames, self.listener.std.cpu() * self.noise, generator)
        rivals = self.known[torch.randint(len(self.known), (self.n_rivals,), generator=generator)]
        wanted = [self._ids[i] for i in picks]
        candidates = torch.unique(torch.cat([rivals, *wanted]))
        return {
            "frames": frames, "lengths": lengths, "candidates": candidates,
            "targets": torch.cat([torch.searchsorted(candidates, w) + 1 for w in wanted]),
            "target_lengths": torch.tensor([len(w) for w in wanted]),
        }  # fmt: skip

    def losses(self, batch: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """CTC, a token of the text."""
        device = batch["frames"].device
        table = self.table.to(device)[batch["candidates"]]
        with torch.autocast(device.type, torch.bfloat16):  # more than twice as fast, on CPUs that know it too
            vectors = self.listener(batch["frames"], batch["lengths"])
            scores = self.listener.scores(vectors, table)
        scores = scores.float().log_softmax(-1)
        n_steps = batch["lengths"] // self.listener.projector.stack_frames
        loss = functional.ctc_loss(scores.transpose(0, 1), batch["targets"], n_steps, batch["target_lengths"],
                                   zero_infinity=True, reduction="sum")  # fmt: skip
        return {"total": loss / batch["target_lengths"].sum()}

    def validate(self) -> dict[str, float]:
        """Word errors of the greedy transcript, by group of voices."""
        device = next(self.listener.parameters()).device
        table = self.table[self.known].to(device)
        errors: dict[str, WordErrors] = {}
        for row in self.held_out:
            frames = torch.from_numpy(row.features.astype(np.float32))[None].to(device)
            ids = self.listener.greedy_tokens(self.listener(frames)[0], table).cpu()
            text = self.tokenizer.decode(self.known[ids].tolist())
            errors[row.group] = errors.get(row.group, WordErrors(0, 0, 0, 0)) + count_word_errors(row.text, text)
        return {f"wer_{group}": 100 * e.rate for group, e in sorted(errors.items())}

    def facts(self) -> dict:
        """Configuration of what is trained."""
        return {"rows": len(self.rows), "tokens": len(self.known), "n_rivals": self.n_rivals, "noise": self.noise}


def pad_frames(features: Sequence[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of encoder frames [T, D] as one float32 batch [B, T, D], and their lengths int64 [B]."""
    lengths = torch.tensor([len(f) for f in features])
    out = torch.zeros(len(features), int(lengths.max()), features[0].shape[1])
    for row, f in zip(out, features, strict=True):
        row[: len(f)] = torch.from_numpy(f.astype(np.float32))
    return out, lengths


def with_noise(frames: torch.Tensor, scale: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Add normal noise to a batch of frames [B, T, D]: up to `scale` [D], at a level drawn for each row."""
    level = torch.rand(len(frames), 1, 1, generator=generator)
    return frames + level * scale * torch.randn(frames.shape, generator=generator)
