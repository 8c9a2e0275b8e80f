"""The latest replies, for downloads: as many as fit a limit of memory."""

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from ..core.arkit import NAMES
from ..core.timebase import FRAME_HZ, SAMPLE_HZ
from ..export.track import FaceTrack, Word
from .protocol.server import SpokenWord


@dataclass(frozen=True)
class KeptReply:
    """A reply as it is remembered: frames [T, 52] float32, samples PCM16 [N], and the words with their times."""

    frames: np.ndarray
    samples: np.ndarray
    text: str
    words: tuple[SpokenWord, ...]

    @property
    def n_bytes(self) -> int:
        """About what it takes."""
        return self.frames.nbytes + self.samples.nbytes + 200 * len(self.words) + len(self.text)

    def track(self) -> FaceTrack:
        """The reply for exports."""
        words = tuple(Word(w.text, w.start_sample / SAMPLE_HZ, w.end_sample / SAMPLE_HZ) for w in self.words)
        return FaceTrack(
            NAMES, FRAME_HZ, self.frames, audio=self.samples.astype(np.float32) / 32767, sample_hz=SAMPLE_HZ,
            text=self.text or None, words=words,
        )  # fmt: skip


class KeptReplies:
    """The latest replies by id; whoever knows an id may have the reply.

    Args:
        most_bytes: of all together.
    """

    def __init__(self, most_bytes: int):
        self._most = most_bytes
        self._replies: OrderedDict[str, KeptReply] = OrderedDict()
        self.n_bytes = 0

    def add(
        self, reply_id: str, frames: list[np.ndarray], samples: list[np.ndarray], text: str,
        words: tuple[SpokenWord, ...],
    ) -> None:  # fmt: skip
        """Remember a reply's pieces, and forget the oldest where there is no room; one without a frame is nothing."""
        if not frames:
            return
        sound = (np.clip(np.concatenate(samples), -1, 1) * 32767).round().astype(np.int16) if samples else []
        kept = KeptReply(np.concatenate(frames), np.asarray(sound, np.int16), text, words)
        self._replies[reply_id] = kept
        self.n_bytes += kept.n_bytes
        while self.n_bytes > self._most:
            self.n_bytes -= self._replies.popitem(last=False)[1].n_bytes

    def get(self, reply_id: str) -> KeptReply | None:
        """The reply of that id, while it is remembered."""
        return self._replies.get(reply_id)
