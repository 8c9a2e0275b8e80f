import sys
import types

import numpy as np
import pytest

from exomni.core.errors import FormatError, ServiceError
from exomni.export.live import clock as clocks
from exomni.export.live.clock import Player, SampleClock, WallClock


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


def test_the_sound_card_is_a_clock(monkeypatch, wall):
    class Stream:
        active = False

        def __init__(self, samplerate, channels, callback):
            assert (samplerate, channels) == (1000, 1)
            self.callback = callback

        def start(self):
            self.active = True

        def close(self):
            self.active = None

    card = types.SimpleNamespace(OutputStream=Stream, PortAudioError=RuntimeError)
    monkeypatch.setitem(sys.modules, "sounddevice", card)
    samples = np.linspace(0, 1, 250, dtype=np.float32)
    player = Player(samples, 1000)
    assert player.position_s() == 0
    heard = []
    for _ in range(3):
        out = np.full((100, 1), 9.0, np.float32)
        player._stream.callback(out, 100, None, None)
        heard.append(out[:, 0].copy())
        wall.s += 0.1
    np.testing.assert_array_equal(np.concatenate(heard), np.concatenate([samples, np.zeros(50)]))
    assert player.position_s() == pytest.approx(0.3)
    player.close()
    assert player._stream.active is None


def test_nothing_to_play_and_nothing_to_play_on(monkeypatch):
    with pytest.raises(FormatError, match="no audio"):
        Player(None, None)
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(ServiceError, match="pip install sounddevice"):
        Player(np.zeros(10), 24_000)
