"""What a face teacher is given and what it gives."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import numpy as np

from ...core.configuration import StrictConfig
from ...core.emotion import EMOTIONS
from .timing import Phone, voice_phones


@dataclass(frozen=True, eq=False)
class Clip:
    """Speech to be labelled; each teacher reads what it needs.

    Attributes:
        symbols: the voice's phoneme symbols, `timing.PAD` for its id 0.
        ticks: duration of each symbol in ticks of 25 ms.
        n_frames: face frames wanted.
        emotion: float32 [5] for all of it or [S, 5] for each sentence (a sentence ends at a pair of PADs).
        seed: of blinks and glances, the only things that are random.
        audio: mono samples at 24 kHz, float32 [N]; only teachers with `listens` need it.
    """

    symbols: Sequence[str]
    ticks: Sequence[int] | np.ndarray
    n_frames: int
    emotion: np.ndarray = field(default_factory=lambda: np.zeros(len(EMOTIONS), np.float32))
    seed: int = 0
    audio: np.ndarray | None = None

    @property
    def phones(self) -> list[Phone]:
        """The sounds with their true times."""
        return voice_phones(self.symbols, self.ticks)


class TeacherConfig(StrictConfig):
    """Options of a face teacher, as a recipe gives them; this one has none."""


class FaceTeacher(Protocol):
    """Labels speech with a face; it is made from its configuration.

    Attributes:
        name: one of `TEACHERS`.
        listens: whether it needs `Clip.audio`.
        config_class: its options.
    """

    name: str
    listens: bool
    config_class: ClassVar[type[TeacherConfig]]

    def label(self, clip: Clip) -> np.ndarray:
        """ARKit weights, float32 [T_frame, K] in 0..1; frame k shows k/30 to (k+1)/30 s, its middle."""
        ...
