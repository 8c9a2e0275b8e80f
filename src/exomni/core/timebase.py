"""The clocks, and exact conversions between them.

All conversions are integer arithmetic, so that a count never depends on float rounding: 205 units are
492 frames, where `floor(205 * 0.08 * 30)` in floating point gives 491. Where one clock has to run a whole number of
times as fast as another (`exact_ratio`), rates that do not divide are an error and never cut down to an integer.
"""

from fractions import Fraction

UNIT_HZ = Fraction(25, 2)
"""Speech units a second."""
FRAME_HZ = 30
"""Face frames a second."""
SAMPLE_HZ = 24_000
"""Samples a second of the speech that exomni writes."""
ENCODER_HZ = 50
"""Speech-encoder frames a second."""
DURATION_HZ = 40
"""Ticks a second in which phoneme durations are counted."""
VOCODER_HZ = 80
"""Acoustic frames a second that the speech decoder of `nano` hands to the voice's vocoder."""
ENCODER_SAMPLE_HZ = 16_000
"""Samples a second of the speech that the speech encoder takes."""


def exact_ratio(numerator: Fraction | int, denominator: Fraction | int) -> int:
    """How many times as fast one clock runs as another, where that is a whole number.

    Args:
        numerator: rate of the faster clock, or any count.
        denominator: rate of the slower clock, or any other count; not 0.
    Raises:
        ValueError: the second does not divide the first.
    """
    ratio = Fraction(numerator) / Fraction(denominator)
    if ratio.denominator != 1:
        raise ValueError(f"{numerator} is not a whole multiple of {denominator}")
    return ratio.numerator


ENCODER_FRAMES_PER_UNIT = exact_ratio(ENCODER_HZ, UNIT_HZ)
SAMPLES_PER_UNIT = exact_ratio(SAMPLE_HZ, UNIT_HZ)
SAMPLES_PER_FRAME = exact_ratio(SAMPLE_HZ, FRAME_HZ)
SAMPLES_PER_VOCODER_FRAME = exact_ratio(SAMPLE_HZ, VOCODER_HZ)
FRAMES_PER_TICK = exact_ratio(VOCODER_HZ, DURATION_HZ)
SAMPLES_PER_TICK = exact_ratio(SAMPLE_HZ, DURATION_HZ)


def rescale_floor(count: int, from_hz: Fraction | int, to_hz: Fraction | int) -> int:
    """Whole ticks of one clock that fit in `count` >= 0 ticks of another, exactly: floor(count * to_hz / from_hz)."""
    ratio = Fraction(to_hz) / Fraction(from_hz)
    return count * ratio.numerator // ratio.denominator


def rescale_ceil(count: int, from_hz: Fraction | int, to_hz: Fraction | int) -> int:
    """Ticks of one clock that are needed to cover `count` ticks of another, exactly."""
    ratio = Fraction(to_hz) / Fraction(from_hz)
    return -(-count * ratio.numerator // ratio.denominator)


def units_to_frames(n_units: int) -> int:
    """Face frames of `n_units` speech units: floor(n * 12 / 5) (paper, section 3; bugs 1 and 3 mended)."""
    return rescale_floor(n_units, UNIT_HZ, FRAME_HZ)


def samples_to_frames(n_samples: int) -> int:
    """Face frames that begin before sample `n_samples` at 24 kHz, to the nearest whole frame."""
    return (2 * n_samples + SAMPLES_PER_FRAME) // (2 * SAMPLES_PER_FRAME)
