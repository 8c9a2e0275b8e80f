"""A client's audio on its way to turns of speech: kept while it may belong to a turn, and cut where a turn ends."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import soxr

from ..core.timebase import ENCODER_SAMPLE_HZ, SAMPLE_HZ, exact_ratio
from ..pipeline.speech_detector import SpeechDetector, SpeechEdge, VadConfig
from .protocol.items import new_id
from .scheduler import Job

TAIL_SAMPLES = exact_ratio(ENCODER_SAMPLE_HZ, 10)
"""How much of the silence after a turn belongs to it."""
SPARE_S = 1.0
"""How much audio without speech is kept, beyond what a turn may reach back to."""
SHORTEST_COMMIT_SAMPLES = exact_ratio(ENCODER_SAMPLE_HZ, 10)


@dataclass(eq=False)
class InputTurn:
    """One turn of the user's speech, from its first sound to its transcript: all that the server knows of it.

    Attributes:
        start_sample, stop_sample: where it begins and ends, at 16 kHz from the session's first sample; until it has
            ended, `stop_sample` is None. Both mean nothing for audio that came within an item.
        samples: its audio, float32 [N] at 16 kHz, once it has ended.
        detected: whether the server found its end, so that the audio is speech with a little silence around it;
            else the client said where it ends, and there may be anything in it.
        item_id: of the item that it becomes.
        committed_at: when its transcript was asked for, by the server's clock.
        transcript: its words, once they are there.
        job: writes the transcript, once that was asked for.
    """

    start_sample: int = 0
    stop_sample: int | None = None
    samples: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    detected: bool = False
    item_id: str = field(default_factory=lambda: new_id("item"))
    committed_at: float = 0.0
    transcript: str = ""
    job: Job | None = None


@dataclass(frozen=True)
class TurnEdge:
    """A turn has begun or ended."""

    kind: Literal["started", "stopped"]
    turn: InputTurn


class InputAudioBuffer:
    """One client's audio at 16 kHz, with the turns in it. Used by one thread at a time.

    Args:
        max_turn_samples: longest turn, at 16 kHz.
    Attributes:
        turn: the turn that is being spoken, as far as can be told.
        first_sample, n_samples: of what is kept: from which sample of the session, up to which.
    """

    def __init__(self, make_detector: Callable[[VadConfig], SpeechDetector], max_turn_samples: int) -> None:
        self._make_detector, self._max_samples = make_detector, max_turn_samples
        self._resampler = soxr.ResampleStream(SAMPLE_HZ, ENCODER_SAMPLE_HZ, 1, dtype="float32")
        # A good filter is 37 ms late. Whether there is speech must be known sooner, and can be told without one.
        self._hasty = soxr.ResampleStream(SAMPLE_HZ, ENCODER_SAMPLE_HZ, 1, dtype="float32", quality="QQ")
        self._pieces: list[np.ndarray] = []
        self._detector: SpeechDetector | None = None
        self._config: VadConfig | None = None
        self._detector_offset = 0
        self.turn: InputTurn | None = None
        self.first_sample = self.n_samples = self._n_judged = 0

    def detect(self, config: VadConfig | None) -> None:
        """Find turns in this way from now on, or find none."""
        if config != self._config:
            self._config = config
            self._detector = self._make_detector(config) if config else None
            self._detector_offset, self.turn = self._n_judged, None

    def add(self, samples: np.ndarray) -> list[TurnEdge]:
        """Take more audio, float32 [N] at 24 kHz; a turn that has become too long ends where it is."""
        kept = self._resampler.resample_chunk(samples)
        self._pieces.append(kept)
        self.n_samples += len(kept)
        judged = self._hasty.resample_chunk(samples)
        self._n_judged += len(judged)
        if self._detector is None or self._config is None:
            return []
        edges = [self._placed(edge) for edge in self._detector.add(judged)]
        now = self._n_judged
        if self.turn is not None and now - self.turn.start_sample > self._max_samples:
            self._restart(self._detector)
            edges.append(TurnEdge("stopped", self._end(self.turn, now)))
        if self.turn is None:
            kept_s = self._config.prefix_ms / 1000 + SPARE_S
            self._drop_before(now - round(kept_s * ENCODER_SAMPLE_HZ))
        return edges

    def full(self) -> bool:
        """Whether a turn that the client ends itself has become too long."""
        return self._detector is None and self.n_samples - self.first_sample > self._max_samples

    def commit(self) -> InputTurn:
        """All audio since the last turn as a turn that the client ends here."""
        turn = InputTurn(self.first_sample, self.n_samples, self._cut(self.first_sample, self.n_samples))
        self.clear()
        return turn

    def clear(self) -> None:
        """Drop the audio since the last turn."""
        self._drop_before(self.n_samples)
        self.turn = None
        if self._detector is not None:
            self._restart(self._detector)

    def _restart(self, detector: SpeechDetector) -> None:
        detector.reset()
        self._detector_offset = self._n_judged

    def _placed(self, edge: SpeechEdge) -> TurnEdge:
        """An edge of the detector's in the session's own samples, with its turn."""
        sample = max(self.first_sample, edge.sample + self._detector_offset)
        if edge.kind == "started" or self.turn is None:
            self.turn = InputTurn(sample)
        return TurnEdge(edge.kind, self.turn if edge.kind == "started" else self._end(self.turn, sample))

    def _end(self, turn: InputTurn, stop_sample: int) -> InputTurn:
        """The server has found a turn's end; its audio is cut out, and not kept here any longer."""
        end = min(self.n_samples, stop_sample + TAIL_SAMPLES)
        turn.samples = self._cut(max(self.first_sample, turn.start_sample), end)
        turn.stop_sample, turn.detected, self.turn = stop_sample, True, None
        self._drop_before(end)
        return turn

    def _cut(self, start: int, stop: int) -> np.ndarray:
        """What is kept from one sample of the session to another."""
        kept = np.concatenate(self._pieces) if self._pieces else np.zeros(0, np.float32)
        return kept[start - self.first_sample : stop - self.first_sample]

    def _drop_before(self, sample: int) -> None:
        while self._pieces and self.first_sample + len(self._pieces[0]) <= sample:
            self.first_sample += len(self._pieces.pop(0))
        if self._pieces and sample > self.first_sample:
            self._pieces[0] = self._pieces[0][sample - self.first_sample :]
            self.first_sample = sample
