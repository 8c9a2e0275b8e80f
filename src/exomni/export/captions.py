"""Captions as SRT and WebVTT, made from the transcript and, where words have no times, from the pauses in the audio."""

import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from exomni.core.errors import FormatError

from ..core.atomic import write_text
from .track import FaceTrack, Word

if TYPE_CHECKING:
    from openfacefx import CaptionCue

QUIET_DB = -40.0
"""Level under the loudest moment at which a recording counts as silent."""
WINDOW_S = 0.02
CLAUSE_PAUSE, SENTENCE_PAUSE = 2.0, 5.0
"""What a comma and a full stop take, in letters."""
PAUSE_S = 0.3
"""Silence for longer is a pause between clauses or sentences, not within a word."""
LIKING = 4.0
"""How many letters off a cut may lie for each letter's worth of pause that the text has there."""
DIGIT_LETTERS = 4.0
"""What a digit takes to say, in letters."""


def write_captions(track: FaceTrack, path: str | os.PathLike[str], kind: str = "srt") -> None:
    """Write captions, `srt` or `vtt`. Raises FormatError without text, OutputError where it cannot be written."""
    import openfacefx

    write_text(path, getattr(openfacefx, f"{kind}_text")(caption_cues(track)))


def spoken_words(track: FaceTrack) -> tuple[Word, ...]:
    """The track's words with their times; estimated from the text's length where they were not measured.

    Args:
        track: the face, with `words` or `text`.
    Raises:
        FormatError: it has neither.
    """
    if track.words:
        return track.words
    tokens = (track.text or "").split()
    if not tokens:
        raise FormatError("captions need what is said, and this source has no text")
    spans = _voiced_spans_s(track)
    words: list[Word] = []
    for (start_s, end_s), group in zip(spans, _shared_out(tokens, [b - a for a, b in spans]), strict=True):
        letters, gaps = [_letters(token) for token in group], [*map(_pause, group[:-1]), 0.0]
        letter_s = (end_s - start_s) / max(1.0, sum(letters) + sum(gaps))
        at_s = start_s
        for token, length, gap in zip(group, letters, gaps, strict=False):
            words.append(Word(token, at_s, at_s + length * letter_s))
            at_s += (length + gap) * letter_s
    return tuple(words)


def caption_cues(track: FaceTrack) -> Sequence["CaptionCue"]:
    """Captions with `start`, `end` and `lines`; none over another, none after the end.

    Raises:
        FormatError: the track has no text.
    """
    import openfacefx

    end_s = float(track.duration_s)
    cues = openfacefx.build_cues([(word.text, word.start_s, word.end_s) for word in spoken_words(track)])
    return [cue._replace(end=min(cue.end, max(end_s, cue.words[-1][2]))) for cue in cues]


def _letters(token: str) -> float:
    digits = sum(character.isdigit() for character in token)
    return max(1.0, len(re.findall(r"[^\W\d_]", token)) + DIGIT_LETTERS * digits)


def _pause(token: str) -> float:
    bare = token.rstrip("\"')]}”’")
    if bare.endswith((".", "!", "?", "…", "。")):
        return SENTENCE_PAUSE
    return CLAUSE_PAUSE if bare.endswith((",", ";", ":", "—")) else 0.5


def _shared_out(tokens: Sequence[str], lengths_s: Sequence[float]) -> list[Sequence[str]]:
    """Tokens for each stretch of voice, by its length; cut where a sentence or clause ends if one does nearby."""
    ends = np.cumsum([_letters(token) for token in tokens])
    wanted = np.cumsum(lengths_s) / sum(lengths_s) * ends[-1]
    liking = np.array([LIKING * _pause(token) for token in tokens])
    groups, first = [], 0
    for at in wanted[:-1]:
        cut = int(np.argmin(np.abs(ends - at) - liking)) + 1
        cut = min(max(cut, first), len(tokens))
        groups.append(tokens[first:cut])
        first = cut
    return [*groups, tokens[first:]]


def _voiced_spans_s(track: FaceTrack) -> list[tuple[float, float]]:
    """Stretches of voice between pauses, in seconds; the whole track where there is no audio or no sound."""
    whole = [(0.0, float(track.duration_s))]
    if track.audio is None or track.sample_hz is None or not len(track.audio):
        return whole
    window = max(1, int(track.sample_hz * WINDOW_S))
    n_windows = -(-len(track.audio) // window)
    padded = np.pad(track.audio, (0, n_windows * window - len(track.audio)))
    level = np.sqrt((padded.reshape(n_windows, window).astype(np.float64) ** 2).mean(axis=1))
    loud = np.flatnonzero(level > level.max() * 10 ** (QUIET_DB / 20))
    if not len(loud):
        return whole
    breaks = np.flatnonzero(np.diff(loud) * WINDOW_S > PAUSE_S)
    firsts, lasts = loud[np.concatenate([[0], breaks + 1])], loud[np.concatenate([breaks, [-1]])]
    end_s = float(track.duration_s)
    return [(a * WINDOW_S, min((b + 1) * WINDOW_S, end_s)) for a, b in zip(firsts, lasts, strict=True)]
