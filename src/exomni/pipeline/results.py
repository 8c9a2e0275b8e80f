"""What exomni gives back: typed results, and the files that a result is saved as."""

import io
import json
import os
import tempfile
import wave
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from fractions import Fraction
from pathlib import Path

import numpy as np

from ..core.arkit import NAMES
from ..core.atomic import write_bytes, write_text
from ..core.errors import OutputError
from ..core.events import DoneEvent, Event, FaceEvent, SpeechEvent, TextEvent, TranscriptEvent
from ..core.timebase import FRAME_HZ, SAMPLE_HZ
from ..export.a2f import write_a2f
from ..export.livelink_csv import write_livelink_csv
from ..export.track import FaceTrack

FILES = ("speech.wav", "face.json", "face.csv", "reply.json")
"""What a saved result consists of."""


@dataclass(frozen=True)
class Timings:
    """Where the time went, in seconds."""

    load_s: float = 0.0  # loading the model, before the request
    listen_s: float = 0.0  # reading a spoken question
    llm_s: float = 0.0  # writing the text (and reading its meaning)
    units_s: float = 0.0  # generating speech units, or reading a recording and tokenizing it
    speech_s: float = 0.0  # decoding and sounding them
    face_s: float = 0.0  # decoding the face
    first_audio_s: float = 0.0  # request to first speech
    first_face_s: float = 0.0  # request to first face
    total_s: float = 0.0  # request to last output
    real_time_factor: float = 0.0  # `total_s` over the speech's duration


@dataclass(frozen=True)
class Reply:
    """Words, voice and face of one reply, or the face of one recording.

    Attributes:
        text: what is said ("" for a recording).
        samples: speech, float32 [N] in -1..1, at `sample_rate`.
        units: speech units, int64 [T_unit], 12.5 a second.
        frames: blendshapes, float32 [T_frame, 52] in 0..1, 30 a second, the project's ARKit order.
        seed: that it was made with.
        model: SHA-256 of the weights.
        data: SHA-256 of the data that they were trained on.
        timings: where the time went.
        transcript: the spoken question in words ("" where it was typed).
        sample_rate: samples a second.
    """

    text: str
    samples: np.ndarray
    units: np.ndarray
    frames: np.ndarray
    seed: int = 0
    model: str = ""
    data: str = ""
    timings: Timings = field(default_factory=Timings)
    transcript: str = ""
    sample_rate: int = SAMPLE_HZ

    @property
    def duration_s(self) -> float:
        """Length of the speech."""
        return len(self.samples) / self.sample_rate

    @property
    def track(self) -> FaceTrack:
        """The face with its speech, for exports."""
        fps, words = Fraction(FRAME_HZ), self.text or None
        return FaceTrack(NAMES, fps, self.frames, audio=self.samples, sample_hz=self.sample_rate, text=words)

    def save(self, folder: str | Path) -> Path:
        """Write `speech.wav`, `face.json`, `face.csv` and `reply.json`.

        All are written whole beside an older result before any of it is replaced, `reply.json` last.

        Raises:
            OutputError: the folder cannot be written.
        """
        folder = Path(folder)
        check_folder(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder, prefix=".exomni-") as scratch:
                self._write(Path(scratch))
                for name in FILES:
                    os.replace(Path(scratch) / name, folder / name)
        except OSError as error:
            raise OutputError(f"cannot write to {folder}: {error.strerror or error}") from error
        return folder

    def _write(self, folder: Path) -> None:
        track = self.track
        write_bytes(folder / "speech.wav", wav_bytes(self.samples, self.sample_rate))
        write_a2f(track, folder / "face.json", "speech.wav")
        write_livelink_csv(track, folder / "face.csv")
        facts = {
            "text": self.text, "heard": self.transcript, "units": self.units.tolist(), "sample_rate": self.sample_rate,
            "fps": FRAME_HZ,
            "duration": self.duration_s, "frame_count": len(self.frames), "model": self.model, "data": self.data,
            "seed": self.seed, "timings": {k: round(v, 4) for k, v in asdict(self.timings).items()},
        }  # fmt: skip
        write_text(folder / "reply.json", json.dumps(facts, ensure_ascii=False, indent=1) + "\n")


def collect(events: Iterable[Event], seed: int, model: str, data: str) -> Reply:
    """The result that a stream's events make up.

    Args:
        events: all of a stream's.
        seed: that it was made with.
        model: SHA-256 of the weights.
        data: SHA-256 of their training data.
    """
    text, samples, units, frames, timings, transcript = [], [], [], [], {}, ""
    sample_rate = SAMPLE_HZ
    for event in events:
        match event:
            case TranscriptEvent():
                transcript = event.text
            case TextEvent():
                text.append(event.text)
            case FaceEvent():
                frames.append(event.frames)
            case SpeechEvent():
                samples.append(event.samples)
                units.append(event.units)
                sample_rate = event.sample_rate
            case DoneEvent():
                timings = event.timings
    known = {f.name: timings[f.name] for f in fields(Timings) if f.name in timings}
    return Reply(
        "".join(text).strip(), np.concatenate(samples), np.concatenate(units), np.concatenate(frames), seed, model,
        data, Timings(**known), transcript, sample_rate,
    )  # fmt: skip


def check_folder(folder: str | Path) -> None:
    """Find out before the work whether a folder can be written to; nothing is left of the attempt.

    Raises:
        OutputError: it cannot, or is a file.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file; give a folder to write to")
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    probe = folder / ".exomni-probe"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write to {folder}: {error.strerror or error}") from error
    with suppress(OSError):  # somebody else may have begun to write there
        for made in missing:
            made.rmdir()


def wav_bytes(samples: np.ndarray, sample_rate: int = SAMPLE_HZ) -> bytes:
    """float32 [N] in -1..1 as a PCM16 mono WAV file."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes((np.clip(samples, -1, 1) * 32767).round().astype("<i2").tobytes())
    return buffer.getvalue()
