"""The cascade that exomni is measured against: the same words, the voice itself, the face teacher on its phonemes."""

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from ..core.audio import read_audio
from ..core.clauses import ClauseCutter, cut_clauses, ends_sentence, speakable
from ..core.errors import InputError
from ..core.events import DoneEvent, Event, FaceEvent, SpeechEvent, TextEvent
from ..core.timebase import FRAME_HZ, SAMPLE_HZ, SAMPLES_PER_FRAME, SAMPLES_PER_TICK, samples_to_frames
from ..core.turns import Turn
from ..data.teachers import FaceTeacher
from ..data.text_emotion import estimate_emotion
from ..parts.ports import TeacherVoice, Writer
from .phones import Utterance, clip_of, clip_of_phones
from .systems import Spoken, gather

TICKS_PER_FRAME_GROUP = 4
"""Clauses last a multiple of this, 100 ms, so that speech and face end together."""


class CascadeSystem:
    """LLM, text-to-speech and audio-to-face, one after the other, clause by clause as exomni works.

    `writer` gives the LLM, the same one each time; it is called when the LLM is needed.
    """

    name = "cascade"

    def __init__(self, writer: Callable[[], Writer], voice: TeacherVoice, teacher: FaceTeacher):
        self.writer, self.voice, self.teacher = writer, voice, teacher

    def prepare(self) -> None:
        """Load the LLM."""
        self.writer()

    def speak(self, text: str, seed: int) -> Spoken:
        """Say a given text."""
        lines = "\n".join(filter(None, (speakable(line) for line in text.splitlines())))
        return gather(self._events(((c, c) for c in cut_clauses(lines)), seed))

    def respond(self, prompt: str, seed: int) -> Spoken:
        """Answer a question in the LLM's likeliest words."""
        return gather(self._events(self._answer(prompt, seed), seed))

    def animate(self, recording: Path, phones: list | None) -> np.ndarray | None:
        """What the teacher makes of the recording's true phones; None without them."""
        if not phones:
            return None
        samples = read_audio(recording, SAMPLE_HZ)
        return self.teacher.label(clip_of_phones(phones, samples_to_frames(len(samples)), samples))

    def facts(self) -> dict:
        """Names of its parts."""
        return {"voice": self.voice.name, "teacher": self.teacher.name}

    def _answer(self, prompt: str, seed: int) -> Iterator[tuple[str, str | None]]:
        cutter = ClauseCutter()
        for token in self.writer().write([Turn("user", prompt)], seed=seed):
            yield token.text, None
            for clause in cutter.add(token.text):
                yield "", clause
        for clause in cutter.finish():
            yield "", clause

    def _events(self, parts: Iterable[tuple[str, str | None]], seed: int) -> Iterator[Event]:
        """Events of clauses as they come: (new text, clause or None)."""
        began = mark = time.perf_counter()
        spent: dict[str, float] = dict.fromkeys(("llm_s", "units_s", "speech_s", "face_s"), 0.0)
        n_samples = n_frames = 0
        sentence = ""

        def lap(part: str) -> None:
            nonlocal mark
            now = time.perf_counter()
            spent[part] += now - mark
            mark = now

        for text, clause in parts:
            lap("llm_s")
            yield TextEvent(text)
            said = self._say(clause, seed) if clause else None
            if said is None:
                continue
            utterance, samples = said
            lap("speech_s")
            spent.setdefault("first_audio_s", mark - began)
            # The emotion of the sentence so far: its end is not known yet while the LLM is still writing.
            sentence = f"{sentence} {utterance.text}"
            emotion = estimate_emotion(sentence)
            sentence = "" if ends_sentence(utterance.text) else sentence
            clip = clip_of([utterance], len(samples) // SAMPLES_PER_FRAME, seed, emotion, samples)
            frames = self.teacher.label(clip)
            lap("face_s")
            spent.setdefault("first_face_s", mark - began)
            yield FaceEvent(n_samples, n_frames, frames)
            yield SpeechEvent(n_samples, samples, np.zeros(0, np.int64), utterance.text,
                              phonemes=utterance.phonemes, ticks=utterance.ticks)  # fmt: skip
            n_samples, n_frames = n_samples + len(samples), n_frames + len(frames)
        if not n_samples:
            raise InputError("nothing in the text can be read aloud in English")
        spent["total_s"] = time.perf_counter() - began
        yield DoneEvent(n_samples, n_frames, spent | {"real_time_factor": spent["total_s"] / (n_samples / SAMPLE_HZ)})

    def _say(self, clause: str, seed: int) -> tuple[Utterance, np.ndarray] | None:
        """A clause with its phoneme times, and its speech; None where nothing in it can be said."""
        words = speakable(clause)
        try:
            phonemes = self.voice.phonemes(words)
        except InputError:
            return None
        voiced = self.voice.time(self.voice.ids(phonemes))
        samples = self.voice.sound(voiced.acoustic, seed)
        missing = -int(voiced.ticks.sum()) % TICKS_PER_FRAME_GROUP
        ticks = voiced.ticks.copy()
        ticks[-1] += missing
        length = int(ticks.sum()) * SAMPLES_PER_TICK
        assert length * FRAME_HZ % SAMPLE_HZ == 0
        return Utterance(words, phonemes, ticks), np.pad(samples, (0, length - len(samples)))
