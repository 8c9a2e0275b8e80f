"""This machine's sound card: a player and a microphone; each is the clock of its sound."""

import time
from collections.abc import Iterator
from queue import SimpleQueue
from types import ModuleType

import numpy as np

from exomni.core.errors import FormatError, InputError, ServiceError

from .clock import SampleClock

BLOCK_S = 0.02
"""The microphone tells of so much at a time."""
SILENT_S = 3.0
"""A microphone that gives nothing for so long has been unplugged."""
CALM_S = 0.005
"""By how much the face may come nearer to the voice again with each piece that is not late."""


def sound_library() -> ModuleType:
    """The package `sounddevice`.

    Raises:
        ServiceError: it, or the PortAudio library that it needs, is not installed.
    """
    try:
        import sounddevice  # pyright: ignore[reportMissingImports]  # optional, see INSTALL
    except ImportError as error:
        raise ServiceError("sound needs the package sounddevice: pip install 'exomni[sound]'") from error
    except OSError as error:
        raise ServiceError(f"sound needs PortAudio ({error}), such as: apt install libportaudio2") from error
    return sounddevice


class Player(SampleClock):
    """Plays the audio on this machine's sound card and is its clock; needs the package `sounddevice`."""

    def __init__(self, samples: np.ndarray | None, sample_hz: int | None) -> None:
        """Open the sound card; playing begins with the first look at the clock.

        Args:
            samples: mono, [N].
            sample_hz: samples a second.
        Raises:
            FormatError: there is no audio.
            ServiceError: there is no sound card, or no `sounddevice`.
        """
        if samples is None or sample_hz is None:
            raise FormatError("there is no audio to play")
        super().__init__(sample_hz)
        self._samples, self._at = np.asarray(samples, np.float32), 0
        library = sound_library()
        try:
            self._stream = library.OutputStream(samplerate=sample_hz, channels=1, callback=self._fill)
        except library.PortAudioError as error:
            raise ServiceError(f"the sound card cannot be opened: {error}") from error

    def position_s(self) -> float:
        """Seconds of the audio that have been played."""
        if not self._stream.active and self._at == 0:
            self._stream.start()
        return super().position_s()

    def close(self) -> None:
        """Stop playing."""
        self._stream.close()

    def _fill(self, out: np.ndarray, n_samples: int, _time: object, _status: object) -> None:
        piece = self._samples[self._at : self._at + n_samples]
        out[:] = 0
        out[: len(piece), 0] = piece
        self._at += n_samples
        self.played(n_samples)


class Microphone(SampleClock):
    """Records a voice, and is the clock of the face that follows it: as far behind as that face has come.

    The crystal of the sound card counts, so that hours do not drift; and the distance follows the machine, so that a
    slow one shows every face later, but shows it.

    Attributes:
        sample_hz: samples a second that are recorded.
        behind_s: seconds from a sound to its face.
    """

    def __init__(self, device: str | None = None) -> None:
        """Open the microphone; recording begins with the first piece.

        Args:
            device: its name, a part of it, or its number; the usual one without it.
        Raises:
            InputError: no such device.
            ServiceError: there is no microphone, or no `sounddevice`.
        """
        library = sound_library()
        try:
            found = library.query_devices(int(device) if device and device.isdigit() else device, "input")
            self.sample_hz = int(found["default_samplerate"])
            super().__init__(self.sample_hz)
            self._recorded: SimpleQueue[np.ndarray] = SimpleQueue()
            self.behind_s = self._shown_s = 0.0
            block = int(self.sample_hz * BLOCK_S)
            self._stream = library.InputStream(
                samplerate=self.sample_hz, channels=1, blocksize=block, device=found["index"], callback=self._record
            )
        except ValueError as error:
            raise InputError(f"no microphone '{device}': {error}") from None
        except library.PortAudioError as error:
            raise ServiceError(f"there is no microphone: {error}") from error

    def pieces(self) -> Iterator[np.ndarray]:
        """What is recorded, mono float32 [n] each: all that has come since the last piece; without an end.

        Raises:
            ServiceError: nothing has come for long.
        """
        self._told_s = time.monotonic()
        self._stream.start()
        while True:
            while self._recorded.empty():
                self._check()
                time.sleep(BLOCK_S / 2)
            yield np.concatenate([self._recorded.get() for _ in range(self._recorded.qsize())])

    def follow(self, time_s: float) -> None:
        """Tell that the face of `time_s` seconds has come only now: the clock shows at most that."""
        self.behind_s = max(super().position_s() - time_s, self.behind_s - CALM_S)

    def position_s(self) -> float:
        """Seconds of the voice that are to be seen by now; never runs backwards.

        Raises:
            ServiceError: nothing has come for long.
        """
        self._check()
        self._shown_s = max(self._shown_s, super().position_s() - self.behind_s)
        return self._shown_s

    def close(self) -> None:
        """Stop recording."""
        self._stream.close()

    def _check(self) -> None:
        if time.monotonic() - self._told_s > SILENT_S:
            raise ServiceError("the microphone gives nothing any more")

    def _record(self, recorded: np.ndarray, n_samples: int, _time: object, _status: object) -> None:
        self._recorded.put(recorded[:, 0].copy())
        self.played(n_samples)
