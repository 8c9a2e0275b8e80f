"""The default teacher: openfacefx's blend of phonemes, our mouths, contacts made on the mesh, expression."""

import numpy as np

from .blinks import eye_weights
from .coarticulation import blend
from .expression import brow_weights, emotion_weights, onto_speech
from .face_teacher import Clip, TeacherConfig
from .lips import make_contacts, mouth_weights


class OpenFaceFxTeacher:
    """Labels from phonemes and their exact times; needs no sound."""

    name = "openfacefx"
    listens = False
    config_class = TeacherConfig

    def __init__(self, config: TeacherConfig | None = None) -> None:
        """Nothing to load and nothing to set."""

    def label(self, clip: Clip) -> np.ndarray:
        """ARKit weights, float32 [T_frame, K] in 0..1 (see `FaceTeacher`).

        Raises:
            InputError: symbols and ticks do not belong together.
        """
        phones = clip.phones
        speech = mouth_weights(blend(phones, clip.n_frames))
        felt = emotion_weights(phones, clip.emotion, clip.n_frames)
        face = onto_speech(speech, felt + brow_weights(phones, clip.n_frames))
        face = make_contacts(face, phones) + eye_weights(phones, clip.n_frames, clip.seed)
        return np.clip(face, 0.0, 1.0).astype(np.float32)
