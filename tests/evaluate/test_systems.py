"""Streams gathered, the cascade's clocks, and the judges' windows."""

import sys

import numpy as np
import pytest

from exomni.core.arkit import INDEX
from exomni.core.errors import InputError
from exomni.core.events import DoneEvent, FaceEvent, SpeechEvent, TextEvent
from exomni.data.teachers import get_teacher
from exomni.evaluate.cascade import CascadeSystem
from exomni.evaluate.judges import CROP_SAMPLES, _without_torchaudio, crops
from exomni.evaluate.systems import gather
from exomni.parts.ports import VoiceFrames, WrittenToken


class FakeVoice:
    name = "hibari"

    def phonemes(self, text):
        if "?" in text:
            raise InputError("nothing to say")
        return "mˈɑmɑ."

    def ids(self, phonemes):
        return np.zeros(len(phonemes) + 2, np.int64)

    def time(self, ids, speed=1.0):
        ticks = np.full(len(ids), 4, np.int64)
        ticks[0] = 5  # 33 ticks: not a whole number of frames.
        return VoiceFrames(ticks, np.zeros((130, int(ticks.sum()) * 2), np.float32))

    def sound(self, acoustic, seed):
        return np.full(acoustic.shape[1] * 300, 0.5, np.float32)


class Chat:
    def write(self, turns, seed):
        return map(WrittenToken, ["Yes", ". ", "It is."])


@pytest.fixture
def cascade():
    return CascadeSystem(Chat, FakeVoice(), get_teacher("openfacefx"))


def test_gather_keeps_phonemes_of_clauses_only():
    samples, frames = np.zeros(800, np.float32), np.zeros((1, 52), np.float32)
    units = np.zeros(0, np.int64)
    spoken = gather([
        TextEvent("Hel"), TextEvent("lo. "), FaceEvent(0, 0, frames),
        SpeechEvent(0, samples, units, "Hello.", phonemes="hA", ticks=np.arange(4)),
        FaceEvent(800, 1, frames), SpeechEvent(800, samples, units, "Hello."), DoneEvent(1600, 2, {"total_s": 2.0}),
    ])  # fmt: skip
    assert spoken.text == "Hello."
    assert len(spoken.samples) == 1600
    assert spoken.frames.shape == (2, 52)
    assert [u.phonemes for u in spoken.utterances] == ["hA"]
    assert spoken.timings["total_s"] == 2.0


def test_cascade_ends_speech_and_face_together_in_every_clause(cascade):
    spoken = cascade.speak("One is here. Two is there. And three is far away.", 0)
    assert len(spoken.utterances) == 3
    assert all(u.ticks.sum() == 36 for u in spoken.utterances)
    assert len(spoken.samples) == 3 * 36 * 600
    assert len(spoken.samples) == len(spoken.frames) * 800
    assert spoken.samples[33 * 600 - 1] == 0.5
    assert spoken.samples[33 * 600] == 0.0
    assert spoken.timings["total_s"] >= spoken.timings["first_face_s"] >= spoken.timings["first_audio_s"] > 0
    assert spoken.timings["units_s"] == 0


def test_cascade_feels_what_the_sentence_has_said_so_far(cascade):
    smile = INDEX["mouthSmileLeft"]
    frames = cascade.speak(
        "I am so happy and so glad today, my dear old friend from school. The table is round.", 0
    ).frames
    first, second, third = frames.reshape(3, -1, 52)[:, 15:, smile].max(1)
    assert min(first, second) > 2 * third


def test_cascade_answers_in_the_llms_words(cascade):
    spoken = cascade.respond("Is it?", 0)
    assert spoken.text == "Yes. It is."
    assert [u.text for u in spoken.utterances] == ["Yes.", "It is."]


def test_cascade_leaves_out_what_cannot_be_said_and_refuses_nothing_at_all(cascade):
    assert len(cascade.speak("One is here. What is it? Two.", 0).utterances) == 2
    with pytest.raises(InputError, match="read aloud"):
        cascade.speak("What?", 0)


def test_cascade_animates_only_with_phones(cascade, tmp_path):
    assert cascade.animate(tmp_path / "a.wav", None) is None


@pytest.mark.parametrize(("length", "count"), [(100, 1), (CROP_SAMPLES, 1), (CROP_SAMPLES + 1, 2), (1_000_000, 9)])
def test_crops_cover_a_clip_from_end_to_end(length, count):
    samples = np.arange(1, length + 1, dtype=np.float32)
    pieces = list(crops(samples))
    assert len(pieces) == count
    assert all(len(p) == CROP_SAMPLES for p in pieces)
    assert pieces[0][0] == 1
    assert set(np.concatenate(pieces).tolist()) - {0.0} == set(samples.tolist())


def test_the_stand_in_for_torchaudio_does_not_stay(monkeypatch):
    monkeypatch.delitem(sys.modules, "torchaudio", raising=False)
    monkeypatch.delitem(sys.modules, "distillmos", raising=False)
    with _without_torchaudio():
        assert "torchaudio" in sys.modules
    assert "torchaudio" not in sys.modules
