import time
from fractions import Fraction

import numpy as np
import pytest

from exomni.core import arkit
from exomni.core.errors import ServiceError
from exomni.core.events import FaceEvent, TextEvent
from exomni.export.live import ahead, frames_of, frames_of_events, perform
from exomni.export.track import FaceTrack


class FakeClock:
    """Sleeps at once, each time a little too long, and runs `speed` times as fast as it is told to."""

    def __init__(self, late_s=0.0005, speed=1.0):
        self.now_s, self.late_s, self.speed = 0.0, late_s, speed

    def position_s(self):
        return self.now_s

    def sleep(self, seconds):
        self.now_s += (seconds + self.late_s) * self.speed


class Recorder:
    """Remembers what is sent and when; sending may take time or fail."""

    def __init__(self, clock, takes_s=lambda i: 0.0, fails_at=None):
        self.clock, self.takes_s, self.fails_at, self.sent, self.closed = clock, takes_s, fails_at, [], False

    def send(self, frame):
        if frame.index == self.fails_at:
            raise ServiceError("gone")
        self.sent.append((self.clock.position_s(), frame))
        self.clock.now_s += self.takes_s(frame.index)

    def close(self):
        self.closed = True


def face(n_frames, fps=30):
    curve = np.linspace(0, 1, n_frames)
    return FaceTrack(("jawOpen",), fps, curve[:, None])


@pytest.mark.parametrize("fps", [30, 60, 29.97])
@pytest.mark.parametrize("speed", [1.0, 0.999, 1.001])
def test_ten_minutes_drift_less_than_a_frame(fps, speed):
    clock = FakeClock(speed=speed)
    recorder = Recorder(clock)
    track = face(int(600 * fps), fps)
    done = perform(frames_of(track), [recorder], clock)
    assert (done.n_sent, done.n_skipped) == (track.n_frames, 0)
    assert done.latest_s < float(1 / track.fps)
    assert abs(done.drift_s) < float(1 / track.fps)
    moments = np.array([at for at, _ in recorder.sent[: track.n_frames]])
    assert (moments - track.times_s >= -1e-9).all()
    assert (moments - track.times_s < 1 / float(track.fps)).all()


def test_the_face_rests_in_the_end():
    clock = FakeClock()
    recorder = Recorder(clock)
    perform(frames_of(face(10)), [recorder], clock)
    last = [frame for _, frame in recorder.sent[10:]]
    assert len(last) == 3
    assert all(set(frame.weights) == set(arkit.NAMES) and not any(frame.weights.values()) for frame in last)


def test_a_slow_network_skips_frames_and_catches_up():
    clock = FakeClock(late_s=0)
    recorder = Recorder(clock, takes_s=lambda i: 0.52 if i == 10 else 0.0)
    done = perform(frames_of(face(60)), [recorder], clock)
    assert done.n_skipped == 14
    assert done.latest_s < 1 / 30
    assert [frame.index for _, frame in recorder.sent[9:13]] == [9, 10, 25, 26]


def test_it_can_be_stopped():
    clock = FakeClock()
    recorder = Recorder(clock)
    done = perform(frames_of(face(300)), [recorder], clock, stopped=lambda: clock.now_s > 2)
    assert 55 < done.n_sent < 65
    assert not any(recorder.sent[-1][1].weights.values())


@pytest.mark.parametrize("error", [ServiceError, KeyboardInterrupt])
def test_whatever_happens_the_others_rest(error):
    clock = FakeClock()
    fine, lost = Recorder(clock), Recorder(clock, fails_at=5)

    def frames():
        for frame in frames_of(face(10)):
            if frame.index == 7:
                raise error
            yield frame

    with pytest.raises((ServiceError, error)):
        perform(frames(), [fine, lost] if error is ServiceError else [fine], clock)
    assert not any(fine.sent[-1][1].weights.values())


def test_a_clock_that_stands_still_is_waited_for():
    class Paused(FakeClock):
        naps = 0

        def sleep(self, seconds):
            self.naps += 1
            if not 5 < self.naps < 50:
                super().sleep(seconds)

    clock = Paused()
    recorder = Recorder(clock)
    done = perform(frames_of(face(20)), [recorder], clock)
    assert done.n_sent == 20
    assert clock.naps >= 60


def test_a_stream_is_performed_as_it_comes():
    def events():
        yield TextEvent("hello")
        yield FaceEvent(0, 0, np.full((3, 52), 0.25, np.float32))
        yield FaceEvent(2400, 3, np.full((2, 52), 0.5, np.float32))

    frames = list(frames_of_events(events()))
    assert [frame.index for frame in frames] == [0, 1, 2, 3, 4]
    assert frames[3].weights["jawOpen"] == 0.5
    assert frames[4].time_s == pytest.approx(4 / 30)
    assert frames[0].fps == Fraction(30)


def test_the_next_event_is_made_while_one_is_shown():
    made = []

    def events():
        for i in range(3):
            made.append(i)
            yield TextEvent(str(i))

    shown = ahead(events())
    assert next(shown).text == "0"
    deadline_s = time.monotonic() + 10
    while len(made) < 3:
        assert time.monotonic() < deadline_s, "nothing is made while somebody shows"
        time.sleep(0.001)
    assert [event.text for event in shown] == ["1", "2"]


def test_what_goes_wrong_in_the_making_is_told():
    def events():
        yield TextEvent("fine")
        raise ServiceError("the microphone gives nothing any more")

    shown = ahead(events())
    assert next(shown).text == "fine"
    with pytest.raises(ServiceError, match="gives nothing"):
        next(shown)
