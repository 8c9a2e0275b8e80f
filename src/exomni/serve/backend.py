"""What the server needs of a model, and how `ExOmni` gives it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..core.audio import resample
from ..core.errors import NothingHeardError
from ..core.events import Event
from ..core.timebase import ENCODER_SAMPLE_HZ, SAMPLE_HZ
from ..pipeline.speech_detector import SpeechDetector, VadConfig


@dataclass(frozen=True)
class Said:
    """One turn of a conversation: `role` is "user" or "assistant"."""

    role: str
    text: str


@dataclass(frozen=True)
class ReplyOptions:
    """How a reply is to be made.

    Attributes:
        emotion: float32 [5] in 0..1, or None to read it from the words.
        seed: of every random choice.
        speed: above 1 speaks faster.
        max_tokens: longest reply.
    """

    emotion: np.ndarray | None = None
    seed: int = 0
    speed: float = 1.0
    max_tokens: int = 256


class Backend(Protocol):
    """A model that talks. Its streams are advanced from one thread, several of them in turns."""

    def reply(self, turns: Sequence[Said], options: ReplyOptions) -> Iterator[Event]:
        """An answer with voice and face (`exomni.core.events`)."""

    def write(self, turns: Sequence[Said], options: ReplyOptions) -> Iterator[str]:
        """An answer in words only, piece by piece."""

    def remember(self, turns: Sequence[Said]) -> Iterator[None]:
        """Get ready, step by step, for what follows a reply, the last of these turns, while it is listened to."""

    def say(self, text: str, options: ReplyOptions) -> Iterator[Event]:
        """A given text with voice and face."""

    def animate(self, samples: np.ndarray, sample_rate: int, emotion: np.ndarray | None) -> Iterator[Event]:
        """A face for a recording, float32 [N]."""

    def transcribe(self, samples: np.ndarray) -> str:
        """What is said in float32 [N] at 16 kHz; "" where nobody speaks."""

    def detector(self, config: VadConfig) -> SpeechDetector:
        """Something that finds turns of speech."""


class OmniBackend:
    """`ExOmni` as a backend.

    Args:
        omni: the loaded model.
    """

    def __init__(self, omni):
        self._omni = omni

    @classmethod
    def load(cls) -> "OmniBackend":
        """Load `nano` and warm it up, so that the first person does not wait.

        Raises:
            AssetError: a part is not installed or damaged.
        """
        from ..pipeline.exomni import ExOmni

        omni = ExOmni.load("nano")
        reply = omni.respond("Hello!", max_new_tokens=8)
        backend = cls(omni)
        backend.transcribe(resample(reply.samples, SAMPLE_HZ, ENCODER_SAMPLE_HZ))
        return backend

    def reply(self, turns: Sequence[Said], options: ReplyOptions) -> Iterator[Event]:
        """See `Backend`."""
        return self._omni.stream(_turns(turns), **_speaking(options), max_new_tokens=options.max_tokens)

    def write(self, turns: Sequence[Said], options: ReplyOptions) -> Iterator[str]:
        """See `Backend`."""
        tokens = self._omni.parts.writer.write(_turns(turns), max_new_tokens=options.max_tokens, seed=options.seed)
        return (token.text for token in tokens)

    def remember(self, turns: Sequence[Said]) -> Iterator[None]:
        """See `Backend`."""
        return self._omni.parts.writer.prefill(_turns(turns))

    def say(self, text: str, options: ReplyOptions) -> Iterator[Event]:
        """See `Backend`."""
        return self._omni.stream_speech(text, **_speaking(options))

    def animate(self, samples: np.ndarray, sample_rate: int, emotion: np.ndarray | None) -> Iterator[Event]:
        """See `Backend`."""
        return self._omni.stream_animation(samples, sample_rate, emotion=emotion)

    def transcribe(self, samples: np.ndarray) -> str:
        """See `Backend`."""
        try:
            return self._omni.transcribe(samples, ENCODER_SAMPLE_HZ)
        except NothingHeardError:
            return ""

    def detector(self, config: VadConfig) -> SpeechDetector:
        """See `Backend`."""
        return SpeechDetector(self._omni.parts.voice_activity, config)


def _turns(turns: Sequence[Said]) -> list:
    from ..core.turns import Turn

    return [Turn(turn.role, turn.text) for turn in turns]


def _speaking(options: ReplyOptions) -> dict:
    return {"emotion": options.emotion, "seed": options.seed, "speed": options.speed}
