"""`ExOmni`: text or a recording in; words, a voice and a face out, as a stream of typed events or as one result."""

import itertools
import re
import time
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from importlib import resources
from pathlib import Path

import numpy as np

from ..core.arkit import EYES, indices
from ..core.clauses import ClauseCutter, ends_sentence, speakable
from ..core.emotion import checked_emotion
from ..core.errors import ConfigError, InputError
from ..core.events import DoneEvent, Event, FaceEvent, SpeechEvent, TextEvent, TranscriptEvent
from ..core.timebase import SAMPLE_HZ, SAMPLES_PER_FRAME
from ..face.eyes import EyeMovements
from .recordings import Recording, UnitWindow, hear
from .results import Reply, collect

MAX_TEXT_CHARS = 1_000_000
"""Longest text that `speak` takes."""
CUT_CHARS = 1_000
"""How much of a text is cut into clauses at once: the first clause does not wait for the cuts of the last one."""
MAX_PROMPT_CHARS = 8_000
"""Longest question that `respond` takes: more does not fit the LLM's memory."""


_EYES = indices(EYES)
_BLOCK = re.compile(r"\n\s*\n|\n(?=\s*(?:[-*•#>|]|\d{1,3}[.)])\s)")
"""Where a text has a break that is heard: blank lines and list marks; other line ends only wrap."""
MOST_BEFORE_CHARS = 400
"""How much of a sentence the LLM reads before a clause of it."""
MAX_SEED = 2**62
"""Largest seed; each clause counts on from it."""


class Stopwatch:
    """Seconds spent on each part, and when the first pieces came."""

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.spent: dict[str, float] = {}
        self._mark = self.began

    def lap(self, part: str | None = None) -> None:
        """Charge the time since the last lap to `part` (None: to nobody)."""
        now = time.perf_counter()
        if part is not None:
            self.spent[part] = self.spent.get(part, 0.0) + now - self._mark
        self._mark = now

    def first(self, name: str) -> None:
        """Note the time since the beginning under `name`, once."""
        self.spent.setdefault(name, time.perf_counter() - self.began)


class ExOmni:
    """A talking face. Make one with `ExOmni.load`."""

    def __init__(self, nano, llm_folder, load_s: float = 0.0):
        self.nano = nano
        self.load_s = load_s
        self._llm_folder = llm_folder

    @classmethod
    def load(cls, preset: str = "nano", *, weights: str | Path | None = None) -> "ExOmni":
        """Load a preset with its weights.

        Args:
            preset: "nano"; a published checkpoint is opened with `exomni.load_published`.
            weights: folder of other weights for the same preset.
        Raises:
            ConfigError: no such preset, or one that has no shipped weights.
            AssetError: a part is not installed or damaged.
        """
        began = time.perf_counter()
        from ..model.config import SpeechDecoderConfig, load_config
        from ..parts.hibari.conversion import VOICE
        from ..parts.nano import Nano
        from ..parts.smollm.conversion import LLM
        from ..parts.whisper.conversion import WHISPER

        config = load_config(preset)
        if not isinstance(config.speech_decoder, SpeechDecoderConfig):
            raise ConfigError(f"preset {preset!r} ships no weights; open a published checkpoint with load_published")
        folder = Path(weights) if weights else Path(str(resources.files("exomni") / "weights" / "nano"))
        nano = Nano(config, folder, VOICE.folder(), WHISPER.folder)
        return cls(nano, LLM.folder, time.perf_counter() - began)

    @cached_property
    def chat(self):
        """The LLM, loaded when it is first needed."""
        began = time.perf_counter()
        from ..parts.smollm.chat import ChatModel

        chat = ChatModel(self._llm_folder())
        self.load_s += time.perf_counter() - began
        return chat

    @cached_property
    def ear(self):
        """What recordings are heard with."""
        from .spoken_prompts import Ear

        return Ear(self.nano, lambda: self.chat)

    def transcribe(self, recording: str | Path | np.ndarray, sample_rate: int | None = None) -> str:
        """The words of a recording in English; see `exomni.pipeline.spoken_prompts.Ear.transcribe`."""
        return self.ear.transcribe(recording, sample_rate)

    def respond(self, prompt: str | Path | np.ndarray | Sequence, **options) -> Reply:
        """Answer a typed or spoken question with words, a voice and a face.

        Args:
            prompt: the question, as `stream` takes it.
            **options: as `stream`.
        Raises:
            InputError: the prompt is empty, too long, or a recording that cannot be read.
            NothingHeardError: nobody speaks in the recording.
        """
        return self._collect(self.stream(prompt, **options), options.get("seed", 0))

    def speak(self, text: str, **options) -> Reply:
        """Say a given text (the TTSF task) of any length.

        Args:
            text: what to say.
            **options: as `stream_speech`.
        Raises:
            InputError: nothing in the text can be spoken.
        """
        return self._collect(self.stream_speech(text, **options), options.get("seed", 0))

    def animate(self, recording: str | Path | np.ndarray, sample_rate: int | None = None, *, emotion=None) -> Reply:
        """A face for a recording of anybody's speech.

        Args:
            recording: a file in any common format, or float32 [N] mono samples.
            sample_rate: of the samples, where `recording` is an array.
            emotion: float32 [5] in 0..1 (`exomni.core.emotion.EMOTIONS`), or None to leave it open.
        Returns:
            A reply without text, whose samples are the recording at 24 kHz.
        Raises:
            InputError: not readable, empty or not finite.
        """
        return self._collect(self.stream_animation(recording, sample_rate, emotion=emotion), 0)

    def stream(
        self, prompt: str | Path | np.ndarray | Sequence, *, sample_rate: int | None = None, listen: str | None = None,
        emotion: np.ndarray | None = None, seed: int = 0, speed: float = 1.0, temperature: float = 0.0,
        max_new_tokens: int = 256,
    ) -> Iterator[Event]:  # fmt: skip
        """Answer a question as a stream; speech and face of a clause leave while the next is being written.

        Args:
            prompt: the question: a text of at most `MAX_PROMPT_CHARS` characters, a recording (a `pathlib.Path` to a
                file in any common format, or float32 [N] mono samples), a list of both ("Translate this:", recording),
                or turns of a conversation (`exomni.parts.smollm.chat.Turn`) of any of these that end with the user's.
            sample_rate: of samples in the prompt.
            listen: how speech is heard, one of `exomni.pipeline.spoken_prompts.LISTEN`; None for the default.
            emotion: float32 [5] in 0..1, or None to read it from the meaning.
            seed: of every random choice; the same seed gives the same reply.
            speed: above 1 speaks faster.
            temperature: of the LLM; 0 takes the likeliest word.
            max_new_tokens: longest reply in tokens.
        Yields:
            A `TranscriptEvent` where the prompt is spoken; `TextEvent`s, and for each clause a `FaceEvent` and then a
            `SpeechEvent`; a `DoneEvent` at the end.
        """
        from ..parts.smollm.chat import Turn
        from .clause_states import clauses_of_tokens
        from .spoken_prompts import checked_listen, is_spoken

        way = checked_listen(listen)
        spoken, turns, heard = is_spoken(prompt), [], ""
        chat = self.chat  # loaded before the clock starts: a request is timed warm
        if spoken:
            self.ear.prepare(way)
        watch = Stopwatch()
        if spoken:
            turns, heard = self.ear.turns(prompt, sample_rate, way, checked_prompt)
            watch.lap("listen_s")
        else:
            turns = [Turn("user", checked_prompt(prompt))] if isinstance(prompt, str) else list(prompt)
        tokens = chat.reply(turns, max_new_tokens=max_new_tokens, temperature=temperature, seed=seed)
        events = self._speak_clauses(clauses_of_tokens(tokens), watch, emotion, seed, speed)
        return itertools.chain([TranscriptEvent(heard)], events) if spoken else events

    def stream_speech(
        self, text: str, *, emotion: np.ndarray | None = None, seed: int = 0, speed: float = 1.0
    ) -> Iterator[Event]:
        """Say a given text as a stream; memory and cost a second of speech stay flat however long it is.

        Args and Yields: as `stream`.

        Raises:
            InputError: nothing in the text can be spoken, or it is longer than `MAX_TEXT_CHARS`.
        """
        spoken = spoken_text(text)
        chat = self.chat  # loaded before the clock starts: a request is timed warm
        watch = Stopwatch()

        def clauses():
            cutter, sentence = ClauseCutter(), ""
            for start in range(0, len(spoken) + CUT_CHARS, CUT_CHARS):
                piece = spoken[start : start + CUT_CHARS]
                for clause in cutter.add(piece) if piece else cutter.finish():
                    words = clause.strip()
                    yield clause, chat.states(words, before=sentence)
                    # A clause is meant as part of its sentence, whose feeling goes on in it.
                    sentence = "" if ends_sentence(words) else f"{sentence} {words}".strip()[-MOST_BEFORE_CHARS:]

        return self._speak_clauses(((None, c) for c in clauses()), watch, emotion, seed, speed)

    def stream_animation(
        self, recording: str | Path | np.ndarray, sample_rate: int | None = None, *, emotion: np.ndarray | None = None
    ) -> Iterator[Event]:
        """A face for a recording, as a stream of faces and the speech they belong to; see `animate`."""
        emotion = None if emotion is None else checked_emotion(emotion)
        began = time.perf_counter()
        self.nano.speech_features  # noqa: B018  loaded before the clock starts: a request is timed warm
        self.load_s += time.perf_counter() - began
        watch = Stopwatch()
        return self._animate(Recording.open(recording, sample_rate), watch, emotion)

    def _speak_clauses(
        self, parts: Iterable[tuple[str | None, tuple | None]], watch: Stopwatch, emotion, seed: int, speed: float
    ) -> Iterator[Event]:
        """Events of clauses as they come: (new text or None, (clause, states) or None)."""
        if not 0.3 <= speed <= 3.0:
            raise InputError(f"speed {speed} is outside 0.3..3")
        if not 0 <= seed <= MAX_SEED:
            raise InputError(f"seed {seed} is outside 0..{MAX_SEED}")
        emotion = None if emotion is None else checked_emotion(emotion)
        return self._clause_events(parts, watch, emotion, seed, speed)

    def _clause_events(self, parts, watch: Stopwatch, emotion, seed: int, speed: float) -> Iterator[Event]:
        from .clause_states import Sentence

        n_samples = n_frames = n_clauses = 0
        eyes, sentence = EyeMovements(seed), Sentence()
        for piece, clause in parts:
            watch.lap("llm_s")
            if piece:
                yield TextEvent(piece)
            if clause is None:
                continue
            if piece is None:
                yield TextEvent(clause[0])
            meaning = sentence.add(*clause)
            for phonemes in self._phonemes(clause[0]):
                made = self.nano.clause_units(phonemes, clause[1], seed=seed + n_clauses, speed=speed,
                                              sampling=self.nano.config.unit_generator.sampling)  # fmt: skip
                watch.lap("units_s")
                frames = with_eyes(self.nano.clause_frames(made, emotion, meaning), eyes)
                watch.lap("face_s")
                watch.first("first_face_s")
                yield FaceEvent(n_samples, n_frames, frames)
                watch.lap()
                samples = self.nano.clause_samples(made.units, seed + n_clauses)
                watch.lap("speech_s")
                watch.first("first_audio_s")
                yield SpeechEvent(
                    n_samples,
                    samples,
                    made.units.numpy(),
                    speakable(clause[0]),
                    phonemes=phonemes,
                    ticks=made.ticks.numpy(),
                )
                watch.lap()
                n_samples, n_frames, n_clauses = n_samples + len(samples), n_frames + len(frames), n_clauses + 1
        if not n_clauses:
            raise InputError("nothing in the reply can be read aloud in English")
        yield DoneEvent(n_samples, n_frames, self._timings(watch, n_samples))

    def _phonemes(self, clause: str) -> list[str]:
        """Phonemes of a clause in pieces the voice can take; none where nothing can be said (another script)."""
        from ..parts.hibari.voice import bounded

        try:
            return bounded(self.nano.phonemizer.phonemes(speakable(clause)))
        except InputError:
            return []

    def _animate(self, recording: Recording, watch: Stopwatch, emotion) -> Iterator[Event]:
        n_frames, eyes = 0, EyeMovements(0)
        watch.lap()
        pieces = itertools.chain.from_iterable(self._hear(recording, UnitWindow(self.nano, emotion), watch))
        for frames, units in pieces:
            kept = with_eyes(frames[: recording.n_frames - n_frames], eyes)
            last = frames[-1:]
            yield from _animation_events(kept, n_frames, recording, units, watch)
            n_frames += len(kept)
        if n_frames < recording.n_frames:
            # Units are whole only every 80 ms: the last frame is held to the recording's very end.
            held = with_eyes(np.repeat(last, recording.n_frames - n_frames, 0), eyes)
            yield from _animation_events(held, n_frames, recording, np.zeros(0, np.int64), watch)
        yield DoneEvent(recording.n_samples, recording.n_frames, self._timings(watch, recording.n_samples))

    def _hear(self, recording: Recording, window: UnitWindow, watch: Stopwatch) -> Iterator[Iterator[tuple]]:
        """Frames with their units, as a recording is heard window by window."""
        for units in hear(self.nano, self.nano.speech_features.long(recording.heard())):
            watch.lap("units_s")
            yield window.add(units)
        yield window.finish()

    def _timings(self, watch: Stopwatch, n_samples: int) -> dict[str, float]:
        watch.first("total_s")
        rate = watch.spent["total_s"] / max(n_samples / SAMPLE_HZ, 1e-9)
        return {"load_s": self.load_s, **watch.spent, "real_time_factor": rate}

    def _collect(self, events: Iterator[Event], seed: int) -> Reply:
        return collect(events, seed, self.nano.model_hash, self.nano.data_hash)


def _animation_events(
    frames: np.ndarray, n_frames: int, recording: Recording, units: np.ndarray, watch: Stopwatch
) -> Iterator[Event]:
    """A piece of a recording's face, of which `n_frames` came before, and the speech it belongs to."""
    watch.lap("face_s")
    if not len(frames) and not len(units):
        return
    watch.first("first_face_s")
    # The recording need not end with a frame: what is left of it belongs to the last one. While it is still being
    # read, more of it is known than there are units.
    n_after, start = n_frames + len(frames), recording.n_taken
    samples = recording.take(recording.n_samples if n_after >= recording.n_frames else n_after * SAMPLES_PER_FRAME)
    yield FaceEvent(n_frames * SAMPLES_PER_FRAME, n_frames, frames)
    watch.first("first_audio_s")
    yield SpeechEvent(start, samples, units, "")
    watch.lap()


def with_eyes(frames: np.ndarray, eyes: EyeMovements) -> np.ndarray:
    """Frames [T, 52] with blinks and glances, which speech does not determine, drawn in."""
    frames = frames.copy()
    frames[:, _EYES] = eyes.take(len(frames))[:, _EYES]
    return frames


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
