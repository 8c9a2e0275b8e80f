"""What a pipeline is put together from: one protocol for each part, and the dataclasses that pass between them.

A part is anything with the methods of its port; `exomni.parts.loading` builds the parts that a preset names, and
`ExOmni(Parts(...))` takes parts that were built elsewhere. The text of a reply comes from a `Writer`, which may be
any LLM; the hidden states that fusion was trained on come from a `Reader`. An LLM of ours is both.

Shapes: T_llm tokens of the LLM, T_unit speech units, T_frame face frames, D width, K = 52 blendshapes.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from ..core.turns import Turn


@dataclass(frozen=True)
class WrittenToken:
    """One token of a reply."""

    text: str  # the characters that it completes ("" while a character is unfinished)
    # the last state that it was drawn from, float32 [D]; None where the writer keeps its states to itself, and a
    # `Reader` gives those of whole clauses
    hidden_state: Tensor | None = None
    token_id: int | None = None  # its id in the writer's vocabulary; None where that is not known


@dataclass(frozen=True)
class Clause:
    """A clause of a reply, the piece in which speech is made."""

    text: str  # its words
    hidden_states: Tensor | None = None  # of its tokens, float32 [T_llm, D]; None where there are none
    token_ids: tuple[int, ...] = ()  # its tokens, one for each row of `hidden_states`; empty where they are not known


@dataclass(frozen=True)
class SpokenText:
    """A piece of a clause that is spoken in one go."""

    clause: Clause  # that it belongs to
    phonemes: str = ""  # in the voice's alphabet, one symbol a character ("" for a generator that reads tokens)


@dataclass(frozen=True)
class SpeechUnits:
    """Speech in units, 12.5 a second."""

    units: Tensor  # int64 [T_unit]
    hidden_states: Tensor  # of the generator, float32 [T_unit, D]
    # duration of each phoneme and of the silence at both ends, int64 [T_text], in ticks of 25 ms; empty where the
    # generator reads tokens
    ticks: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    hidden_mask: Tensor | None = None  # True where a hidden state counts, [T_unit]; None where all do


class Writer(Protocol):
    """Writes replies: any LLM."""

    def write(
        self, turns: Sequence[Turn], *, max_new_tokens: int = 256, temperature: float = 0.0, seed: int = 0
    ) -> Iterator[WrittenToken]:
        """Write the reply to turns that end with the user's, token by token; who stops iterating stops the work.

        A `temperature` of 0 takes the likeliest token; `seed` is of the draws.
        """
        ...

    def prefill(self, turns: Sequence[Turn]) -> Iterator[None]:
        """Get ready, step by step, for what follows a reply, the last of these turns; may do nothing."""
        ...


class Reader(Protocol):
    """Reads texts into the hidden states that fusion was trained on."""

    stamp: str  # names the LLM whose states they are, for data that is made of them

    def read(self, text: str, prompt: str = "", before: str = "") -> Clause:
        """A clause of a given reply with its hidden states.

        `prompt` is the user's turn that the reply answers ("" for none), and `before` the reply up to this clause.
        """
        ...


class FeatureEncoder(Protocol):
    """Speech to encoder features, 50 a second."""

    d_model: int  # width of a feature

    def __call__(self, samples: np.ndarray) -> Tensor:
        """Features of a clip, float32 [N] at 16 kHz of at most 30 s: float32 [T_50hz, D], T_50hz a multiple of 4."""
        ...

    def long(self, pieces: Iterable[np.ndarray]) -> Iterator[Tensor]:
        """Features of a clip of any length, window by window."""
        ...


class Transcriber(Protocol):
    """Writes down what is said."""

    def prepare(self) -> None:
        """Load everything now, so that a request is timed warm."""
        ...

    def transcribe(self, samples: np.ndarray) -> str:
        """The words of a piece of speech, float32 [N] at 16 kHz, at most 27 s; "" where nothing is said."""
        ...


class SpeechListener(Protocol):
    """Puts speech into the LLM's embedding space."""

    def prepare(self) -> None:
        """Load everything now, so that a request is timed warm."""
        ...

    def transcribe(self, samples: np.ndarray) -> str:
        """How a piece of speech, float32 [N] at 16 kHz, reads in the LLM's own tokens."""
        ...

    def vectors(self, text: str) -> np.ndarray:
        """What the writer is given for speech that reads as `text`, float32 [T, D]."""
        ...

    def adapt(self) -> None:
        """Have the writer read turns in which speech stands beside typed words through its adapters."""
        ...


class Voice(Protocol):
    """Text to phonemes, and units to sound."""

    sample_rate: int  # samples a second of `speak`

    def phonemes(self, text: str) -> list[str]:
        """Phonemes of a text in pieces that are spoken in one go; none where nothing in it can be said."""
        ...

    def ids(self, phonemes: str) -> np.ndarray:
        """Phoneme ids, int64 [T_text], both ends marked: what a paced unit generator reads."""
        ...

    def speak(self, speech: SpeechUnits, seed: int) -> np.ndarray:
        """The sound of units, float32 [N] in -1..1 at `sample_rate`, as long as the units last."""
        ...


@dataclass(frozen=True)
class VoiceFrames:
    """What a voice makes of phonemes before it sounds."""

    ticks: np.ndarray  # duration of each phoneme, int64 [T_text], in ticks of 25 ms
    acoustic: np.ndarray  # channels that its vocoder reads, float32 [C, T_80hz]


class TeacherVoice(Protocol):
    """A finished voice whose phoneme times are known: it speaks the training data, and the cascade."""

    name: str

    @property
    def symbols(self) -> dict[int, str]:
        """Phoneme symbols by id; "" for 0, which pads and marks both ends."""
        ...

    def phonemes(self, text: str) -> str:
        """Phonemes of a text that is spoken in one go. Raises InputError where nothing in it can be spoken."""
        ...

    def ids(self, phonemes: str) -> np.ndarray:
        """Phoneme ids, int64 [T_text], both ends marked."""
        ...

    def time(self, ids: np.ndarray, speed: float = 1.0) -> VoiceFrames:
        """Times and acoustic channels of phonemes; `speed` 0.5 (slow) to 2 (fast)."""
        ...

    def sound(self, acoustic: np.ndarray, seed: int = 0) -> np.ndarray:
        """Acoustic channels as speech, float32 [N] at 24 kHz."""
        ...


class UnitGenerator(Protocol):
    """Text and its hidden states to speech units, the time scaffold of all that follows."""

    def pieces(self, clause: Clause) -> list[SpokenText]:
        """A clause as pieces that are spoken in one go; none where nothing in it can be said."""
        ...

    def generate(self, spoken: SpokenText, *, seed: int, speed: float) -> SpeechUnits:
        """Units of one of `pieces`; a `speed` above 1 speaks faster. Raises UnsupportedError if it has one speed."""
        ...


class RecordingTokenizer(Protocol):
    """Speech units of anybody's recording."""

    def prepare(self) -> None:
        """Load everything now, so that a request is timed warm."""
        ...

    def units(self, samples: np.ndarray) -> Tensor:
        """Units of a whole clip, float32 [N] at 16 kHz: int64 [T_unit]."""
        ...

    def stream(self, pieces: Iterable[np.ndarray]) -> Iterator[Tensor]:
        """Units of a recording as it comes, int64 [n] each; together they equal those of the whole."""
        ...


class FaceMaker(Protocol):
    """Units and their hidden states to blendshapes, all frames at once."""

    unit_multiple: int  # units on which a face that is decoded in pieces may begin

    @property
    def reach_units(self) -> int:
        """How many units before and after a frame change it."""
        ...

    def frames(self, speech: SpeechUnits, emotion: np.ndarray | None, meaning: Tensor | None) -> np.ndarray:
        """Face of a clause, float32 [T_frame, K] in 0..1.

        The emotion is float32 [5] in 0..1, or None to read it from the meaning: hidden states of the sentence so far,
        float32 [T_llm, D], or None. Raises UnsupportedError if an emotion is given and the face takes none.
        """
        ...

    def recording_frames(self, units: Tensor, first_unit: int, emotion: np.ndarray | None) -> np.ndarray:
        """Face of a recording's units, from the units alone, float32 [T_frame, K] in 0..1."""
        ...


class VoiceActivity(Protocol):
    """How likely there is speech, window by window."""

    window_samples: int  # samples at 16 kHz that are judged at once

    def start(self) -> Any:
        """The state before the first window of a recording."""
        ...

    def judge(self, window: np.ndarray, state: Any) -> tuple[float, Any]:
        """Probability of speech in float32 [window_samples], and the state after it."""
        ...


class Vocabulary(Protocol):
    """The tokens of the LLM that speech is read in."""

    @property
    def tokenizer(self) -> Any:
        """Of `tokenizers`."""
        ...

    def embeddings(self) -> np.ndarray:
        """All word embeddings, float32 [n_tokens, D]."""
        ...


@dataclass(frozen=True)
class ModelFacts:
    """What identifies a model.

    Attributes:
        name: preset or folder.
        weights: SHA-256 of the weights.
        data: SHA-256 of the data that they were trained on ("" where that is not known).
    """

    name: str = ""
    weights: str = ""
    data: str = ""
