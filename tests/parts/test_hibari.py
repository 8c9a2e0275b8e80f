"""The voice's text side and its two halves."""

import numpy as np
import pytest
import torch

from exomni.assets.table import ASSETS, locate
from exomni.core.errors import AssetError, InputError
from exomni.core.timebase import DURATION_HZ, VOCODER_HZ
from exomni.model.acoustics import ACOUSTIC_CHANNELS, F0_CHANNEL
from exomni.parts.hibari.voice import (
    MAX_PHONEMES,
    Phonemizer,
    Vocoder,
    VoiceFront,
    bounded,
    cut_graph,
)


@pytest.fixture(scope="module")
def phonemizer() -> Phonemizer:
    return Phonemizer()


@pytest.fixture(scope="module")
def frames(phonemizer, voice_folder):
    return VoiceFront(voice_folder / "front.onnx")(phonemizer.ids(phonemizer.phonemes("Good morning, everybody.")))


@pytest.fixture(scope="module")
def vocoder(voice_folder) -> Vocoder:
    return Vocoder(voice_folder / "back.onnx")


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("21", "twenty one"),
        ("$5", "five dollars"),
        ("100%", "one hundred percent"),
        ("Dr. Smith", "doctor Smith"),
        ("x²", "x squared"),
    ],
)
def test_figures_sound_like_their_words(phonemizer, written, spoken):
    def letters(text: str) -> str:
        return "".join(c for c in phonemizer.phonemes(text) if c.isalpha() and c not in "ˈˌ")

    assert letters(written) == letters(spoken)


def test_white_space_does_not_matter(phonemizer):
    assert phonemizer.phonemes(" good \n\t morning ") == phonemizer.phonemes("good morning")


@pytest.mark.parametrize("text", ["", "   ", "...", "日本語", "😀", "()", "\u0301"])
def test_what_cannot_be_said_is_refused(phonemizer, text):
    with pytest.raises(InputError, match="nothing to say"):
        phonemizer.phonemes(text)


@pytest.mark.parametrize("text", ["9" * 170, "9" * 5000, "1," * 60 + "1", "1" * 50 + "." + "2" * 50])
def test_numbers_without_a_name_are_read_digit_by_digit(phonemizer, text):
    spelled = " ".join("point" if c == "." else c for c in text if c != ",")
    assert phonemizer.phonemes(text) == phonemizer.phonemes(spelled)


def test_a_sum_without_a_name_still_has_its_currency(phonemizer):
    assert phonemizer.phonemes("$" + "9" * 100).endswith(phonemizer.phonemes("dollars"))


def test_numbers_with_a_name_are_read_by_it(phonemizer):
    assert phonemizer.phonemes("1,234,567") == phonemizer.phonemes(
        "one million two hundred thirty four thousand five hundred sixty seven"
    )


def test_whatever_is_typed_is_said_or_refused(phonemizer):
    rng = np.random.default_rng(0)
    alphabet = list(
        "abc XYZ 0123456789 .,;:!?'\"()[]{}<>@#$%^&*-_=+/\\|~` éßøœ—–…’“”€£¥₿°½²³①Ⅷ٣१नमسلامПривет日本한국😀\u0301\u200d"
    )
    for _ in range(150):
        text = "".join(rng.choice(alphabet, rng.integers(1, 40)))
        try:
            symbols = phonemizer.phonemes(text)
        except InputError:
            continue
        assert set(symbols) <= phonemizer.vocabulary.keys()


@pytest.mark.parametrize(
    "symbols", ["", "abc", "a" * 400, "a" * 1001, "word " * 200, " word" * 81, "ab " * 133 + "c" * 900]
)
def test_long_phonemes_are_cut_at_spaces_where_there_are_any(symbols):
    parts = bounded(symbols)
    assert "".join("".join(parts).split()) == "".join(symbols.split())
    assert all(0 < len(part) <= MAX_PHONEMES for part in parts)
    assert len(parts) <= 1 + len(symbols) // (MAX_PHONEMES // 2)
    if max(map(len, symbols.split()), default=0) <= MAX_PHONEMES:
        assert [w for part in parts for w in part.split()] == symbols.split()


def test_ids_stand_between_two_zeros(phonemizer):
    symbols = phonemizer.phonemes("hello")
    ids = phonemizer.ids(symbols)
    assert ids.dtype == np.int64
    assert ids[0] == ids[-1] == 0
    assert "".join(phonemizer.symbols[i] for i in ids.tolist()) == symbols
    assert phonemizer.symbols[0] == ""
    assert 0 not in phonemizer.vocabulary.values()


def test_ids_fit_the_generators_table(phonemizer, tiny_config):
    assert max(phonemizer.vocabulary.values()) < tiny_config.unit_generator.backbone.n_tokens


def test_durations_and_channels_agree(frames):
    assert frames.acoustic.shape == (ACOUSTIC_CHANNELS, int(frames.ticks.sum()) * VOCODER_HZ // DURATION_HZ)
    assert frames.acoustic.dtype == np.float32
    assert (frames.ticks > 0).all()
    f0_hz = np.expm1(5 * frames.acoustic[F0_CHANNEL])
    assert 80 < np.median(f0_hz[f0_hz > 20]) < 400


def test_half_the_speed_takes_about_twice_as_long(phonemizer, voice_folder):
    front, ids = VoiceFront(voice_folder / "front.onnx"), phonemizer.ids(phonemizer.phonemes("Good morning to you."))
    assert 1.6 < front(ids, 0.5).ticks.sum() / front(ids, 1.0).ticks.sum() < 2.4


def test_speech_has_its_length_and_is_no_silence(frames, vocoder):
    samples = vocoder(frames.acoustic)
    assert samples.shape == (300 * frames.acoustic.shape[1],)
    assert samples.dtype == np.float32
    assert np.isfinite(samples).all()
    assert 0.05 < np.abs(samples).max() <= 1.5


def test_the_seed_decides_and_nothing_else(frames, vocoder):
    first, again, other = vocoder(frames.acoustic, 3), vocoder(frames.acoustic, 3), vocoder(frames.acoustic, 4)
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()


def test_the_two_halves_are_the_whole(phonemizer, voice_folder):
    import onnxruntime

    from exomni.parts.hibari.voice import _ACOUSTIC, _PLANES

    ids = phonemizer.ids(phonemizer.phonemes("Two halves."))
    graph = onnxruntime.InferenceSession(str(locate(ASSETS["hibari-heart"])[0]), providers=["CPUExecutionProvider"])
    whole = graph.run(_PLANES, {"ids": ids[None], "speed": np.array([1.0], np.float32)})
    back = onnxruntime.InferenceSession(str(voice_folder / "back.onnx"), providers=["CPUExecutionProvider"])
    acoustic = VoiceFront(voice_folder / "front.onnx")(ids).acoustic
    for plane, part in zip(whole, back.run(_PLANES, {_ACOUSTIC: acoustic[None]}), strict=True):
        np.testing.assert_allclose(plane, part, atol=1e-4)


def test_a_graph_without_the_seams_is_refused(tmp_path):
    import onnx
    from onnx import TensorProto, helper

    value = helper.make_tensor_value_info("ids", TensorProto.FLOAT, [1])
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Identity", ["ids"], ["out"])], "other", [value], [out])
    onnx.save(helper.make_model(graph), tmp_path / "other.onnx")
    with pytest.raises(AssetError, match=r"other\.onnx has not the expected seams"):
        cut_graph(tmp_path / "other.onnx", tmp_path / "a.onnx", tmp_path / "b.onnx")


def test_training_and_speaking_use_one_thread_each(vocoder):
    """Sessions that took every core would fight with torch for them."""
    assert torch.get_num_threads() >= 1
    assert vocoder._run.__self__._session.get_session_options().intra_op_num_threads == 1
