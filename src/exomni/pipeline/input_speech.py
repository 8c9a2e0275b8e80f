"""The audio of an input turn on its way to the speech encoder: levelled, trimmed to its speech, cut at its pauses."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..core.audio import resample_pieces
from ..core.errors import InputError, NoSpeechError
from ..core.timebase import ENCODER_SAMPLE_HZ
from ..parts.ports import VoiceActivity
from .recordings import open_recording
from .speech_detector import SpeechDetector, VadConfig

MAX_PIECE_S = 27
"""What the encoder takes at once is 30 s, silence at the end included."""
MAX_TURN_S = 600
QUIETEST, WANTED_PEAK = 1e-3, 0.5
"""A recording whose loudest sample is below this is silence; others are brought to the wanted level."""
MARGIN_S = 0.25
"""Kept before the first and after the last sound of speech: first consonants are soft."""
NOTHING_SAID = "I did not hear anything: nobody speaks in the recording. Check the microphone, and try again."
_SPEECH = VadConfig(min_speech_ms=96, silence_ms=320, prefix_ms=0)


def read_input_audio(
    recording: str | Path | np.ndarray, sample_rate: int | None, activity: VoiceActivity | None
) -> list[np.ndarray]:
    """The speech of a recording, in pieces that the encoder takes at once.

    Args:
        recording: a file in any common format, or floating-point [N] mono samples in -1..1.
        sample_rate: of the samples, where `recording` is an array.
        activity: finds its speech; None where the recording is known to begin and end with it. A recording that is
            longer than the encoder takes at once is then cut without regard to pauses.
    Returns:
        At least one float32 [N] at 16 kHz, at most `MAX_PIECE_S` each; cut at the longest pauses.
    Raises:
        InputError: not readable, empty, not finite, or longer than `MAX_TURN_S`.
        NoSpeechError: nobody speaks in it.
    """
    pieces, n_samples = [], 0
    found, rate = open_recording(recording, sample_rate)
    for piece in resample_pieces(found, rate, ENCODER_SAMPLE_HZ):
        pieces.append(piece)
        n_samples += len(piece)
        if n_samples > MAX_TURN_S * ENCODER_SAMPLE_HZ:
            raise InputError(f"the recording is longer than {MAX_TURN_S} s, which is the most that a turn may last")
    samples = np.concatenate(pieces)
    samples = samples - samples.mean()
    peak = float(np.abs(samples).max())
    if peak < QUIETEST:
        raise NoSpeechError(NOTHING_SAID)
    samples = (samples * (WANTED_PEAK / peak)).astype(np.float32)
    spans = [(0, len(samples))] if activity is None else _spans(samples, activity)
    return [samples[start:stop] for start, stop in cut_at_pauses(spans, len(samples))]


def _spans(samples: np.ndarray, activity: VoiceActivity) -> list[tuple[int, int]]:
    """Where there is speech: (start, stop) of every stretch without a pause.

    Raises:
        NoSpeechError: nowhere.
    """
    detector = SpeechDetector(activity, _SPEECH)
    # Silence follows the end, so that the last stretch ends before it.
    silence = np.zeros(2 * _SPEECH.silence_ms * ENCODER_SAMPLE_HZ // 1000, np.float32)
    edges = detector.add(np.concatenate([samples, silence]))
    starts = [e.sample for e in edges if e.kind == "started"]
    stops = [min(e.sample, len(samples)) for e in edges if e.kind == "stopped"]
    if not starts:
        raise NoSpeechError(NOTHING_SAID)
    return list(zip(starts, [*stops, len(samples)][: len(starts)], strict=True))


def cut_at_pauses(spans: Sequence[tuple[int, int]], n_samples: int) -> list[tuple[int, int]]:
    """Pieces that hold all stretches of speech, each as long as the encoder allows, with a margin of sound around.

    Args:
        spans: stretches of speech, in samples at 16 kHz.
        n_samples: length of the recording.
    Returns:
        (start, stop) of each piece; a stretch without any pause is cut where it grows too long.
    """
    margin, longest = int(MARGIN_S * ENCODER_SAMPLE_HZ), MAX_PIECE_S * ENCODER_SAMPLE_HZ
    pieces: list[tuple[int, int]] = []
    for start, stop in spans:
        start, stop = max(0, start - margin), min(n_samples, stop + margin)
        if pieces and stop - pieces[-1][0] <= longest:
            pieces[-1] = (pieces[-1][0], stop)
            continue
        start = max(start, pieces[-1][1]) if pieces else start
        while stop - start > longest:
            pieces.append((start, start + longest))
            start += longest
        pieces.append((start, stop))
    return pieces
