"""The sound card: played on, heard from, and missing."""

import sys
import threading
import types
from itertools import islice

import numpy as np
import pytest

from exomni.core.errors import FormatError, InputError, ServiceError
from exomni.core.events import FaceEvent
from exomni.core.timebase import SAMPLES_PER_FRAME
from exomni.export.live import Microphone, Player, live
from exomni.export.live import clock as clocks
from exomni.export.live import sound as sound_module


class NoCardError(Exception):
    """PortAudio's."""


@pytest.fixture
def wall(monkeypatch):
    """The wall clock, to be set."""
    now = types.SimpleNamespace(s=100.0)
    monkeypatch.setattr(clocks.time, "monotonic", lambda: now.s)
    return now


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


class Mic:
    """A microphone that hears `sound`, block by block, as fast as the machine is."""

    sound = np.linspace(0, 1, 16_000, dtype=np.float32)

    def __init__(self, samplerate, channels, blocksize, device, callback):
        assert (samplerate, channels, blocksize, device) == (16_000, 1, 320, 3)
        self.callback, self.closed = callback, False

    def start(self):
        threading.Thread(target=self.speak).start()

    def speak(self):
        for i in range(0, len(self.sound), 320):
            block = self.sound[i : i + 320, None]
            self.callback(block, len(block), None, None)

    def close(self):
        self.closed = True


@pytest.fixture
def mic(monkeypatch):
    def query(device, kind):
        if device not in (None, 3, "usb"):
            raise ValueError(f"No input device matching {device!r}")
        return {"default_samplerate": 16_000.0, "index": 3}

    card = types.SimpleNamespace(InputStream=Mic, PortAudioError=NoCardError, query_devices=query)
    monkeypatch.setitem(sys.modules, "sounddevice", card)
    return card


@pytest.mark.parametrize("device", [None, "usb", "3"])
def test_a_microphone_is_heard_whole(mic, device):
    microphone = Microphone(device)
    heard = []
    for piece in microphone.pieces():
        heard.append(piece)
        if sum(map(len, heard)) == len(Mic.sound):
            break
    np.testing.assert_array_equal(np.concatenate(heard), Mic.sound)
    microphone.close()
    assert microphone._stream.closed


def test_the_face_is_as_far_behind_as_it_comes_late_and_never_jumps_back(mic, wall):
    microphone = Microphone()
    for _ in range(50):
        microphone._record(np.zeros((320, 1), np.float32), 320, None, None)
    assert microphone.position_s() == pytest.approx(0.98)  # the last block is still on its way
    microphone.follow(0.5)
    assert microphone.behind_s == pytest.approx(0.48)
    assert microphone.position_s() == pytest.approx(0.98)
    wall.s += 0.02
    microphone._record(np.zeros((16_000, 1), np.float32), 16_000, None, None)
    wall.s += 1.0
    assert microphone.position_s() == pytest.approx(2.0 - 0.48)
    microphone.follow(1.99)
    assert microphone.behind_s == pytest.approx(0.475)


def test_a_microphone_that_falls_silent_is_told(mic, monkeypatch):
    monkeypatch.setattr(sound_module, "SILENT_S", 0.05)
    microphone = Microphone()
    with pytest.raises(ServiceError, match="gives nothing any more"):
        list(microphone.pieces())
    with pytest.raises(ServiceError, match="gives nothing any more"):
        microphone.position_s()


def test_faces_of_a_microphone_are_performed_behind_its_voice(mic):
    microphone, sent = Microphone(), []

    def events():
        for i, _ in enumerate(islice(microphone.pieces(), 1)):
            while microphone._played + microphone._playing < len(Mic.sound):
                pass
            microphone.follow(0.5)
            microphone._record(np.zeros((3200, 1), np.float32), 3200, None, None)
            yield FaceEvent(15 * SAMPLES_PER_FRAME, 15 + i, np.full((4, 52), 0.5, np.float32))

    done = live(events(), ["osc://127.0.0.1:9"], clock=microphone, stopped=lambda: sent.append(microphone.behind_s))
    assert done.n_sent + done.n_skipped == 4
    assert sent[0] == pytest.approx(0.48, abs=0.05)


def test_what_is_missing_is_said(mic, monkeypatch):
    with pytest.raises(InputError, match="no microphone 'wifi'"):
        Microphone("wifi")

    def nothing(*_args):
        raise NoCardError("Error querying device -1")

    mic.query_devices = nothing
    with pytest.raises(ServiceError, match="there is no microphone: Error querying"):
        Microphone()
    with pytest.raises(FormatError, match="no audio"):
        Player(None, None)
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    for opened in (Microphone, lambda: Player(np.zeros(10), 24_000)):
        with pytest.raises(ServiceError, match=r"pip install 'exomni\[sound\]'"):
            opened()


def test_a_machine_without_the_sound_library_is_told(monkeypatch):
    class Loader:
        def find_spec(self, name, path=None, target=None):
            if name == "sounddevice":
                raise OSError("PortAudio library not found")

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Loader(), *sys.meta_path])
    with pytest.raises(ServiceError, match=r"needs PortAudio .* apt install libportaudio2"):
        sound_module.sound_library()
