"""SmolLM2 as writer and reader: replies token by token, with the hidden states that carry their meaning."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

import numpy as np
import torch

from ...core.errors import InputError
from ...core.sequences import n_shared_ends
from ...core.turns import Turn
from ...model.prompt import ASSISTANT, ASSISTANT_TURN, AUDIO_MARKER, USER_TURN
from ..ports import Clause, WrittenToken
from .graph_session import TOKENIZER_FILE, KVCache, LLMSession, Token

CONTEXT_TOKENS = 2048
"""What the LLM was tuned on; older turns are dropped beyond it."""
QUESTION_TOKENS = 256
"""Room that is kept for the next question."""
CACHE_TOKENS = 2 * CONTEXT_TOKENS
"""Room for a full context and a reply as long."""
MAX_CACHES = 4
"""Conversations whose KV caches are kept while others are held."""
MAX_THREADS = 4
"""More have nothing to share of a token's work."""
TOKENS_AFTER = 2
"""Tokens after a change of a text that are read to see what the LLM thinks of it; more read no better."""


class SmolLM:
    """A causal LLM on the CPU; several replies may be written at once.

    Args:
        folder: the converted LLM (`exomni.parts.smollm.conversion.LLM`).
        stamp: names the conversion (`exomni.assets.table.Converted.stamp`).
        n_threads: that work on one token; None for as many as torch uses, up to `MAX_THREADS`.

    What it reads with the adapters of `use_adapters` are turns with vectors of speech (beside typed words, see
    `exomni.pipeline.spoken_prompts`), and what it then writes are the replies to them; turns of text alone know
    nothing of them.
    """

    def __init__(self, folder: Path, n_threads: int | None = None, stamp: str = ""):
        from tokenizers import Tokenizer

        self.tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
        self.stamp = stamp
        self.end_id = self.tokenizer.token_to_id("<|im_end|>")
        self._n_threads, self._folder = n_threads or min(MAX_THREADS, torch.get_num_threads()), folder
        self._session = self._adapted = LLMSession(folder, self._n_threads)
        self._idle: list[KVCache] = []
        self._lock = Lock()

    def use_adapters(self, adapters: Mapping[str, np.ndarray]) -> None:
        """Have turns with vectors of speech read through low-rank adapters (`graph.adapted`)."""
        self._adapted = LLMSession(self._folder, self._n_threads, adapters)
        with self._lock:
            self._idle.clear()  # they hold speech as it was read without

    def embeddings(self, ids: Sequence[int]) -> np.ndarray:
        """The LLM's word embeddings of some tokens, float32 [len(ids), D]."""
        return self._session.embed(ids)

    def prompt(self, turns: Sequence[Turn]) -> str:
        """The conversation as the LLM reads it, up to where its reply begins; `AUDIO_MARKER` stands for speech."""
        # Without a system message: the small LLM answers facts better so (measured, docs/experiments.md).
        return "".join(map(_turn_text, turns)) + ASSISTANT

    def write(
        self,
        turns: Sequence[Turn],
        *,
        max_new_tokens: int = 256,
        temperature: float = 0.0,
        repetition_penalty: float = 1.05,
        seed: int = 0,
    ) -> Iterator[WrittenToken]:
        """Write a reply, token by token; stop iterating to stop the work.

        What an earlier reply has read of the same conversation is not read again, and makes no difference to this
        one: the same conversation gets the same reply, bit for bit.

        Args:
            turns: the conversation; its last turn is the user's.
            max_new_tokens: longest reply.
            temperature: 0 takes the likeliest token.
            repetition_penalty: above 1, tokens that the reply already has become less likely.
            seed: of the draws at a temperature above 0.
        """
        pieces = self._pieces(turns)
        generator = torch.Generator().manual_seed(seed)
        written, text = [], ""
        with self._borrowed_cache(pieces) as cache:
            for piece in pieces[len(cache.pieces) :]:
                session = self._session_for(piece)
                output = session.prefill_piece(cache, piece)
            for _ in range(min(max_new_tokens, cache.capacity - cache.length)):
                if written:
                    output = session.forward(cache, written[-1:])
                token = _choose(torch.from_numpy(output.logits), written, temperature, repetition_penalty, generator)
                if token == self.end_id:
                    break
                written.append(token)
                whole = self.tokenizer.decode(written)
                new = "" if whole.endswith("�") else whole[len(text) :]
                text += new
                yield WrittenToken(new, torch.from_numpy(output.states[-1]), token)

    def prefill(self, turns: Sequence[Turn]) -> Iterator[None]:
        """Read the reply that a conversation ends with, so that the answer to what comes next begins sooner.

        Nothing is done where no KV cache holds the conversation before it any more.

        Args:
            turns: the conversation, of two turns at least; the last is the assistant's.
        Yields:
            After each step; stop iterating to stop the work.
        """
        before, pieces = self._pieces(turns[:-1]), self._pieces(turns)
        with self._cache_after(before, pieces) as cache:
            if cache is None:
                return
            for piece in pieces[len(cache.pieces) :]:
                for _ in self._session_for(piece).prefill_steps(cache, piece):
                    yield

    @contextmanager
    def _cache_after(self, before: list[list[Token]], pieces: list[list[Token]]) -> Iterator[KVCache | None]:
        """A cache for pieces, if one has all that was before them; None else."""
        with self._lock:
            # The one that has least beyond it: what another conversation goes on from stays.
            ready = (m for m in self._idle if m.shared(before) == len(before))
            cache = min(ready, key=lambda m: len(m.pieces), default=None)
            goes_on = pieces[: len(before)] == before
            if cache is not None and goes_on:
                self._idle.remove(cache)
        if cache is None:
            yield None
        elif goes_on:
            with self._returned(cache):
                cache.rewind(cache.shared(pieces))
                yield cache
        else:  # The beginning is forgotten. The reply may yet be cut short, and then is not: that cache is kept.
            with self._borrowed_cache([*pieces, []]) as other:
                yield other

    def hidden_states(self, text: str, prompt: str = "", before: str = "") -> torch.Tensor:
        """States of a given reply, as `reply` would give them had the LLM written it.

        Args:
            text: the reply, or the next part of it.
            prompt: the user's turn that it answers ("" for none).
            before: the reply up to `text`; its own states are not given.
        Returns:
            float32 [T_llm, D]; row i predicted token i.
        Raises:
            InputError: the text is longer than the LLM's cache.
        """
        read = self._ids((USER_TURN.format(_plain(prompt)) if prompt else "") + ASSISTANT)
        if before:
            read, text = read + self._ids(_plain(before)), f" {text}"
        tokens = self._ids(_plain(text))
        if len(read) + len(tokens) > CACHE_TOKENS:
            raise InputError(f"the text has {len(tokens)} tokens; {CACHE_TOKENS - len(read)} fit the LLM's cache")
        with self._borrowed_cache([]) as cache:
            # The last token predicts nothing that is wanted.
            states = self._session.prefill_piece(cache, (read + tokens)[:-1]).states
            cache.rewind(0)
        return torch.from_numpy(states[len(read) - 1 :])

    def read(self, text: str, prompt: str = "", before: str = "") -> Clause:
        """A clause of a given reply with its hidden states (`Reader`); see `hidden_states`."""
        return Clause(text, self.hidden_states(text, prompt, before))

    def log_likelihood_ratios(self, text: str, others: Sequence[str]) -> list[float]:
        """How likely a user says other texts, each one change away from a text, against that text.

        It reads on for `TOKENS_AFTER` beyond the change: what comes later hardly tells them apart.

        Returns:
            The log-likelihood ratio of each; below 0 where the text is likelier.
        """
        before, after = (self._ids(part) for part in USER_TURN.split("{}"))
        own, *changed = ([*self._ids(_plain(said)), after[0]] for said in (text, *others))
        # How many tokens, from the last on, are not looked at.
        unread = [max(0, n_shared_ends(own, run) - TOKENS_AFTER) for run in changed]
        runs = [own, *(run[: len(run) - n] for run, n in zip(changed, unread, strict=True))]
        # One of its own: those of conversations are worth keeping.
        cache = self._session.new_cache(len(before) + max(map(len, runs)))
        likely, *found = self._session.log_probs(cache, before, runs)
        return [float(run.sum() - likely[: len(own) - n].sum()) for run, n in zip(found, unread, strict=True)]

    def _ids(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def _session_for(self, piece: list[Token]) -> LLMSession:
        return self._adapted if any(isinstance(token, bytes) for token in piece) else self._session

    def _pieces(self, turns: Sequence[Turn]) -> list[list[Token]]:
        """Tokens of the conversation's latest part, cut where a reply begins and where it ends.

        What was kept when the beginning was forgotten is one piece: it must be read again, and in short pieces that
        takes a quarter longer (measured, docs/serving.md).
        """
        first, after_joined = self._kept_turns(turns)
        clips = (part for turn in turns[first:] for part in _parts(turn) if not isinstance(part, str))
        joined = turns[first:after_joined]
        if any(not isinstance(part, str) for turn in joined for part in _parts(turn)):
            joined = []  # text is read without the adapters that speech is read with
        texts = ["".join(map(_turn_text, joined)), ""] if joined else [""]
        for turn in turns[first + len(joined) :]:
            if turn.role == "assistant":
                texts[-1] += ASSISTANT
                texts += [_turn_text(turn).removeprefix(ASSISTANT), ""]
            else:
                texts[-1] += _turn_text(turn)
        texts[-1:] = [texts[-1] + ASSISTANT] if turns[-1].role == "user" else []
        return [self._tokens(text, clips)[-CONTEXT_TOKENS:] for text in texts]

    def _tokens(self, text: str, clips: Iterator[np.ndarray]) -> list[Token]:
        """A text's tokens, with the next clip's vectors wherever it says `AUDIO_MARKER`."""
        first, *others = text.split(AUDIO_MARKER)
        tokens: list[Token] = [*self._ids(first)]
        for after, clip in zip(others, clips, strict=False):
            tokens += [np.ascontiguousarray(row, np.float32).tobytes() for row in clip]
            tokens += self._ids(after)
        return tokens

    def _kept_turns(self, turns: Sequence[Turn]) -> tuple[int, int]:
        """Indices of the first turn that is kept, and of the first that was not there when others were forgotten.

        A full cache forgets half at once: dropping a turn a reply would change the beginning, and with it what
        all later rows hold, every time. It counts as full after a reply, where the next question may not fit: there
        is time to read what is kept before that comes.
        """
        lengths = [len(self._tokens(_turn_text(t), (p for p in _parts(t) if not isinstance(p, str)))) for t in turns]
        first = question = after_joined = 0
        for i, turn in enumerate(turns):
            if turn.role == "user":
                question = i
            room = CONTEXT_TOKENS if turn.role == "user" else CONTEXT_TOKENS - QUESTION_TOKENS
            if sum(lengths[first : i + 1]) <= room:
                continue
            began = first
            while first < question and (
                turns[first].role != "user" or sum(lengths[first : i + 1]) > CONTEXT_TOKENS // 2
            ):
                first += 1
            if first > began:
                after_joined = question if turn.role == "user" else i + 1
        return first, after_joined

    @contextmanager
    def _borrowed_cache(self, pieces: list[list[Token]]) -> Iterator[KVCache]:
        """A cache for one text, holding as many of its pieces as one has, short of the last."""
        with self._lock:
            best = max(self._idle, key=lambda m: (m.shared(pieces[:-1]), -len(m.pieces)), default=None)
            lost = best is not None and best.pieces and not best.shared(pieces[:-1])
            if best is None or (lost and len(self._idle) < MAX_CACHES):
                best = self._session.new_cache(CACHE_TOKENS)
            else:
                self._idle.remove(best)
        with self._returned(best):
            best.rewind(best.shared(pieces[:-1]))
            yield best

    @contextmanager
    def _returned(self, cache: KVCache) -> Iterator[None]:
        try:
            yield
        finally:
            with self._lock:
                self._idle.append(cache)
                del self._idle[:-MAX_CACHES]


def _parts(turn: Turn) -> list[str | np.ndarray]:
    """A turn's texts and vectors."""
    return [piece if isinstance(piece, np.ndarray) else str(piece) for piece in turn.pieces]


def _turn_text(turn: Turn) -> str:
    text = "".join(_plain(part) if isinstance(part, str) else AUDIO_MARKER for part in _parts(turn))
    return {"user": USER_TURN, "assistant": ASSISTANT_TURN}[turn.role].format(text)


def _plain(text: str) -> str:
    """Text in which nobody can write the markers that end a turn."""
    text = "".join(c for c in text if not "\ud800" <= c <= AUDIO_MARKER)  # lone surrogates are no characters
    return text.replace("<|im_start|>", "< |im_start| >").replace("<|im_end|>", "< |im_end| >")


def _choose(
    logits: torch.Tensor, before: list[int], temperature: float, penalty: float, generator: torch.Generator
) -> int:
    if penalty != 1.0 and before:
        seen = torch.tensor(sorted(set(before)))
        values = logits[seen]
        logits[seen] = torch.where(values > 0, values / penalty, values * penalty)
    if temperature == 0:
        return int(logits.argmax())
    return int(torch.multinomial((logits / temperature).softmax(-1), 1, generator=generator))
