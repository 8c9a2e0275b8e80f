import types

import pytest

from exomni.export.live import clock as clocks
from exomni.export.live.clock import SampleClock, WallClock


@pytest.fixture
def wall(monkeypatch):
    """The machine's time, to be set by hand."""
    now = types.SimpleNamespace(s=100.0)
    monkeypatch.setattr(clocks.time, "monotonic", lambda: now.s)
    monkeypatch.setattr(clocks.time, "sleep", lambda s: setattr(now, "s", now.s + s))
    return now


def test_the_wall_clock_starts_when_it_is_looked_at(wall):
    clock = WallClock()
    wall.s += 5
    assert clock.position_s() == 0
    clock.sleep(2.5)
    assert clock.position_s() == 2.5


def test_the_audios_clock_follows_the_samples_and_not_the_wall(wall):
    clock = SampleClock(24_000)
    assert clock.position_s() == 0
    for _ in range(100):
        clock.played(2400)
        wall.s += 0.0996
    assert clock.position_s() == pytest.approx(9.9996)
    clock.played(2400)
    assert clock.position_s() == 10
    wall.s += 60
    assert clock.position_s() == pytest.approx(10.1)
