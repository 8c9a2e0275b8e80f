"""What is evaluated: a system says a text or answers a question, and tells its phones and its times."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from ..core.errors import ConfigError
from ..core.events import Event, SpeechEvent
from ..core.timebase import SAMPLE_HZ
from ..pipeline.results import collect
from .phones import Utterance

SYSTEMS: tuple[str, ...] = ("exomni", "cascade")
CASCADE_TEACHER = "openfacefx"
"""Makes the cascade's face."""


@dataclass(frozen=True, eq=False)
class Spoken:
    """What a system said.

    Attributes:
        text: all of it.
        samples: speech, float32 [N], 24 kHz.
        frames: face, float32 [T_frame, 52].
        utterances: its clauses in order, with phoneme times.
        timings: seconds by name, as in `exomni.pipeline.results.Timings`.
    """

    text: str
    samples: np.ndarray
    frames: np.ndarray
    utterances: tuple[Utterance, ...]
    timings: dict[str, float] = field(default_factory=dict)

    @property
    def duration_s(self) -> float:
        """Length of the speech."""
        return len(self.samples) / SAMPLE_HZ


class System(Protocol):
    """Something that speaks with a face."""

    name: str

    def prepare(self) -> None:
        """Load everything that an answer needs, as a user's program does before the first question."""
        ...

    def speak(self, text: str, seed: int) -> Spoken:
        """Say a given text."""
        ...

    def respond(self, prompt: str, seed: int) -> Spoken:
        """Answer a question."""
        ...

    def animate(self, recording: Path, phones: list | None) -> np.ndarray | None:
        """Face of a recording, float32 [T_frame, 52]; None where the system cannot do without the true phones."""
        ...

    def facts(self) -> dict:
        """What identifies it: hashes and names."""
        ...


def gather(events: Iterable[Event]) -> Spoken:
    """All of a stream's events as what was said."""
    utterances: list[Utterance] = []

    def noted() -> Iterator[Event]:
        for event in events:
            if isinstance(event, SpeechEvent) and event.phonemes:
                utterances.append(Utterance(event.text, event.phonemes, event.ticks))
            yield event

    reply = collect(noted(), seed=0, model="", data="")
    return Spoken(reply.text, reply.samples, reply.frames, tuple(utterances), asdict(reply.timings))


class ExOmniSystem:
    """exomni itself, from a loaded `exomni.ExOmni`."""

    name = "exomni"

    def __init__(self, omni):
        self.omni = omni

    def prepare(self) -> None:
        """Load the LLM."""
        self.omni.prepare()

    def speak(self, text: str, seed: int) -> Spoken:
        """Say a given text; the emotion is left to the model."""
        return gather(self.omni.stream_speech(text, seed=seed))

    def respond(self, prompt: str, seed: int) -> Spoken:
        """Answer a question in the LLM's likeliest words."""
        return gather(self.omni.stream(prompt, seed=seed))

    def animate(self, recording: Path, phones: list | None) -> np.ndarray:
        """Face of a recording from its sound alone; the phones are not looked at."""
        return self.omni.animate(recording).frames

    def facts(self) -> dict:
        """Hashes of the weights and of the data that they were trained on."""
        return {"model": self.omni.parts.facts.weights, "data": self.omni.parts.facts.data}


def build_system(name: str, weights: Path | None = None) -> System:
    """Make a system ready, its LLM excepted, which is loaded for its first answer.

    `weights` is a folder of weights for exomni in place of the shipped ones.

    Raises:
        ConfigError: no such system in `SYSTEMS`.
        AssetError: a part is missing.
    """
    if name == "exomni":
        return ExOmniSystem(load_omni(weights))
    if name == "cascade":
        from ..data.teachers import get_teacher
        from ..parts.loading import load_parts
        from .cascade import CascadeSystem

        parts = load_parts("nano")
        return CascadeSystem(lambda: parts.writer, parts.teacher_voice, get_teacher(CASCADE_TEACHER))
    raise ConfigError(f"'{name}' is not a system; there are {', '.join(SYSTEMS)} and both")


def load_omni(weights: Path | None):
    """Load `nano`, with the weights of a folder or the shipped ones."""
    from ..pipeline.exomni import ExOmni

    return ExOmni.load("nano", weights=weights)
