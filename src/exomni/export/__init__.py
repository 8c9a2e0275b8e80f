"""Take a face anywhere: read it from any file, fit it to a character, write it for any program."""

from .a2f import read_a2f, write_a2f
from .livelink_csv import read_livelink_csv, write_livelink_csv
from .reading import Reading
from .track import FaceTrack, Word, as_rate

__all__ = [
    "FaceTrack",
    "Reading",
    "Word",
    "as_rate",
    "read_a2f",
    "read_livelink_csv",
    "write_a2f",
    "write_livelink_csv",
]
