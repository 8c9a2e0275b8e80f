"""The LLM of `nano` as a talker: replies token by token, with the hidden states that carry their meaning."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import numpy as np
import torch

from ...core.errors import InputError
from ...core.sequences import n_shared_ends
from ...core.turns import Turn
from .session import TOKENIZER_FILE, LLMSession, Memory, Token

SYSTEM_FREE_USER = "<|im_start|>user\n{}<|im_end|>\n"
ASSISTANT = "<|im_start|>assistant\n"
ASSISTANT_TURN = ASSISTANT + "{}<|im_end|>\n"
CONTEXT_TOKENS = 2048
"""What the LLM was tuned on; older turns are dropped beyond it."""
QUESTION_TOKENS = 256
"""Room that is kept for the next question."""
MEMORY_TOKENS = 2 * CONTEXT_TOKENS
"""Room for a full context and a reply as long."""
MEMORIES = 4
"""Conversations that are remembered while others are held."""
MOST_THREADS = 4
"""More have nothing to share of a token's work."""
TOKENS_AFTER = 2
"""Tokens after a change of a text that are read to see what the LLM thinks of it; more read no better."""
SPEECH = "\ue000"
"""Stands in a turn's text where speech belongs; a character that no language uses."""


@dataclass(frozen=True)
class ChatToken:
    """One token of a reply.

    Attributes:
        text: the characters that it completes ("" while a character is unfinished).
        state: the state that predicted it, after the final norm, float32 [D].
    """

    text: str
    state: torch.Tensor


class ChatModel:
    """A causal LLM on the CPU; several replies may be written at once.

    Args:
        folder: the converted LLM (`exomni.parts.smollm.conversion.LLM`).
        n_threads: that work on one token; None for as many as torch uses, up to `MOST_THREADS`.

    What it reads with the adapters of `listen_with` are turns with vectors of speech (beside typed words, see
    `exomni.pipeline.spoken_prompts`), and what it then writes are the replies to them; turns of text alone know
    nothing of them.
    """

    def __init__(self, folder: Path, n_threads: int | None = None):
        from tokenizers import Tokenizer

        self.tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
        self.end_id = self.tokenizer.token_to_id("<|im_end|>")
        self._n_threads, self._folder = n_threads or min(MOST_THREADS, torch.get_num_threads()), folder
        self._session = self._listening = LLMSession(folder, self._n_threads)
        self._idle: list[Memory] = []
        self._lock = Lock()

    def listen_with(self, adapters: Mapping[str, np.ndarray]) -> None:
        """Have turns with vectors of speech read through low-rank adapters (`llm_graph.adapted`)."""
        self._listening = LLMSession(self._folder, self._n_threads, adapters)
        with self._lock:
            self._idle.clear()  # they hold speech as it was read without

    def embeddings(self, ids: Sequence[int]) -> np.ndarray:
        """The LLM's word embeddings of some tokens, float32 [len(ids), D]."""
        return self._session.rows_of(ids)

    def prompt(self, turns: Sequence[Turn]) -> str:
        """The conversation as the LLM reads it, up to where its reply begins; `SPEECH` stands for speech."""
        # Without a system message: the small LLM answers facts better so (measured, docs/experiments.md).
        return "".join(map(_turn_text, turns)) + ASSISTANT

    def reply(
        self,
        turns: Sequence[Turn],
        *,
        max_new_tokens: int = 256,
        temperature: float = 0.0,
        repetition_penalty: float = 1.05,
        seed: int = 0,
    ) -> Iterator[ChatToken]:
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
        with self._memory(pieces) as memory:
            for piece in pieces[len(memory.pieces) :]:
                session = self._session_for(piece)
                reading = session.read_piece(memory, piece)
            for _ in range(min(max_new_tokens, memory.capacity - memory.length)):
                if written:
                    reading = session.read(memory, written[-1:])
                token = _choose(torch.from_numpy(reading.logits), written, temperature, repetition_penalty, generator)
                if token == self.end_id:
                    break
                written.append(token)
                whole = self.tokenizer.decode(written)
                new = "" if whole.endswith("�") else whole[len(text) :]
                text += new
                yield ChatToken(new, torch.from_numpy(reading.states[-1]))

    def remember(self, turns: Sequence[Turn]) -> Iterator[None]:
        """Read the reply that a conversation ends with, so that the answer to what comes next begins sooner.

        Nothing is read where the conversation before it is not remembered any more.

        Args:
            turns: the conversation, of two turns at least; the last is the assistant's.
        Yields:
            After each step; stop iterating to stop the work.
        """
        before, pieces = self._pieces(turns[:-1]), self._pieces(turns)
        with self._memory_after(before, pieces) as memory:
            for piece in pieces[len(memory.pieces) :] if memory else ():
                for _ in self._session_for(piece).reading_piece(memory, piece):
                    yield

    @contextmanager
    def _memory_after(self, before: list[list[Token]], pieces: list[list[Token]]) -> Iterator[Memory | None]:
        """A memory for pieces, if one has all that was before them; None else."""
        with self._lock:
            # The one that has least beyond it: what another conversation goes on from stays.
            ready = (m for m in self._idle if m.shared(before) == len(before))
            memory = min(ready, key=lambda m: len(m.pieces), default=None)
            goes_on = memory is not None and pieces[: len(before)] == before
            if goes_on:
                self._idle.remove(memory)
        if memory is None:
            yield None
        elif goes_on:
            with self._giving_back(memory):
                memory.rewind(memory.shared(pieces))
                yield memory
        else:  # The beginning is forgotten. The reply may yet be cut short, and then is not: that memory is kept.
            with self._memory([*pieces, []]) as other:
                yield other

    def states(self, text: str, prompt: str = "", before: str = "") -> torch.Tensor:
        """States of a given reply, as `reply` would give them had the LLM written it.

        Args:
            text: the reply, or the next part of it.
            prompt: the user's turn that it answers ("" for none).
            before: the reply up to `text`; its own states are not given.
        Returns:
            float32 [T_llm, D]; row i predicted token i.
        Raises:
            InputError: the text is longer than the LLM's memory.
        """
        read = self._ids((SYSTEM_FREE_USER.format(_plain(prompt)) if prompt else "") + ASSISTANT)
        if before:
            read, text = read + self._ids(_plain(before)), f" {text}"
        tokens = self._ids(_plain(text))
        if len(read) + len(tokens) > MEMORY_TOKENS:
            raise InputError(f"the text has {len(tokens)} tokens; {MEMORY_TOKENS - len(read)} fit the LLM's memory")
        with self._memory([]) as memory:
            # The last token predicts nothing that is wanted.
            states = self._session.read_piece(memory, (read + tokens)[:-1]).states
            memory.rewind(0)
        return torch.from_numpy(states[len(read) - 1 :])

    def rather(self, text: str, others: Sequence[str]) -> list[float]:
        """How much rather the LLM would have a user say other texts, each one change away from a text.

        It reads on for `TOKENS_AFTER` beyond the change: what comes later hardly tells them apart.

        Returns:
            Logarithm of how many times as likely each is; below 0 where the text is likelier.
        """
        before, after = (self._ids(part) for part in SYSTEM_FREE_USER.split("{}"))
        own, *changed = ([*self._ids(_plain(said)), after[0]] for said in (text, *others))
        # How many tokens, from the last on, are not looked at.
        unread = [max(0, n_shared_ends(own, run) - TOKENS_AFTER) for run in changed]
        runs = [own, *(run[: len(run) - n] for run, n in zip(changed, unread, strict=True))]
        # One of its own: those of conversations are worth keeping.
        memory = self._session.new_memory(len(before) + max(map(len, runs)))
        likely, *found = self._session.log_probs(memory, before, runs)
        return [float(run.sum() - likely[: len(own) - n].sum()) for run, n in zip(found, unread, strict=True)]

    def _ids(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def _session_for(self, piece: list[Token]) -> LLMSession:
        return self._listening if any(isinstance(token, bytes) for token in piece) else self._session

    def _pieces(self, turns: Sequence[Turn]) -> list[list[Token]]:
        """Tokens of the conversation's latest part, cut where a reply begins and where it ends.

        What was kept when the beginning was forgotten is one piece: it must be read again, and in short pieces that
        takes a quarter longer (measured, docs/serving.md).
        """
        first, after_joined = self._kept(turns)
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
        """A text's tokens, with the next clip's vectors wherever it says `SPEECH`."""
        first, *others = text.split(SPEECH)
        tokens: list[Token] = [*self._ids(first)]
        for after, clip in zip(others, clips, strict=False):
            tokens += [np.ascontiguousarray(row, np.float32).tobytes() for row in clip]
            tokens += self._ids(after)
        return tokens

    def _kept(self, turns: Sequence[Turn]) -> tuple[int, int]:
        """Indices of the first turn that is kept, and of the first that was not there when others were forgotten.

        A full memory forgets half at once: dropping a turn a reply would change the beginning, and with it what
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
    def _memory(self, pieces: list[list[Token]]) -> Iterator[Memory]:
        """A memory for one text, holding as many of its pieces as one has, short of the last."""
        with self._lock:
            best = max(self._idle, key=lambda m: (m.shared(pieces[:-1]), -len(m.pieces)), default=None)
            lost = best is not None and best.pieces and not best.shared(pieces[:-1])
            if best is None or (lost and len(self._idle) < MEMORIES):
                best = self._session.new_memory(MEMORY_TOKENS)
            else:
                self._idle.remove(best)
        with self._giving_back(best):
            best.rewind(best.shared(pieces[:-1]))
            yield best

    @contextmanager
    def _giving_back(self, memory: Memory) -> Iterator[None]:
        try:
            yield
        finally:
            with self._lock:
                self._idle.append(memory)
                del self._idle[:-MEMORIES]


def _parts(turn: Turn) -> tuple[str | np.ndarray, ...]:
    return (turn.content,) if isinstance(turn.content, str) else turn.content


def _turn_text(turn: Turn) -> str:
    text = "".join(_plain(part) if isinstance(part, str) else SPEECH for part in _parts(turn))
    return {"user": SYSTEM_FREE_USER, "assistant": ASSISTANT_TURN}[turn.role].format(text)


def _plain(text: str) -> str:
    """Text in which nobody can write the markers that end a turn."""
    text = "".join(c for c in text if not "\ud800" <= c <= SPEECH)  # lone surrogates are no characters
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
