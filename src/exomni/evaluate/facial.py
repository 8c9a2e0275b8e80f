"""Does the face fit the speech: against the teacher on the same phones, and against the true phone times."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..core.arkit import EXPRESSION, INDEX, MOUTH
from ..core.errors import InputError
from ..core.timebase import SAMPLE_HZ
from ..data.teachers import FaceTeacher, Phone
from ..face.measures import inner_lip_gap_mm
from . import metrics
from .phones import clip_of, clip_of_phones, expected_opening, is_open_vowel, phones_of, read_phones
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
        phones: with true times; none where nobody knows them.
        reference: the teacher's face on those phones, [T_frame, 52]; None without phones.
    """

    name: str
    text: str
    frames: np.ndarray
    loudness: np.ndarray
    phones: tuple[Phone, ...] = ()
    reference: np.ndarray | None = None


def spoken_face(system: System, teacher: FaceTeacher, group: str, text: str, seed: int) -> MeasuredFace:
    """Have a system say a text; the teacher labels the very phones and times that it said."""
    spoken = system.speak(text, seed)
    n_frames = len(spoken.frames)
    clip = clip_of(spoken.utterances, n_frames, seed)
    loudness = metrics.loudness(spoken.samples, SAMPLE_HZ, n_frames)
    return MeasuredFace(group, text, spoken.frames, loudness, tuple(phones_of(clip)), teacher.label(clip))


def recorded_faces(system: System, teacher: FaceTeacher, folder: Path, progress=iter) -> list[MeasuredFace]:
    """Faces that a system makes for a folder of recordings.

    Args:
        system: that animates.
        teacher: labels the recordings whose phones are known.
        folder: audio files; `NAME.phone.json` beside `NAME.wav` holds its phones (`phones.read_phones`).
        progress: wraps the list of recordings.
    Raises:
        InputError: there is no recording.
    """
    from ..core.audio import read_audio

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
        loudness = metrics.loudness(read_audio(path, SAMPLE_HZ), SAMPLE_HZ, len(frames))
        reference = teacher.label(clip_of_phones(phones, len(frames))) if phones else None
        faces.append(MeasuredFace(path.stem, "", frames, loudness, tuple(phones), reference))
    return faces


def measure(faces: Sequence[MeasuredFace]) -> dict[str, float]:
    """Figures over all frames of all faces; not a number where nothing can be measured.

    Args:
        faces: at least one.
    """
    gaps = [inner_lip_gap_mm(f.frames) for f in faces]
    timed = [(f, gap) for f, gap in zip(faces, gaps, strict=True) if f.phones]
    closures = _joined(metrics.closure_gaps_mm(gap, f.phones) for f, gap in timed)
    opened = _joined(metrics.phone_openings_mm(gap, filter(is_open_vowel, f.phones)) for f, gap in timed)
    by_phones = _lag([g for _, g in timed], [expected_opening(f.phones, len(g)) for f, g in timed])
    by_sound = _lag(gaps, [f.loudness for f in faces])
    return {
        **_against_reference([f for f in faces if f.reference is not None]),
        "closures": len(closures), "closed": metrics.closed_share(closures),
        "vowel_opening_mm": float(opened.mean()) if len(opened) else float("nan"),
        "jitter_mm": float(np.mean([metrics.jitter_mm(f.frames) for f in faces])),
        "lag_frames": by_phones.frames if by_phones else float("nan"),
        "lag_exact_frames": by_phones.exact_frames if by_phones else float("nan"),
        "lag_by_sound_frames": by_sound.frames if by_sound else float("nan"),
    }  # fmt: skip


def _joined(parts: Iterable[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.zeros(0), *parts])


def _lag(openings: list[np.ndarray], expected: list[np.ndarray]) -> metrics.Lag | None:
    try:
        return metrics.lag(openings, expected)
    except InputError:  # Nothing moves, or every clip is too short.
        return None


def _against_reference(faces: Sequence[MeasuredFace]) -> dict[str, float]:
    if not faces:
        return {}
    face = np.concatenate([f.frames for f in faces])
    reference = np.concatenate([f.reference for f in faces if f.reference is not None])
    correlation = shape_correlations(faces)
    expressive = reference[:, [INDEX[n] for n in EXPRESSION]]
    return {
        "lve_mm": metrics.lip_vertex_error([(face, reference)]),
        "mouth_correlation": _mean(correlation[n] for n in MOUTH if n in correlation),
        "expression_correlation": _mean(correlation[n] for n in EXPRESSION if n in correlation),
        "expression_error": metrics.expression_error(face, reference),
        "expression_error_of_neutral": float(np.square(expressive).mean()),
        "jitter_of_reference_mm": float(np.mean([metrics.jitter_mm(f.reference) for f in faces])),
    }  # fmt: skip


def _mean(values: Iterable[float]) -> float:
    values = list(values)
    return float(np.mean(values)) if values else float("nan")


def shape_correlations(faces: Sequence[MeasuredFace]) -> dict[str, float]:
    """Correlation with the reference of each shape that moves, over all frames of all faces that have one."""
    pairs = [(f.frames, f.reference) for f in faces if f.reference is not None]
    if not pairs:
        return {}
    return metrics.shape_correlation(np.concatenate([a for a, _ in pairs]), np.concatenate([b for _, b in pairs]))


def facial(
    systems: Sequence[System], teacher: FaceTeacher, texts: Sequence[tuple[str, str]],
    recordings: Path | None = None, progress=iter,
) -> tuple[dict, dict[str, list[MeasuredFace]]]:  # fmt: skip
    """Measure every system on every text, and on recordings.

    Args:
        systems: to compare, on the same texts and seeds.
        teacher: the reference; the cascade's own face, which therefore has no error against it.
        texts: (group, text).
        recordings: folder of recordings, see `recorded_faces`.
        progress: wraps the lists of texts and recordings.
    Returns:
        `table`, `rows` (each text and recording) and `shapes` (correlation of each shape); the faces of the texts
        by system.
    """
    faces: dict[str, list[MeasuredFace]] = {s.name: [] for s in systems}
    for seed, (group, text) in enumerate(progress(texts)):
        for system in systems:
            faces[system.name].append(spoken_face(system, teacher, group, text, seed))
    sets = [(name, "texts", own) for name, own in faces.items()]
    if recordings:
        sets += [(s.name, "recordings", recorded_faces(s, teacher, recordings, progress)) for s in systems]
    sets = [s for s in sets if s[2]]
    return {
        "table": [_line(name, on, measure(own), len(own)) for name, on, own in sets],
        "figures": [{"system": name, "on": on, **measure(own)} for name, on, own in sets],
        "rows": [
            {"system": name, "on": on, "name": f.name, "text": f.text, **measure([f])}
            for name, on, own in sets for f in own
        ],
        "shapes": {f"{name} on {on}": shape_correlations(own) for name, on, own in sets},
    }, faces  # fmt: skip


def _line(system: str, on: str, figures: dict, count: int) -> dict:
    """A row of the table, from `measure`."""
    nothing = float("nan")
    return {
        "system": system, "on": f"{count} {on}", "LVE mm": figures.get("lve_mm", nothing),
        "corr mouth": figures.get("mouth_correlation", nothing),
        "corr expr": figures.get("expression_correlation", nothing),
        "expr error": figures.get("expression_error", nothing),
        "p b m": figures["closures"], "closed %": 100 * figures["closed"], "vowels mm": figures["vowel_opening_mm"],
        "jitter mm": figures["jitter_mm"], "of teacher": figures.get("jitter_of_reference_mm", nothing),
        "lag frames": figures["lag_frames"], "by sound": figures["lag_by_sound_frames"],
    }  # fmt: skip
