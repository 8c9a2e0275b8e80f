"""The latest replies, as many as fit a limit of memory, and each as a file in any format of `exomni.export`."""

import io
import tempfile
import zipfile
from collections import OrderedDict
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from ..core.arkit import NAMES
from ..core.timebase import FRAME_HZ, SAMPLE_HZ
from ..export import FORMATS, export
from ..export.track import FaceTrack, Word
from .protocol.items import pcm16
from .protocol.server import SpokenWord

STEM = "exomni"


@dataclass(frozen=True)
class KeptReply:
    """A reply that can be downloaded: frames [T, 52] float32, samples PCM16 [N], and the words with their times."""

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
            NAMES, Fraction(FRAME_HZ), self.frames, audio=self.samples.astype(np.float32) / 32767, sample_hz=SAMPLE_HZ,
            text=self.text or None, words=words,
        )  # fmt: skip


class KeptReplies:
    """The latest replies by id, `most_bytes` of them; whoever knows an id may have the reply."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._replies: OrderedDict[str, KeptReply] = OrderedDict()
        self.n_bytes = 0

    def add(
        self, reply_id: str, frames: list[np.ndarray], samples: list[np.ndarray], text: str,
        words: tuple[SpokenWord, ...],
    ) -> None:  # fmt: skip
        """Keep a reply's pieces, and drop the oldest where there is no room; one without frames is not."""
        if not frames:
            return
        sound = np.frombuffer(b"".join(map(pcm16, samples)), "<i2")
        kept = KeptReply(np.concatenate(frames), sound, text, words)
        self._replies[reply_id] = kept
        self.n_bytes += kept.n_bytes
        while self.n_bytes > self._most:
            self.n_bytes -= self._replies.popitem(last=False)[1].n_bytes

    def get(self, reply_id: str) -> KeptReply | None:
        """The reply of that id, while it is kept."""
        return self._replies.get(reply_id)


def write_download(reply: KeptReply, format_name: str) -> tuple[str, bytes]:
    """Name and content of a file with a reply in a format of `exomni.export.FORMATS`; a zip where it is several files.

    Raises:
        UserError: the format cannot hold this reply, such as captions of one without words.
    """
    with tempfile.TemporaryDirectory(prefix="exomni-") as folder:
        target = Path(folder) / (STEM + FORMATS[format_name].suffix)
        export(reply.track(), [f"{format_name}={target}"])
        files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
        if len(files) == 1:
            return files[0].name, files[0].read_bytes()
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in files:
                archive.write(path, path.relative_to(folder))
        return f"{STEM}-{format_name}.zip", packed.getvalue()
