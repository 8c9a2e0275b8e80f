"""Face teachers: they label speech with blendshapes, and are pluggable by name."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from ...core.errors import ConfigError
from .base import Clip, FaceTeacher
from .timing import PAD, Phone, voice_phones

TEACHERS: tuple[str, ...] = ("openfacefx", "audio2face3d")

__all__ = ["PAD", "TEACHERS", "Clip", "FaceTeacher", "Phone", "get_teacher", "voice_phones"]


def get_teacher(name: str, options: Mapping[str, Any] | None = None) -> FaceTeacher:
    """The teacher of that name.

    Args:
        name: one of TEACHERS.
        options: fields of its configuration; `openfacefx` has none.
    Raises:
        ConfigError: no such teacher or option, or its packages are not installed; the message says which.
    """
    options = dict(options or {})
    if name == "openfacefx":
        from .openfacefx import OpenFaceFxTeacher

        if options:
            raise ConfigError(f"the openfacefx teacher has no options: {', '.join(options)}")
        return OpenFaceFxTeacher()
    if name == "audio2face3d":
        from .audio2face3d import Audio2Face3DConfig, Audio2Face3DTeacher

        try:
            return Audio2Face3DTeacher(Audio2Face3DConfig(**options))
        except ValidationError as error:
            raise ConfigError(f"the audio2face3d teacher's options: {error}") from error
    raise ConfigError(f"'{name}' is not a face teacher; there are {', '.join(TEACHERS)}")
