"""A face for a voice while it speaks: its clock, its distance, and what a late step leaves out."""

import numpy as np
import pytest

from exomni.core.timebase import ENCODER_SAMPLE_HZ, FRAME_HZ, SAMPLES_PER_FRAME, units_to_frames
from exomni.pipeline.live_face import (
    CONTEXT_UNITS,
    HOP_UNITS,
    LATENCY_S,
    LOOKAHEAD_UNITS,
    MAX_UNITS,
    SAMPLES_PER_UNIT,
    LiveFace,
    live_faces,
)


def faces_of(nano, samples, step):
    """Events, and when each came, in seconds of what had been heard."""
    face, out = LiveFace(nano), []
    for i in range(0, len(samples), step):
        event = face.add(samples[i : i + step])
        if event is not None:
            out.append((min(i + step, len(samples)) / ENCODER_SAMPLE_HZ, event))
    return out


def test_faces_follow_each_other_and_are_not_later_than_promised(tiny_nano, speechlike):
    samples = speechlike(4.0, ENCODER_SAMPLE_HZ)
    events = faces_of(tiny_nano, samples, 320)
    n_frames = 0
    for at_s, event in events:
        assert (event.start_frame, event.start_sample) == (n_frames, n_frames * SAMPLES_PER_FRAME)
        assert at_s - event.start_frame / FRAME_HZ <= LATENCY_S + 1 / FRAME_HZ + 1e-9
        n_frames += len(event.frames)
    n_certain = len(samples) // SAMPLES_PER_UNIT - LOOKAHEAD_UNITS
    assert n_frames == units_to_frames(n_certain // HOP_UNITS * HOP_UNITS)
    frames = np.concatenate([event.frames for _, event in events])
    assert frames.dtype == np.float32
    assert 0 <= frames.min() <= frames.max() <= 1


def test_what_is_kept_does_not_grow(tiny_nano, speechlike):
    face = LiveFace(tiny_nano)
    for _ in range(20):
        face.add(speechlike(1.0, ENCODER_SAMPLE_HZ))
    assert len(face._samples) <= (CONTEXT_UNITS + MAX_UNITS + LOOKAHEAD_UNITS + 5) * SAMPLES_PER_UNIT


def test_a_step_that_comes_much_too_late_leaves_frames_out(tiny_nano, speechlike):
    samples = speechlike(10.0, ENCODER_SAMPLE_HZ)
    face = LiveFace(tiny_nano)
    first = face.add(samples[:16_000])
    second = face.add(samples[16_000:])
    assert len(first.frames) == first.start_frame + units_to_frames(12 - LOOKAHEAD_UNITS)
    assert second.start_frame > len(first.frames)
    assert second.start_frame + len(second.frames) == units_to_frames(125 - LOOKAHEAD_UNITS)
    assert len(second.frames) == pytest.approx(MAX_UNITS / 12.5 * FRAME_HZ, abs=1)


def test_the_end_is_heard_too(tiny_nano, speechlike):
    pieces = np.array_split(speechlike(2.0, 48_000), 37)
    events = list(live_faces(tiny_nano, pieces, 48_000))
    assert sum(len(event.frames) for event in events) == units_to_frames(25)


def test_hearing_piece_by_piece_gives_nearly_the_face_of_the_whole(tiny_nano, omni, speechlike):
    samples = speechlike(3.0, ENCODER_SAMPLE_HZ)
    whole = omni.animate(samples, ENCODER_SAMPLE_HZ).frames
    frames = np.concatenate(
        [event.frames for event in live_faces(tiny_nano, np.array_split(samples, 30), ENCODER_SAMPLE_HZ)]
    )
    apart = np.abs(frames - whole[: len(frames)]).mean()
    shuffled = np.abs(frames[::-1] - whole[: len(frames)]).mean()
    assert apart < 0.5 * shuffled
