"""Face teachers label speech with blendshapes; a new one is a file here and a row of `TEACHERS`."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from pydantic import ValidationError

from ...core.errors import ConfigError
from .face_teacher import Clip, FaceTeacher, TeacherConfig
from .timing import PAD, Phone, voice_phones

TEACHERS: dict[str, str] = {
    "openfacefx": "openfacefx.OpenFaceFxTeacher",
    "audio2face3d": "audio2face3d.Audio2Face3DTeacher",
}
"""File and class of each teacher by its name; a file is imported when its teacher is asked for."""

__all__ = ["PAD", "TEACHERS", "Clip", "FaceTeacher", "Phone", "TeacherConfig", "get_teacher", "voice_phones"]


def get_teacher(name: str, options: Mapping[str, Any] | None = None) -> FaceTeacher:
    """The teacher of that name of `TEACHERS`, with options: fields of its configuration.

    Raises:
        ConfigError: no such teacher or option, or its packages are not installed; the message says which.
    """
    if name not in TEACHERS:
        raise ConfigError(f"'{name}' is not a face teacher; there are {', '.join(TEACHERS)}")
    module, _, class_name = TEACHERS[name].partition(".")
    teacher = getattr(import_module(f".{module}", __name__), class_name)
    if options and not teacher.config_class.model_fields:
        raise ConfigError(f"the {name} teacher has no options: {', '.join(options)}")
    try:
        return teacher(teacher.config_class(**(options or {})))
    except ValidationError as error:
        raise ConfigError(f"the {name} teacher's options: {error}") from error
