"""Runs the LLM's graph: forward passes over tokens with a KV cache give hidden states and logits."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ...core.sequences import n_shared
from ..onnx import open_session
from .graph import EMBEDDINGS, LAST_ROW, LOGITS, ROWS, STATES, adapted, cache_names

GRAPH_FILE, EMBEDDINGS_FILE, TOKENIZER_FILE = "llm.onnx", "embeddings.npy", "tokenizer.json"
ROWS_AT_ONCE = 256
"""Longest run of tokens read in one go; the scores of attention grow with it."""
SCORED_AT_ONCE = 64
"""Rows whose next tokens are scored in one go: 12 MB of scores."""

Token = int | bytes
"""What the LLM reads: a token's id, or the bytes of a vector in its place, float32 [D], for speech."""


@dataclass
class KVCache:
    """Keys and values of what an LLM has read.

    Attributes:
        rows: the keys and values; the bindings do not keep them alive.
        capacity: most rows.
        bindings: tie them to the sessions that have read into them, which write where they lie.
        length: rows that are filled.
        pieces: tokens of the pieces that were read whole, in order, from the first row on; rows after them are scrap.
    """

    rows: list
    capacity: int
    bindings: dict = field(default_factory=dict)
    length: int = 0
    pieces: list[list[Token]] = field(default_factory=list)

    def shared(self, pieces: list[list[Token]]) -> int:
        """How many of these pieces, from the first on, are here already."""
        return n_shared(pieces, self.pieces)

    def rewind(self, n_pieces: int) -> None:
        """Forget all but the first pieces."""
        del self.pieces[n_pieces:]
        self.length = sum(map(len, self.pieces))


@dataclass(frozen=True)
class ForwardOutput:
    """What a forward pass over tokens gave.

    Attributes:
        states: after the final norm, float32 [T, D].
        logits: scores of the token after the last, float32 [n_tokens].
    """

    states: np.ndarray
    logits: np.ndarray


class SmolVocabulary:
    """The LLM's tokens without the LLM (`Vocabulary`).

    Args:
        folder: the converted LLM.
    """

    def __init__(self, folder: Path):
        from tokenizers import Tokenizer

        self._folder = folder
        self.tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))

    def embeddings(self) -> np.ndarray:
        """All word embeddings, float32 [n_tokens, D]."""
        return np.load(self._folder / EMBEDDINGS_FILE).astype(np.float32)


class LLMSession:
    """The graph in ONNX Runtime, on the CPU.

    Args:
        folder: holds the graph and the token table.
        n_threads: that work on one token.
        adapters: low-rank changes of the graph (`graph.adapted`), by name; None for the graph as it is.
    """

    def __init__(self, folder: Path, n_threads: int, adapters: Mapping[str, np.ndarray] | None = None):
        graph = folder / GRAPH_FILE
        # Between two tokens other parts work: threads that wait for the next must leave them the cores.
        settings = {"session.force_spinning_stop": "1"}
        self._session = open_session(graph if adapters is None else adapted(str(graph), adapters), n_threads, settings)
        self._embeddings = np.load(folder / EMBEDDINGS_FILE, mmap_mode="r")
        shapes = {i.name: i.shape for i in self._session.get_inputs()}
        self._n_layers = sum(name.startswith("past_keys_") for name in shapes)
        _, self._n_kv_heads, _, self._head_dim = shapes["past_keys_0"]

    def new_cache(self, capacity: int) -> KVCache:
        """An empty cache; the system gives it room only as it fills."""
        from onnxruntime import OrtValue

        shape = (1, self._n_kv_heads, capacity, self._head_dim)
        rows = [OrtValue.ortvalue_from_numpy(np.zeros(shape, np.float32)) for _ in range(2 * self._n_layers)]
        return KVCache(rows, capacity)

    def _binding(self, cache: KVCache) -> Any:
        """The cache's place in this session; another session of the same sizes may have one too."""
        if self not in cache.bindings:
            binding = cache.bindings[self] = self._session.io_binding()
            _take_outputs(binding)
            for side, bind in (("past", binding.bind_ortvalue_input), ("present", binding.bind_ortvalue_output)):
                for name, value in zip(cache_names(self._n_layers, side), cache.rows, strict=True):
                    bind(name, value)
        return cache.bindings[self]

    def embed(self, tokens: Sequence[Token]) -> np.ndarray:
        """What the graph reads for tokens, float32 [T, D]."""
        if not any(isinstance(token, bytes) for token in tokens):
            return self._embeddings[tokens].astype(np.float32)
        rows = [np.frombuffer(t, np.float32) if isinstance(t, bytes) else self._embeddings[t] for t in tokens]
        return np.stack(rows).astype(np.float32)

    def log_probs(self, cache: KVCache, before: Sequence[Token], runs: Sequence[list[int]]) -> list[np.ndarray]:
        """How likely each token of some runs is after what comes before it, natural logarithms, float32 [n] each.

        Args:
            cache: an empty one; afterwards it holds scrap.
            before: where every run begins; at least one token.
            runs: at least one token each; what several begin with is read once.
        """
        states = [self.forward(cache, before).states[-1]]
        asked: list[tuple[int, int]] = []  # place of a state, and a token that may follow it
        answers: dict[int, list[int]] = {}  # places in `asked` of each run's tokens
        last, seen, places = [], [0], []  # of the last run: its tokens, the states before each, places in `asked`
        # In this order each shares as much as it can with the one before it.
        for i in sorted(range(len(runs)), key=runs.__getitem__):
            # A run's last token is not read: it is asked about, and what follows it is not.
            run, shared = runs[i], n_shared(last[:-1], runs[i])
            cache.length = len(before) + shared
            seen, places, last = seen[: shared + 1], places[:shared], run
            for start in range(shared, len(run) - 1, ROWS_AT_ONCE):
                read = self.forward(cache, run[start : min(start + ROWS_AT_ONCE, len(run) - 1)]).states
                seen += range(len(states), len(states) + len(read))
                states += [*read]
            places += range(len(asked), len(asked) + len(run) - shared)
            asked += zip(seen[shared:], run[shared:], strict=True)
            answers[i] = places
        found = self._next_log_probs(np.stack([states[place] for place, _ in asked]), [token for _, token in asked])
        return [found[answers[i]] for i in range(len(runs))]

    def _next_log_probs(self, states: np.ndarray, tokens: list[int]) -> np.ndarray:
        """How likely a token is after each state, float32 [T]; the graph itself scores the last row alone."""
        import torch

        found = []
        for rows, wanted in zip(
            torch.from_numpy(states).split(SCORED_AT_ONCE), torch.tensor(tokens).split(SCORED_AT_ONCE), strict=True
        ):
            scores = rows @ self._head
            found.append(scores.gather(1, wanted[:, None])[:, 0] - scores.logsumexp(1))
        return torch.cat(found).numpy()

    @cached_property
    def _head(self) -> Any:
        """The LLM's head, to which the word embeddings are tied, float32 [D, n_tokens]: 113 MB for SmolLM2-135M."""
        import torch

        return torch.from_numpy(self._embeddings.astype(np.float32)).T

    def prefill_piece(self, cache: KVCache, ids: Sequence[Token]) -> ForwardOutput:
        """Read a piece of text that later conversations may share.

        Equal pieces after equal pieces give bit for bit the same rows, so a cache that has them need not read
        them again. (A text cut into other pieces would not: sums then run in another order.)
        """
        outputs = [*self.prefill_steps(cache, ids)]
        return ForwardOutput(np.concatenate([r.states for r in outputs]), outputs[-1].logits)

    def prefill_steps(self, cache: KVCache, ids: Sequence[Token]) -> Iterator[ForwardOutput]:
        """Read a piece in steps; the cache has it after the last."""
        assert cache.length == sum(map(len, cache.pieces))
        for i in range(0, len(ids), ROWS_AT_ONCE):
            yield self.forward(cache, ids[i : i + ROWS_AT_ONCE])
        cache.pieces.append([*ids])

    def forward(self, cache: KVCache, ids: Sequence[Token]) -> ForwardOutput:
        """Read tokens: their keys and values go into the cache's next rows."""
        rows = cache.length + len(ids)
        assert rows <= cache.capacity
        inputs = {
            EMBEDDINGS: self.embed(ids)[None],
            ROWS: np.array(rows, np.int32),
            LAST_ROW: np.array([rows - 1], np.int32),
        }
        binding = self._binding(cache)
        for name, value in inputs.items():
            binding.bind_cpu_input(name, value)
        _take_outputs(binding)
        self._session.run_with_iobinding(binding)
        cache.length = rows
        # Copied: whether such an array keeps its values alive differs between versions of ONNX Runtime.
        states, logits = (value.numpy().copy() for value in binding.get_outputs()[:2])
        return ForwardOutput(states[0], logits[0, 0])


def _take_outputs(binding: Any) -> None:
    """Have new arrays made for the outputs beside the cache; bound first, they come first."""
    binding.bind_output(STATES)
    binding.bind_output(LOGITS)
