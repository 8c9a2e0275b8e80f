"""Does the face fit the speech: against the teacher on the same phones, and against the true phone times."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ..core.arkit import EXPRESSION, MOUTH
from ..core.audio import read_audio
from ..core.errors import InputError
from ..core.timebase import SAMPLE_HZ
from ..data.teachers import FaceTeacher, Phone
from ..face.measures import inner_lip_gap_mm
from . import face_metrics
from .metric import Goal, Metric, by_key, columns, compute, mean
from .phones import clip_of, clip_of_phones, expected_opening, is_open_vowel, read_phones
from .systems import System

AUDIO_SUFFIXES = frozenset((".wav", ".flac", ".mp3", ".m4a", ".ogg", ".opus", ".webm"))


@dataclass(frozen=True, eq=False)
class MeasuredFace:
    """A face and what it is measured against.

    Attributes:
        name: group of the text or name of the recording.
        text: what is said ("" where unknown).
        frames: the face, float32 [T_frame, 52].
        loudness: of the speech in each frame, [T_frame].
        phones: with true times; none where they are unknown.
        reference: the teacher's face on those phones, [T_frame, 52]; None without phones.
    """

    name: str
    text: str
    frames: np.ndarray
    loudness: np.ndarray
    phones: tuple[Phone, ...] = ()
    reference: np.ndarray | None = None


def spoken_face(system: System, teacher: FaceTeacher, group: str, text: str, seed: int) -> MeasuredFace:
    """Have a system say a text; the teacher labels the very phones and times that were said."""
    spoken = system.speak(text, seed)
    n_frames = len(spoken.frames)
    clip = clip_of(spoken.utterances, n_frames, seed, audio=spoken.samples)
    loudness = face_metrics.loudness(spoken.samples, SAMPLE_HZ, n_frames)
    return MeasuredFace(group, text, spoken.frames, loudness, tuple(clip.phones), teacher.label(clip))


def recorded_faces(system: System, teacher: FaceTeacher, folder: Path, progress=iter) -> list[MeasuredFace]:
    """Faces that a system makes for a folder of recordings; the teacher labels those whose phones are known.

    `NAME.phone.json` beside `NAME.wav` holds its phones (`phones.read_phones`); an InputError without a recording.
    """
    paths = sorted(p for p in folder.glob("*") if p.suffix.lower() in AUDIO_SUFFIXES)
    if not paths:
        raise InputError(f"{folder} holds no recordings ({', '.join(sorted(AUDIO_SUFFIXES))})")
    faces = []
    for path in progress(paths):
        aligned = path.with_name(path.stem + ".phone.json")
        phones = read_phones(aligned) if aligned.is_file() else []
        frames = system.animate(path, phones or None)
        if frames is None:
            continue
        samples = read_audio(path, SAMPLE_HZ)
        loudness = face_metrics.loudness(samples, SAMPLE_HZ, len(frames))
        reference = teacher.label(clip_of_phones(phones, len(frames), samples)) if phones else None
        faces.append(MeasuredFace(path.stem, "", frames, loudness, tuple(phones), reference))
    return faces


class MeasuredFaces:
    """Faces, at least one, that figures are computed over, and what several of the figures need of them."""

    def __init__(self, faces: Sequence[MeasuredFace]):
        self.faces = faces

    @cached_property
    def gaps_mm(self) -> list[np.ndarray]:
        """Inner-lip gap of each face, [T_frame]."""
        return [inner_lip_gap_mm(f.frames) for f in self.faces]

    @cached_property
    def timed(self) -> list[tuple[MeasuredFace, np.ndarray]]:
        """The faces whose phones are known, with their gaps."""
        return [(f, gap) for f, gap in zip(self.faces, self.gaps_mm, strict=True) if f.phones]

    @cached_property
    def closure_gaps_mm(self) -> np.ndarray:
        """Smallest gap at each p, b and m, [n_closures]."""
        return _joined(face_metrics.closure_gaps_mm(gap, f.phones) for f, gap in self.timed)

    @cached_property
    def pairs(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Each face that has a reference, with it."""
        return [(f.frames, f.reference) for f in self.faces if f.reference is not None]

    @cached_property
    def correlations(self) -> dict[str, float]:
        """Correlation with the reference of each shape that moves, over all frames; empty without references."""
        return face_metrics.shape_correlation(*self._joined_pairs) if self.pairs else {}

    @cached_property
    def _joined_pairs(self) -> tuple[np.ndarray, np.ndarray]:
        return np.concatenate([face for face, _ in self.pairs]), np.concatenate([label for _, label in self.pairs])

    def correlation(self, names: Iterable[str]) -> float | None:
        """Mean correlation of those of the named shapes that move; None without references."""
        return mean([self.correlations[n] for n in names if n in self.correlations]) if self.pairs else None

    def expression_error(self, neutral: bool = False) -> float | None:
        """Error of the expression, or that of a face without any; None without references."""
        if not self.pairs:
            return None
        face, reference = self._joined_pairs
        return face_metrics.expression_error(np.zeros_like(reference) if neutral else face, reference)

    @cached_property
    def lag(self) -> face_metrics.Lag | None:
        """How late the faces are against the mouths that their phones let one expect."""
        expected = [expected_opening(f.phones, len(gap)) for f, gap in self.timed]
        return _lag([gap for _, gap in self.timed], expected)

    @cached_property
    def lag_by_sound(self) -> face_metrics.Lag | None:
        """How late they are against the loudness of the speech."""
        return _lag(self.gaps_mm, [f.loudness for f in self.faces])

    def vowel_opening_mm(self) -> float:
        """Mean of the widest gaps during open vowels."""
        vowels = [face_metrics.phone_openings_mm(gap, filter(is_open_vowel, f.phones)) for f, gap in self.timed]
        return mean(_joined(vowels))


def _joined(parts: Iterable[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.zeros(0), *parts])


def _jitter_mm(faces: Iterable[np.ndarray]) -> float:
    return mean([face_metrics.jitter_mm(face) for face in faces])


def _lag(openings: list[np.ndarray], expected: list[np.ndarray]) -> face_metrics.Lag | None:
    try:
        return face_metrics.lag(openings, expected)
    except InputError:  # Nothing moves, or every clip is too short.
        return None


NAN = float("nan")
_ON_TEXTS = {"system": "exomni", "on": "texts"}
METRICS = by_key(
    Metric(
        "lve_mm", "LVE mm", lambda m: face_metrics.lip_vertex_error(m.pairs) if m.pairs else None,
        goals=(Goal("LVE against the teacher, mm", "at most", 2.0, _ON_TEXTS),),
    ),
    Metric("mouth_correlation", "corr mouth", lambda m: m.correlation(MOUTH)),
    Metric("expression_correlation", "corr expr", lambda m: m.correlation(EXPRESSION)),
    Metric("expression_error", "expr error", lambda m: m.expression_error()),
    Metric("expression_error_of_neutral", "", lambda m: m.expression_error(neutral=True)),
    Metric("closures", "p b m", lambda m: len(m.closure_gaps_mm)),
    Metric(
        "closed", "closed %", lambda m: face_metrics.closed_share(m.closure_gaps_mm), scale=100,
        goals=(Goal("p b m closed, %", "at least", 95.0, _ON_TEXTS, rank=-1),),
    ),
    Metric("vowel_opening_mm", "vowels mm", lambda m: m.vowel_opening_mm()),
    Metric("jitter_mm", "jitter mm", lambda m: _jitter_mm(f.frames for f in m.faces)),
    Metric(
        "jitter_of_reference_mm", "of teacher",
        lambda m: _jitter_mm(label for _, label in m.pairs) if m.pairs else None,
    ),
    Metric(
        "lag_frames", "lag frames", lambda m: m.lag.frames if m.lag else NAN,
        goals=(
            Goal("lag on recordings, frames either way", "at most", 1.0, {"system": "exomni", "on": "recordings"},
                 compare=lambda frames: abs(frames)),
        ),
    ),
    Metric("lag_exact_frames", "", lambda m: m.lag.exact_frames if m.lag else NAN),
    Metric("lag_by_sound_frames", "by sound", lambda m: m.lag_by_sound.frames if m.lag_by_sound else NAN),
)  # fmt: skip
"""Each is computed from `MeasuredFaces`; those against a reference are left out where no face has one."""


def measure(faces: Sequence[MeasuredFace]) -> dict[str, float]:
    """Figures by key over all frames of all faces, at least one; not a number where nothing can be measured."""
    return compute(METRICS, MeasuredFaces(faces))


def facial(
    systems: Sequence[System], teacher: FaceTeacher, texts: Sequence[tuple[str, str]],
    recordings: Path | None = None, progress=iter,
) -> tuple[dict, dict[str, list[MeasuredFace]]]:  # fmt: skip
    """Measure every system on every text (group, text) with the same seeds, and on recordings (`recorded_faces`).

    Where the teacher is the cascade's own, the cascade has hardly an error against it.

    Returns:
        `teacher` (its name), `table`, `figures`, `rows` (each text and recording) and `shapes` (correlation of each
        shape); the faces of the texts by system.
    """
    faces: dict[str, list[MeasuredFace]] = {s.name: [] for s in systems}
    for seed, (group, text) in enumerate(progress(texts)):
        for system in systems:
            faces[system.name].append(spoken_face(system, teacher, group, text, seed))
    sets = [(name, "texts", own) for name, own in faces.items()]
    if recordings:
        sets += [(s.name, "recordings", recorded_faces(s, teacher, recordings, progress)) for s in systems]
    sets = [s for s in sets if s[2]]
    figures = [{"system": name, "on": on, **measure(own)} for name, on, own in sets]
    return {
        "teacher": teacher.name,
        "table": [
            {"system": name, "on": f"{len(own)} {on}", **columns(METRICS, known)}
            for (name, on, own), known in zip(sets, figures, strict=True)
        ],
        "figures": figures,
        "rows": [
            {"system": name, "on": on, "name": f.name, "text": f.text, **measure([f])}
            for name, on, own in sets for f in own
        ],
        "shapes": {f"{name} on {on}": MeasuredFaces(own).correlations for name, on, own in sets},
    }, faces  # fmt: skip
