"""`ExOmni`: text or a recording in; words, a voice and a face out, as a stream of typed events or as one result."""

import itertools
import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..core.clauses import speakable
from ..core.emotion import checked_emotion
from ..core.errors import InputError
from ..core.events import Event, TranscriptEvent
from ..core.turns import Turn
from ..parts.loading import Parts, load_parts
from .clause_stream import ClauseStream, clauses_of_text, clauses_of_tokens
from .recordings import Recording, animate
from .results import Reply, collect
from .speech_stream import Stopwatch, speak_clauses
from .spoken_prompts import SpokenPrompts, checked_listen, is_spoken

MAX_TEXT_CHARS = 1_000_000
"""Longest text that `speak` takes."""
MAX_PROMPT_CHARS = 8_000
"""Longest question that `respond` takes: more does not fit the LLM's context."""
MAX_SEED = 2**62
"""Largest seed; each clause counts on from it."""
_BLOCK = re.compile(r"\n\s*\n|\n(?=\s*(?:[-*•#>|]|\d{1,3}[.)])\s)")
"""Where a text has a break that speech keeps: blank lines and list marks; other line ends only wrap."""

Prompt = str | Path | np.ndarray | Sequence
"""A question: text, a recording, a list of both, or turns of a conversation."""


class ExOmni:
    """A talking face, whatever model is behind it.

    Args:
        parts: what it is put together from (`exomni.parts.loading.Parts`); `ExOmni.load` finds them by name.
    """

    def __init__(self, parts: Parts):
        self.parts = parts

    @classmethod
    def load(cls, source: str | Path = "nano", *, weights: str | Path | None = None, **parts: Any) -> "ExOmni":
        """Load a model.

        Args:
            source: name of a preset ("nano"), a YAML file, a folder that `exomni release` wrote, or a folder with a
                published checkpoint.
            weights: folder of other weights than the shipped ones.
            **parts: by port (`exomni.parts.loading.PORTS`), a part in place of the model's own, or the name of one.
        Raises:
            ConfigError: no such preset, or one that has no weights of its own.
            AssetError: a part is not installed or damaged.
            CheckpointError: weights do not fit.
        """
        omni = cls(load_parts(source, weights=weights, **parts))
        for port in ("recording_tokenizer", "voice", "unit_generator", "face_maker"):
            if omni.parts.has(port):
                omni.parts.part(port)  # loaded now; LLM and speech encoder when they are first needed
        return omni

    @cached_property
    def spoken_prompts(self) -> SpokenPrompts:
        """What reads spoken prompts."""
        return SpokenPrompts(self.parts)

    def transcribe(
        self, recording: str | Path | np.ndarray, sample_rate: int | None = None, *, trimmed: bool = False
    ) -> str:
        """The words of a recording in English; see `exomni.pipeline.spoken_prompts.SpokenPrompts.transcribe`."""
        return self.spoken_prompts.transcribe(recording, sample_rate, trimmed=trimmed)

    def respond(self, prompt: Prompt, **options: Any) -> Reply:
        """Answer a typed or spoken question with words, a voice and a face.

        Args:
            prompt: the question, as `stream` takes it.
            **options: as `stream`.
        Raises:
            InputError: the prompt is empty, too long, or a recording that cannot be read.
            NoSpeechError: nobody speaks in the recording.
            UnsupportedError: the model lacks a part that this needs.
        """
        return self.collect(self.stream(prompt, **options), options.get("seed", 0))

    def speak(self, text: str, **options: Any) -> Reply:
        """Say a given text (the TTSF task) of any length.

        Args:
            text: what to say.
            **options: as `stream_speech`.
        Raises:
            InputError: nothing in the text can be spoken.
            UnsupportedError: the model lacks a part that this needs.
        """
        return self.collect(self.stream_speech(text, **options), options.get("seed", 0))

    def animate(
        self, recording: str | Path | np.ndarray, sample_rate: int | None = None, *, emotion: np.ndarray | None = None
    ) -> Reply:
        """A face for a recording of anybody's speech.

        Args:
            recording: a file in any common format, or float32 [N] mono samples.
            sample_rate: of the samples, where `recording` is an array.
            emotion: float32 [5] in 0..1 (`exomni.core.emotion.EMOTIONS`), or None to leave it open.
        Returns:
            A reply without text, whose samples are the recording at 24 kHz.
        Raises:
            InputError: not readable, empty or not finite.
            UnsupportedError: the model makes no faces for recordings.
        """
        return self.collect(self.stream_animation(recording, sample_rate, emotion=emotion), 0)

    def stream(
        self, prompt: Prompt, *, sample_rate: int | None = None, listen: str | None = None,
        emotion: np.ndarray | None = None, seed: int = 0, speed: float = 1.0, temperature: float = 0.0,
        max_new_tokens: int = 256,
    ) -> Iterator[Event]:  # fmt: skip
        """Answer a question as a stream; speech and face of a clause leave while the next is being written.

        Args:
            prompt: the question: a text of at most `MAX_PROMPT_CHARS` characters, a recording (a `pathlib.Path` to a
                file in any common format, or float32 [N] mono samples), a list of both ("Translate this:", recording),
                or turns of a conversation (`exomni.core.turns.Turn`) of any of these that end with the user's.
            sample_rate: of samples in the prompt.
            listen: how speech is read, one of `exomni.pipeline.spoken_prompts.LISTEN`; None for the default.
            emotion: float32 [5] in 0..1, or None to read it from the meaning.
            seed: of every random choice; the same seed gives the same reply.
            speed: above 1 speaks faster.
            temperature: of the LLM; 0 takes the likeliest word.
            max_new_tokens: longest reply in tokens.
        Yields:
            A `TranscriptEvent` where the prompt is spoken; `TextEvent`s, and for each clause a `FaceEvent` and then a
            `SpeechEvent`; a `DoneEvent` at the end.
        """
        way, spoken, transcript = checked_listen(listen), is_spoken(prompt), ""
        self.prepare()  # loaded before the clock starts: a request is timed warm
        if spoken:
            self.spoken_prompts.prepare(way)
        watch = Stopwatch()
        if spoken:
            turns, transcript = self.spoken_prompts.turns(prompt, sample_rate, way, checked_prompt)
            watch.lap("listen_s")
        elif isinstance(prompt, str):
            turns = [Turn("user", checked_prompt(prompt))]
        else:
            assert not isinstance(prompt, Path | np.ndarray), "such a prompt is spoken"
            turns = list(prompt)
        tokens = self.parts.writer.write(turns, max_new_tokens=max_new_tokens, temperature=temperature, seed=seed)
        events = self._speak(clauses_of_tokens(tokens, self.parts.reader), watch, emotion, seed, speed)
        return itertools.chain([TranscriptEvent(transcript)], events) if spoken else events

    def stream_speech(
        self, text: str, *, emotion: np.ndarray | None = None, seed: int = 0, speed: float = 1.0
    ) -> Iterator[Event]:
        """Say a given text as a stream; memory and cost a second of speech stay flat however long it is.

        Args and Yields: as `stream`.

        Raises:
            InputError: nothing in the text can be spoken, or it is longer than `MAX_TEXT_CHARS`.
        """
        spoken = spoken_text(text)
        reader = self.parts.reader  # loaded before the clock starts: a request is timed warm
        return self._speak(clauses_of_text(spoken, reader), Stopwatch(), emotion, seed, speed)

    def stream_animation(
        self, recording: str | Path | np.ndarray, sample_rate: int | None = None, *, emotion: np.ndarray | None = None
    ) -> Iterator[Event]:
        """A face for a recording, as a stream of faces and the speech they belong to; see `animate`."""
        emotion = None if emotion is None else checked_emotion(emotion)
        self.parts.recording_tokenizer.prepare()  # loaded before the clock starts: a request is timed warm
        watch = Stopwatch()
        return animate(self.parts, Recording(recording, sample_rate), watch, emotion)

    def prepare(self) -> None:
        """Load everything that an answer to a typed question needs, as a program does before the first one."""
        for port in ("voice", "unit_generator", "face_maker", "writer", "reader"):
            self.parts.part(port)

    def collect(self, events: Iterator[Event], seed: int) -> Reply:
        """The result that a stream's events make up."""
        return collect(events, seed, self.parts.facts.weights, self.parts.facts.data)

    def _speak(
        self, clauses: ClauseStream, watch: Stopwatch, emotion: np.ndarray | None, seed: int, speed: float
    ) -> Iterator[Event]:
        """Events of clauses, once it is sure that the options make sense."""
        if not 0.3 <= speed <= 3.0:
            raise InputError(f"speed {speed} is outside 0.3..3")
        if not 0 <= seed <= MAX_SEED:
            raise InputError(f"seed {seed} is outside 0..{MAX_SEED}")
        emotion = None if emotion is None else checked_emotion(emotion)
        return speak_clauses(self.parts, clauses, watch, emotion, seed, speed)


def spoken_text(text: str) -> str:
    """A text as it is spoken, line by line.

    Raises:
        InputError: nothing in it can be spoken, or it is longer than `MAX_TEXT_CHARS`.
    """
    if len(text) > MAX_TEXT_CHARS:
        raise InputError(f"the text has {len(text):,} characters; at most {MAX_TEXT_CHARS:,} are spoken at once")
    spoken = "\n".join(filter(None, (speakable(block) for block in _BLOCK.split(text))))
    if not any(c.isalnum() for c in spoken):
        raise InputError("there is nothing to say: give a text with at least one English word in it")
    return spoken


def checked_prompt(prompt: str) -> str:
    """A question without control characters and the space around it.

    Raises:
        InputError: it is empty, or longer than `MAX_PROMPT_CHARS`.
    """
    text = "".join(c if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cs") else " " for c in prompt).strip()
    if not any(c.isalnum() for c in text):
        raise InputError("the question is empty: type at least one word")
    if len(text) > MAX_PROMPT_CHARS:
        raise InputError(f"the question has {len(text):,} characters; at most {MAX_PROMPT_CHARS:,} fit")
    return text
