"""Face teachers: they label speech with blendshapes, and are pluggable by name."""

from ...core.errors import ConfigError
from .base import Clip, FaceTeacher
from .timing import PAD, Phone, voice_phones

TEACHERS: tuple[str, ...] = ("openfacefx",)

__all__ = ["PAD", "TEACHERS", "Clip", "FaceTeacher", "Phone", "get_teacher", "voice_phones"]


def get_teacher(name: str) -> FaceTeacher:
    """The teacher of that name.

    Raises:
        ConfigError: there is none; the message lists those there are.
    """
    if name == "openfacefx":
        from .openfacefx import OpenFaceFxTeacher

        return OpenFaceFxTeacher()
    raise ConfigError(f"'{name}' is not a face teacher; there are {', '.join(TEACHERS)}")
