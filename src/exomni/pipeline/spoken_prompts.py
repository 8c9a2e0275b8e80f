"""How `ExOmni` hears: prompts of text and recordings become turns that the LLM reads."""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from ..core.errors import ConfigError, NothingHeardError
from ..core.timebase import ENCODER_SAMPLE_HZ
from ..model.speech_encoder import CLIP_S
from ..parts.nano import Nano
from ..parts.smollm.chat import Turn
from .input_audio import NOTHING, read_spoken

Listen = Literal["native", "transcribe"]
"""How speech reaches the LLM: through the projector into its embedding space, where it is read as words, or as the text
that Whisper's decoder writes down."""
LISTEN: tuple[Listen, ...] = ("native", "transcribe")
DEFAULT_LISTEN: Listen = "transcribe"

Part = str | Path | np.ndarray
"""Of a turn: typed text, a file with a recording, or float32 [N] mono samples."""


def checked_listen(listen: str | None) -> Listen:
    """A way of listening by its name; the default for None.

    Raises:
        ConfigError: no such way.
    """
    for known in LISTEN:
        if known == (listen or DEFAULT_LISTEN):
            return known
    raise ConfigError(f"there is no way of listening {listen!r}; there are {', '.join(LISTEN)}")


def parts_of(content: Part | Sequence[Part]) -> tuple[Part, ...]:
    """What a turn is made of."""
    return (content,) if isinstance(content, str | Path | np.ndarray) else tuple(content)


def is_spoken(prompt: Part | Sequence) -> bool:
    """Whether a prompt, or a turn of it, holds a recording."""
    if isinstance(prompt, str | Turn):
        return not isinstance(prompt, str) and is_spoken(prompt.content)
    return isinstance(prompt, Path | np.ndarray) or any(is_spoken(part) for part in prompt)


class Ear:
    """Reads recordings; its parts are loaded when the first one comes.

    Args:
        nano: whose speech encoder and listener are used.
        chat: gives the LLM that listens (`exomni.parts.smollm.chat.ChatModel`), the same one each time.
    """

    def __init__(self, nano: Nano, chat: Callable):
        self._nano, self._chat = nano, chat
        self._is_adapted = False

    @cached_property
    def transcriber(self):
        """Whisper's decoder."""
        from ..parts.whisper.transcriber import Transcriber

        made = Transcriber(self._nano.whisper_folder())
        made(self._nano.speech_features(_silence()))  # the first call takes several times as long as others
        return made

    @cached_property
    def _table(self):
        """Word embeddings of the tokens that speech is read as, float32 [V, D]."""
        import torch

        return torch.from_numpy(self._chat().embeddings(self._nano.listening.known.tolist()))

    def _adapt(self) -> None:
        """Give the LLM, once, the adapters through which it reads speech beside typed words."""
        if not self._is_adapted and self._nano.listening.adapters:
            self._chat().listen_with(self._nano.listening.adapters)
        self._is_adapted = True

    def prepare(self, listen: Listen) -> None:
        """Load now what speech alone needs, so that a request is timed warm."""
        from ..parts.silero.vad import voice_model

        voice_model(), self._nano.speech_features
        if listen == "transcribe":
            self.transcriber  # noqa: B018
        else:
            self._table  # noqa: B018
            self._chat().rather("Hello.", ["Hallo."])  # the first time it has tables to make

    def transcribe(self, recording: str | Path | np.ndarray, sample_rate: int | None = None) -> str:
        """The words of a recording in English.

        Args:
            recording: a file in any common format, or floating-point [N] mono samples in -1..1.
            sample_rate: of the samples, where `recording` is an array.
        Raises:
            InputError: not readable, empty, not finite or too long.
            NothingHeardError: nobody speaks in it.
        """
        words = [self._piece_words(piece) for piece in read_spoken(recording, sample_rate)]
        return _understood(" ".join(filter(None, words)))

    def _piece_words(self, piece: np.ndarray) -> str:
        words = self.transcriber(self._nano.speech_features(np.concatenate([piece, _silence()])))
        if not repeats_itself(words):
            return words
        # In noise the decoder may run in circles on real length; on 30 s, which it was trained on, it hardly does.
        whole = np.zeros(CLIP_S * ENCODER_SAMPLE_HZ, np.float32)
        whole[: len(piece)] = piece
        return self.transcriber(self._nano.speech_features(whole))

    def hear(self, recording: str | Path | np.ndarray, sample_rate: int | None = None) -> tuple[np.ndarray, str]:
        """A recording in the LLM's embedding space, float32 [T_written, D], and how it reads there.

        Args and Raises: as `transcribe`.
        """
        chat = self._chat()
        text = " ".join(filter(None, map(self._piece_read, read_spoken(recording, sample_rate))))
        written = chat.tokenizer.encode(_understood(text), add_special_tokens=False).ids
        return chat.embeddings(written), text

    def _piece_read(self, piece: np.ndarray) -> str:
        """What a piece of speech says: what the projector makes of it, in the words that the LLM finds likeliest."""
        import torch

        from ..model.ctc_hypotheses import beam_search, rescore

        listening, table, chat = self._nano.listening, self._table, self._chat()
        with torch.inference_mode():
            vectors = listening.listener(self._nano.speech_features(piece)[None])[0]
            log_probs = listening.listener.scores(vectors, table).log_softmax(-1)

        def text_of(ids: Sequence[int]) -> str:
            return chat.tokenizer.decode(listening.known[list(ids)].tolist()).strip()

        return text_of(rescore(beam_search(log_probs.numpy()), text_of, chat.rather))

    def turns(
        self, prompt: Part | Sequence, sample_rate: int | None, listen: Listen, check: Callable[[str], str]
    ) -> tuple[list[Turn], str]:
        """A prompt as turns that the LLM reads, and the last one in words.

        Args:
            prompt: parts of one turn of the user, or turns whose content may be parts.
            sample_rate: of the arrays in it.
            listen: how speech is heard.
            check: makes a turn's text fit to be read, or refuses it.
        """
        turns, read, words = prompt if _is_conversation(prompt) else [Turn("user", prompt)], [], ""
        for turn in turns:
            parts = [self._part(part, sample_rate, listen) for part in parts_of(turn.content)]
            parts = [(vectors, text) for vectors, text in parts if vectors is not None or text.strip()]
            words = " ".join(text for _, text in parts)
            words = check(words) if turn.role == "user" else words
            # Speech alone reads as if it had been typed. Beside typed words the LLM needs its adapters to tell what is
            # asked of it from what is said; without such words they only change the reply (docs/listening.md).
            mixed = len({vectors is None for vectors, _ in parts}) == 2
            if mixed:
                self._adapt()
            read.append(Turn(turn.role, tuple(_spaced(parts)) if mixed else words))
        return read, words

    def _part(self, part: Part, sample_rate: int | None, listen: Listen) -> tuple[np.ndarray | None, str]:
        """A part's vectors, if it is heard as such, and its words."""
        if isinstance(part, str):
            return None, part
        return self.hear(part, sample_rate) if listen == "native" else (None, self.transcribe(part, sample_rate))


def _spaced(parts: Sequence[tuple[np.ndarray | None, str]]) -> Iterator[str | np.ndarray]:
    """Text and vectors in turns, a space between each two."""
    for i, (vectors, text) in enumerate(parts):
        if i:
            yield " "
        yield text if vectors is None else vectors


def repeats_itself(text: str) -> bool:
    """Whether a text says three or more words twice in a row."""
    words = "".join(c if c.isalnum() else " " for c in text.lower()).split()
    return any(
        words[i : i + n] == words[i + n : i + 2 * n]
        for n in range(3, len(words) // 2 + 1)
        for i in range(len(words) - 2 * n + 1)
    )


def _silence() -> np.ndarray:
    from ..parts.whisper.transcriber import END_SILENCE_S

    return np.zeros(int(END_SILENCE_S * ENCODER_SAMPLE_HZ), np.float32)


def _understood(words: str) -> str:
    if not any(c.isalnum() for c in words):
        raise NothingHeardError(NOTHING)
    return words


def _is_conversation(prompt: Part | Sequence) -> bool:
    return not isinstance(prompt, str | Path | np.ndarray) and any(isinstance(turn, Turn) for turn in prompt)
