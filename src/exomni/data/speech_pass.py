"""Says texts with the voice: phonemes with times, speech and acoustic channels, and finds rows that went wrong."""

import io
from dataclasses import dataclass

import numpy as np

from ..core.timebase import SAMPLE_HZ
from ..parts.loading import load_parts
from ..parts.ports import TeacherVoice
from . import rooms

MIN_SECONDS, MAX_SECONDS = 0.4, 24.0
MAX_PHONEMES = 400
"""Longer rows are left out: a voice takes no more at once."""
MAX_PITCH_SHIFT = 1.22
"""Largest factor by which a disguised voice is raised (or, inverted, lowered)."""


@dataclass(frozen=True)
class Speech:
    """One text, spoken.

    Attributes:
        phonemes: ids, int16 [T_text].
        ticks: durations, int16 [T_text], in 25 ms.
        samples: float32 [N], 24 kHz.
        acoustic: float16 [130, T_80hz]: of the plain voice, on the time of `samples`.
        disguised: whether `samples` is another timbre, pitch or room than `acoustic`.
    """

    phonemes: np.ndarray
    ticks: np.ndarray
    samples: np.ndarray
    acoustic: np.ndarray
    disguised: bool


def fault_of(speech: Speech) -> str | None:
    """Why a row is no good for training, or None."""
    seconds = len(speech.samples) / SAMPLE_HZ
    if not MIN_SECONDS <= seconds <= MAX_SECONDS or len(speech.phonemes) > MAX_PHONEMES:
        return "length"
    if not np.isfinite(speech.samples).all():
        return "not finite"
    if np.abs(speech.samples).max() < 0.01:
        return "silence"
    if np.mean(np.abs(speech.samples) >= 0.999) > 1e-3:
        return "clipping"
    return None


class Speaker:
    """Says texts with the one voice, some of them in disguise."""

    def __init__(self, voice: TeacherVoice):
        self.voice = voice

    def say(self, text: str, seed: int, disguise: bool) -> Speech:
        """Say a text; the noise component and the disguise are drawn by `seed`.

        A disguised text sounds like another speaker in another room. The acoustic channels stay those of the plain
        voice, so a tokenizer trained on both learns the words and not the speaker.

        Raises:
            InputError: nothing in it can be spoken.
        """
        rng = np.random.default_rng(seed)
        ids = self.voice.ids(self.voice.phonemes(text))
        shift = float(np.exp(rng.uniform(-1, 1) * np.log(MAX_PITCH_SHIFT))) if disguise else 1.0
        # Speed is chosen so that the shifted speech comes out at a natural pace again.
        frames = self.voice.time(ids, speed=1.0 / shift if disguise else float(rng.uniform(0.92, 1.08)))
        samples, acoustic = self.voice.sound(frames.acoustic, seed), frames.acoustic
        if disguise:
            samples, acoustic = _shift(samples, acoustic, shift)
            samples = _room(samples, rng)
        ticks = frames.ticks.astype(np.int16)
        return Speech(ids.astype(np.int16), ticks, samples, acoustic.astype(np.float16), disguise)


def load_speaker() -> Speaker:
    """Load the voice of `nano`, which says the texts; an AssetError where it is not installed."""
    return Speaker(load_parts("nano").teacher_voice)


def _shift(samples: np.ndarray, acoustic: np.ndarray, shift: float) -> tuple[np.ndarray, np.ndarray]:
    """Raise pitch and formants by resampling, and put the acoustic channels on the new time."""
    import soxr

    shifted = soxr.resample(samples, SAMPLE_HZ * shift, SAMPLE_HZ).astype(np.float32)
    n_frames = max(1, int(acoustic.shape[1] / shift))
    at = np.minimum(np.arange(n_frames) * shift, acoustic.shape[1] - 1)
    low = at.astype(int)
    high, part = np.minimum(low + 1, acoustic.shape[1] - 1), at - low
    return shifted, (acoustic[:, low] * (1 - part) + acoustic[:, high] * part).astype(np.float32)


def _room(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Colour, echo, noise and level of another room and microphone."""
    from scipy.signal import lfilter

    out = rooms.in_room(samples, SAMPLE_HZ, rng, longest_s=0.25, loudest=0.06, colour=(-0.5, 0.4))
    level = np.sqrt(np.mean(out**2)) + 1e-6
    noise = np.asarray(lfilter([1.0], [1.0, -rng.uniform(0.0, 0.95)], rng.standard_normal(len(out))))
    noise *= level / (np.sqrt(np.mean(noise**2)) * 10 ** (rng.uniform(8, 40) / 20))
    out = (out + noise) * rng.uniform(0.3, 1.2)
    return np.clip(out, -0.99, 0.99).astype(np.float32)


def to_flac(samples: np.ndarray, sample_rate: int = SAMPLE_HZ) -> bytes:
    """Speech as FLAC, 16 bits."""
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, samples, sample_rate, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def from_flac(data: bytes) -> np.ndarray:
    """float32 samples of `to_flac`."""
    import soundfile

    return soundfile.read(io.BytesIO(data), dtype="float32")[0]
