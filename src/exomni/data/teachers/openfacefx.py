"""The default teacher: openfacefx's blend of phonemes, our mouths, contacts made on the mesh, expression."""

import itertools

import numpy as np

from ...core.timebase import FRAME_HZ
from ...face.eyes import LONGEST_GAP_S, SHORTEST_GAP_S, eye_shapes, gaze_at, lids_at, next_glance
from .coarticulation import blend
from .expression import brow_weights, emotion_weights, onto_speech
from .face_teacher import Clip, TeacherConfig
from .lips import make_contacts, mouth_weights
from .timing import Phone


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


def eye_weights(phones: list[Phone], n_frames: int, seed: int) -> np.ndarray:
    """Blinks and glances of a clip, [T, K], random by seed; a blink that is nearly due is drawn to a phrase's end."""
    middle_s = (np.arange(n_frames) + 0.5) / FRAME_HZ
    end_s = middle_s[-1] if n_frames else 0.0
    ends_s = [p.start_s for before, p in itertools.pairwise(phones) if not p.symbol and before.symbol]
    blinks_s = _blinks_s(end_s, ends_s, np.random.default_rng([seed, 1]))
    rng, times_s, places = np.random.default_rng([seed, 2]), [0.0], [np.zeros(2)]
    while times_s[-1] < end_s:
        gap_s, place = next_glance(rng)
        times_s.append(times_s[-1] + gap_s)
        places.append(place)
    return eye_shapes(lids_at(middle_s, blinks_s), gaze_at(middle_s, times_s, places))


def _blinks_s(end_s: float, ends_s: list[float], rng: np.random.Generator) -> list[float]:
    blinks_s, clock_s = [], rng.uniform(0.6, LONGEST_GAP_S - 1.0)
    while clock_s < end_s:
        near = [e for e in ends_s if abs(e - clock_s) < 0.9]
        if near and rng.uniform() < 0.75:
            clock_s = min(near, key=lambda e: abs(e - clock_s)) + rng.uniform(-0.08, 0.06)
        blinks_s.append(clock_s)
        clock_s += rng.uniform(SHORTEST_GAP_S, LONGEST_GAP_S)
    return blinks_s
