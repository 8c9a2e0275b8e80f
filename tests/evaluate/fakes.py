"""A system without a model: it says every text with the same phonemes, one after the other, and the teacher's face."""

import numpy as np

from exomni.core.timebase import SAMPLES_PER_TICK
from exomni.data.teachers import get_teacher
from exomni.evaluate.phones import Utterance, clip_of
from exomni.evaluate.systems import Spoken

PHONEMES = "mˈɑmɑ bˈæp sˈi pˈɑpɑ kˈæm fˈɑn bˈɑbi mˈuv."
TICKS = np.array([8, *([4] * len(PHONEMES)), 8], np.int64)


def utterance(text: str = "Mama.") -> Utterance:
    """A clause of 4.9 s."""
    ticks = TICKS.copy()
    ticks[-1] += -int(ticks.sum()) % 4
    return Utterance(text, PHONEMES, ticks)


class FakeSystem:
    """Speaks at once.

    Args:
        name: of the system.
        late_frames: how much later than the teacher's the face comes.
        clauses: of each text, 4.9 s each.
    """

    def __init__(self, name: str = "fake", late_frames: int = 0, clauses: int = 1):
        self.name, self.late_frames, self.clauses = name, late_frames, clauses
        self.prepared = 0
        self.asked: list[tuple[str, int]] = []

    def prepare(self) -> None:
        self.prepared += 1

    def speak(self, text: str, seed: int) -> Spoken:
        self.asked.append((text, seed))
        said = tuple(utterance(text) for _ in range(self.clauses))
        n_ticks = sum(int(u.ticks.sum()) for u in said)
        samples = np.full(n_ticks * SAMPLES_PER_TICK, 0.1, np.float32)
        frames = get_teacher("openfacefx").label(clip_of(said, n_ticks * 3 // 4, seed))
        if self.late_frames:
            frames = np.roll(frames, self.late_frames, axis=0)
        timings = {"llm_s": 0.1, "units_s": 0.2, "speech_s": 0.3, "face_s": 0.4, "first_audio_s": 0.25,
                   "first_face_s": 0.2, "total_s": 1.0}  # fmt: skip
        return Spoken(text, samples, frames, said, timings)

    def respond(self, prompt: str, seed: int) -> Spoken:
        return self.speak(prompt, seed)

    def animate(self, recording, phones):
        return None

    def facts(self) -> dict:
        return {"model": "none"}
