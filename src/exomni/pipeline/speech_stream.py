"""Clauses become events: text, and for each piece of speech its face and then its sound."""

import time
from collections.abc import Iterator

import numpy as np

from ..core.arkit import EYES, indices
from ..core.clauses import speakable
from ..core.errors import InputError
from ..core.events import DoneEvent, Event, FaceEvent, SpeechEvent, TextEvent
from ..face.eyes import EyeMovements
from ..parts.loading import Parts
from .clause_stream import ClauseStream, SentenceStates, TextPiece

_EYES = indices(EYES)


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

    def timings(self, load_s: float, speech_s: float) -> dict[str, float]:
        """All of it at the end of a reply, as `exomni.pipeline.results.Timings` has it."""
        self.first("total_s")
        return {"load_s": load_s, **self.spent, "real_time_factor": self.spent["total_s"] / max(speech_s, 1e-9)}


def speak_clauses(
    parts: Parts, clauses: ClauseStream, watch: Stopwatch, emotion: np.ndarray | None, seed: int, speed: float
) -> Iterator[Event]:
    """Events of clauses as they come.

    Args:
        parts: of the model.
        clauses: text and clauses.
        watch: started with the request.
        emotion: float32 [5] in 0..1, or None to read it from the meaning.
        seed: of the first clause; each piece counts on from it.
        speed: above 1 speaks faster.
    Raises:
        InputError: nothing in the clauses can be spoken.
    """
    voice, generator, face = parts.voice, parts.unit_generator, parts.face_maker
    n_samples = n_frames = n_pieces = 0
    eyes, sentence = EyeMovements(seed), SentenceStates()
    for item in clauses:
        watch.lap("llm_s")
        if isinstance(item, TextPiece):
            if item.text:
                yield TextEvent(item.text)
            continue
        meaning = sentence.add(item)
        for spoken in generator.pieces(item):
            speech = generator.generate(spoken, seed=seed + n_pieces, speed=speed)
            watch.lap("units_s")
            frames = with_eyes(face.frames(speech, emotion, meaning), eyes)
            watch.lap("face_s")
            watch.first("first_face_s")
            yield FaceEvent(n_samples, n_frames, frames)
            watch.lap()
            samples = voice.speak(speech, seed + n_pieces)
            watch.lap("speech_s")
            watch.first("first_audio_s")
            yield SpeechEvent(
                n_samples, samples, speech.units.cpu().numpy(), speakable(item.text), voice.sample_rate,
                phonemes=spoken.phonemes, ticks=speech.ticks,
            )  # fmt: skip
            watch.lap()
            n_samples, n_frames, n_pieces = n_samples + len(samples), n_frames + len(frames), n_pieces + 1
    if not n_pieces:
        raise InputError("nothing in the reply can be read aloud in English")
    yield DoneEvent(n_samples, n_frames, watch.timings(parts.load_s, n_samples / voice.sample_rate))


def with_eyes(frames: np.ndarray, eyes: EyeMovements) -> np.ndarray:
    """Frames [T, 52] with blinks and glances, which speech does not determine, drawn in."""
    frames = frames.copy()
    frames[:, _EYES] = eyes.take(len(frames))[:, _EYES]
    return frames
