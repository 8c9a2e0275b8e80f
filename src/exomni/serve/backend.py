"""The model as the server uses it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..core.audio import resample
from ..core.errors import NoSpeechError, UnsupportedError
from ..core.events import Event
from ..core.timebase import ENCODER_SAMPLE_HZ, SAMPLE_HZ
from ..core.turns import Turn
from ..pipeline.speech_detector import SpeechDetector, VadConfig

if TYPE_CHECKING:
    from ..pipeline.exomni import ExOmni


@dataclass(frozen=True)
class ReplyOptions:
    """How a reply is to be made.

    Attributes:
        emotion: float32 [5] in 0..1, or None to read it from the words.
        speed: above 1 speaks faster.
    """

    emotion: np.ndarray | None = None
    seed: int = 0
    speed: float = 1.0
    max_tokens: int = 256


class Backend:
    """The model as the server uses it. Its streams are advanced from one thread, several of them in turns.

    Args:
        omni: the loaded model.
    """

    def __init__(self, omni: "ExOmni") -> None:
        self._omni = omni

    @classmethod
    def load(cls, model: str = "nano") -> "Backend":
        """Load a model and warm it up, so that the first user does not wait.

        Args:
            model: as `ExOmni.load` takes it.
        Raises:
            AssetError: a part is not installed or damaged.
            UnsupportedError: the model cannot speak, or not at the rate that the protocol sends.
        """
        from ..pipeline.exomni import ExOmni

        omni = ExOmni.load(model)
        if omni.parts.voice.sample_rate != SAMPLE_HZ:
            raise UnsupportedError(
                f"{model} speaks at {omni.parts.voice.sample_rate} Hz, and the server sends {SAMPLE_HZ} Hz; "
                "use talk, speak or animate"
            )
        reply = omni.respond("Hello!", max_new_tokens=8)
        backend = cls(omni)
        backend.transcribe(resample(reply.samples, SAMPLE_HZ, ENCODER_SAMPLE_HZ))
        return backend

    def reply(self, turns: Sequence[Turn], options: ReplyOptions) -> Iterator[Event]:
        """An answer with voice and face (`exomni.core.events`)."""
        return self._omni.stream(
            list(turns), emotion=options.emotion, seed=options.seed, speed=options.speed,
            max_new_tokens=options.max_tokens,
        )  # fmt: skip

    def write(self, turns: Sequence[Turn], options: ReplyOptions) -> Iterator[str]:
        """An answer in words only, piece by piece."""
        tokens = self._omni.parts.writer.write(turns, max_new_tokens=options.max_tokens, seed=options.seed)
        return (token.text for token in tokens)

    def prefill(self, turns: Sequence[Turn]) -> Iterator[None]:
        """Prefill a reply, the last of these turns, step by step while it is played; the next one begins sooner."""
        return self._omni.parts.writer.prefill(turns)

    def say(self, text: str, options: ReplyOptions) -> Iterator[Event]:
        """A given text with voice and face."""
        return self._omni.stream_speech(text, emotion=options.emotion, seed=options.seed, speed=options.speed)

    def animate(self, samples: np.ndarray, sample_rate: int, emotion: np.ndarray | None) -> Iterator[Event]:
        """A face for a recording, float32 [N]."""
        return self._omni.stream_animation(samples, sample_rate, emotion=emotion)

    def transcribe(self, samples: np.ndarray, trimmed: bool = False) -> str:
        """The words of some audio; "" where there is no speech.

        Args:
            samples: float32 [N] at 16 kHz.
            trimmed: whether this is one turn that a `detector` has cut out: speech with at most its prefix before it
                and 0.1 s after it, so that it need not be searched for speech again. Else anything may be in it.
        """
        try:
            return self._omni.transcribe(samples, ENCODER_SAMPLE_HZ, trimmed=trimmed)
        except NoSpeechError:
            return ""

    def detector(self, config: VadConfig) -> SpeechDetector:
        """Something that finds turns of speech."""
        return SpeechDetector(self._omni.parts.voice_activity, config)
