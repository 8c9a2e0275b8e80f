"""The voice says rows; in disguise, sound and acoustic channels stay in step."""

import numpy as np
import pytest

from exomni.data.speech_pass import MAX_PHONEMES, Speaker, Speech, fault_of, from_flac, to_flac
from exomni.model.acoustics import ENERGY_CHANNEL
from exomni.parts.hibari.voice import HibariTeacher, Phonemizer

TEXT = "Bob and Pam bought a map. Then they left town, quickly."


@pytest.fixture(scope="module")
def speaker(voice_folder) -> Speaker:
    return Speaker(HibariTeacher(voice_folder, Phonemizer()))


@pytest.fixture(scope="module")
def plain(speaker) -> Speech:
    return speaker.say(TEXT, 5, disguise=False)


def lag_frames(speech: Speech) -> int:
    """By how many acoustic frames the sound is late against the channels, from loudness."""
    n = min(len(speech.samples) // 300, speech.acoustic.shape[1])
    loudness = np.log(np.square(speech.samples[: n * 300].reshape(n, 300)).mean(1) + 1e-4)
    energy = speech.acoustic[ENERGY_CHANNEL, :n].astype(np.float64)
    fits = [np.corrcoef(loudness[8 + k : n - 8 + k], energy[8 : n - 8])[0, 1] for k in range(-8, 9)]
    assert max(fits) > 0.6
    return int(np.argmax(fits)) - 8


def test_durations_channels_and_sound_agree(plain):
    assert plain.acoustic.shape == (130, 2 * plain.ticks.sum())
    assert len(plain.samples) == 300 * plain.acoustic.shape[1]
    assert len(plain.phonemes) == len(plain.ticks)
    assert (plain.phonemes.dtype, plain.ticks.dtype, plain.acoustic.dtype) == (np.int16, np.int16, np.float16)
    assert not plain.disguised
    assert fault_of(plain) is None
    assert abs(lag_frames(plain)) <= 1


@pytest.mark.parametrize("seed", range(6))
def test_a_disguise_keeps_sound_and_channels_in_step(speaker, seed):
    speech = speaker.say(TEXT, seed, disguise=True)
    assert speech.disguised
    assert speech.samples.dtype == np.float32
    assert abs(len(speech.samples) / 300 - speech.acoustic.shape[1]) <= 1.5
    assert abs(lag_frames(speech)) <= 2
    assert np.abs(speech.samples).max() < 1
    assert fault_of(speech) is None


def test_disguises_differ_in_sound_and_keep_about_the_pace(speaker, plain):
    speeches = [speaker.say(TEXT, seed, disguise=True) for seed in range(6)]
    assert len({s.samples.tobytes() for s in speeches}) == 6
    for speech in speeches:
        assert 0.75 < len(speech.samples) / len(plain.samples) < 1.35


@pytest.mark.parametrize("disguise", [False, True])
def test_the_seed_decides(speaker, disguise):
    first, again, other = (speaker.say("Hello there.", seed, disguise) for seed in (1, 1, 2))
    assert first.samples.tobytes() == again.samples.tobytes()
    assert first.acoustic.tobytes() == again.acoustic.tobytes()
    assert first.samples.tobytes() != other.samples.tobytes()


def faulty(plain: Speech, **changes) -> Speech:
    return Speech(**{**vars(plain), **changes})


def test_faults_are_named(plain):
    loud = plain.samples.copy()
    loud[::500] = 1.0
    broken = plain.samples.copy()
    broken[5] = np.nan
    cases = {
        "length": [plain.samples[:9000], np.tile(plain.samples, 20)],
        "silence": [plain.samples * 1e-3],
        "clipping": [loud],
        "not finite": [broken],
    }
    for fault, all_samples in cases.items():
        for samples in all_samples:
            assert fault_of(faulty(plain, samples=samples)) == fault
    assert fault_of(faulty(plain, phonemes=np.zeros(MAX_PHONEMES + 1, np.int16))) == "length"


def test_flac_keeps_sixteen_bits(plain):
    back = from_flac(to_flac(plain.samples))
    assert back.dtype == np.float32
    np.testing.assert_allclose(back, np.clip(plain.samples, -1, 1), atol=1.01 / 32768)
