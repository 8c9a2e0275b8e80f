"""Every conversion against exact fractions, for every count up to 20,000."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exomni.core import timebase
from exomni.core.timebase import (
    FRAME_HZ,
    SAMPLE_HZ,
    SAMPLES_PER_UNIT,
    UNIT_HZ,
    exact_ratio,
    rescale_ceil,
    rescale_floor,
    samples_to_frames,
    units_to_frames,
)

COUNTS = range(20_001)
RATES = (
    timebase.UNIT_HZ, timebase.FRAME_HZ, timebase.SAMPLE_HZ, timebase.ENCODER_HZ, timebase.DURATION_HZ,
    timebase.VOCODER_HZ, timebase.ENCODER_SAMPLE_HZ,
)  # fmt: skip


def test_the_count_that_floating_point_gets_wrong():
    assert math.floor(205 * 0.08 * 30) == 491
    assert units_to_frames(205) == 492


def test_units_to_frames_is_the_exact_floor():
    assert all(units_to_frames(n) == math.floor(n * Fraction(FRAME_HZ) / UNIT_HZ) for n in COUNTS)


def test_units_to_samples_is_exact():
    assert all(n * SAMPLES_PER_UNIT == n * SAMPLE_HZ / UNIT_HZ for n in COUNTS)


def test_samples_to_frames_is_the_nearest_count():
    for n in COUNTS:
        exact = Fraction(n, SAMPLE_HZ) * FRAME_HZ
        assert abs(samples_to_frames(n) - exact) <= Fraction(1, 2)


def test_five_units_end_where_twelve_frames_and_a_whole_number_of_samples_do():
    for n in range(0, 20_001, 5):
        assert units_to_frames(n) * timebase.SAMPLES_PER_FRAME == n * SAMPLES_PER_UNIT
        assert samples_to_frames(n * SAMPLES_PER_UNIT) == units_to_frames(n)


@pytest.mark.parametrize("from_hz", RATES)
@pytest.mark.parametrize("to_hz", RATES)
def test_every_pair_of_clocks(from_hz, to_hz):
    ratio = Fraction(to_hz) / Fraction(from_hz)
    for n in range(0, 20_001, 7):
        assert rescale_floor(n, from_hz, to_hz) == math.floor(n * ratio)
        assert rescale_ceil(n, from_hz, to_hz) == math.ceil(n * ratio)


@pytest.mark.parametrize("from_hz", RATES)
@pytest.mark.parametrize("to_hz", RATES)
def test_counts_beyond_what_floating_point_holds(from_hz, to_hz):
    ratio = Fraction(to_hz) / Fraction(from_hz)
    for n in range(2**60 + 1, 2**60 + 50):
        assert rescale_floor(n, from_hz, to_hz) == math.floor(n * ratio)
        assert rescale_ceil(n, from_hz, to_hz) == math.ceil(n * ratio)


@given(st.integers(0, 10**12), st.fractions(Fraction(1, 1000), 10**6), st.fractions(Fraction(1, 1000), 10**6))
def test_any_clocks_at_any_length(count, from_hz, to_hz):
    low, high = rescale_floor(count, from_hz, to_hz), rescale_ceil(count, from_hz, to_hz)
    assert low <= count * to_hz / from_hz <= high
    assert high - low in (0, 1)
    assert rescale_ceil(low, to_hz, from_hz) <= count <= rescale_floor(high, to_hz, from_hz)


@pytest.mark.parametrize(
    ("fast", "slow", "ratio"), [(24_000, Fraction(25, 2), 1920), (50, 50, 1), (Fraction(9, 2), Fraction(3, 2), 3)]
)
def test_a_rate_that_divides_gives_a_whole_number(fast, slow, ratio):
    assert exact_ratio(fast, slow) == ratio


@pytest.mark.parametrize(("fast", "slow"), [(22_050, 80), (30, Fraction(25, 2)), (12, 24_000)])
def test_a_rate_that_does_not_divide_is_refused_and_not_cut_down(fast, slow):
    with pytest.raises(ValueError, match="whole multiple"):
        exact_ratio(fast, slow)


def test_derived_counts_are_whole_and_agree():
    assert Fraction(timebase.ENCODER_HZ) / UNIT_HZ == timebase.ENCODER_FRAMES_PER_UNIT
    assert SAMPLE_HZ / UNIT_HZ == timebase.SAMPLES_PER_UNIT
    assert Fraction(SAMPLE_HZ, FRAME_HZ) == timebase.SAMPLES_PER_FRAME
    assert Fraction(SAMPLE_HZ, timebase.DURATION_HZ) == timebase.SAMPLES_PER_TICK
    assert Fraction(SAMPLE_HZ, timebase.VOCODER_HZ) == timebase.SAMPLES_PER_VOCODER_FRAME
