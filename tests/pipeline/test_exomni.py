"""Streams of a tiny random model: order, clocks, laziness, seeds, and what is refused."""

import gc
import time
import weakref
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch

from exomni.core.arkit import EYES, INDEX, NAMES
from exomni.core.clauses import ClauseCutter
from exomni.core.emotion import EMOTIONS
from exomni.core.errors import AssetError, CheckpointError, ConfigError, InputError
from exomni.core.events import DoneEvent, FaceEvent, SpeechEvent, TextEvent
from exomni.core.timebase import SAMPLES_PER_FRAME, SAMPLES_PER_UNIT
from exomni.core.turns import Turn
from exomni.data.teachers.expression import FULL
from exomni.face.eyes import EyeMovements
from exomni.parts.loading import Parts
from exomni.parts.ports import Clause
from exomni.pipeline.exomni import MAX_PROMPT_CHARS, MAX_TEXT_CHARS, ExOmni
from exomni.pipeline.results import Timings

LONG = "The quick brown fox jumps over the lazy dog, and then it runs away. "
SHIPPED = Path(str(resources.files("exomni"))) / "weights" / "nano"


def walk(events, exact: bool = True) -> tuple[list, DoneEvent]:
    """All events of a stream, once it is sure that they are in order and their positions join.

    Args:
        events: of a stream.
        exact: whether each piece of speech is just as long as the face before it.
    """
    seen, n_samples, n_frames, face = [], 0, 0, None
    for event in events:
        match event:
            case FaceEvent():
                assert face is None, "two faces without speech"
                assert (event.start_sample, event.start_frame) == (n_frames * SAMPLES_PER_FRAME, n_frames)
                assert event.frames.dtype == np.float32
                assert event.frames.shape == (len(event.frames), 52)
                assert ((event.frames >= 0) & (event.frames <= 1)).all()
                face, n_frames = event, n_frames + len(event.frames)
            case SpeechEvent():
                assert face is not None, "speech before its face"
                assert event.start_sample == n_samples
                assert face.start_sample <= event.start_sample
                assert event.samples.dtype == np.float32
                n_samples += len(event.samples)
                if exact:
                    assert len(event.samples) == len(face.frames) * SAMPLES_PER_FRAME
                    assert len(event.samples) == len(event.units) * SAMPLES_PER_UNIT
                assert abs(n_samples - n_frames * SAMPLES_PER_FRAME) <= SAMPLES_PER_FRAME
                face = None
            case DoneEvent():
                assert face is None
                assert (event.n_samples, event.n_frames) == (n_samples, n_frames)
        seen.append(event)
    assert [type(e) for e in seen].count(DoneEvent) == 1
    assert isinstance(seen[-1], DoneEvent)
    return seen, seen[-1]


def of_type(events, kind) -> list:
    return [e for e in events if isinstance(e, kind)]


def test_a_reply_is_in_order_and_whole(omni):
    events, _ = walk(omni.stream("What is the capital of France?"))
    assert "".join(e.text for e in of_type(events, TextEvent)) == omni.llm.answer
    spoken = [e.text for e in of_type(events, SpeechEvent)]
    assert len(spoken) >= 2
    assert " ".join(spoken) == omni.llm.answer


def test_a_given_text_is_in_order_and_whole(omni):
    text = "Good morning. How are you, my friend?\nFine, thanks!"
    events, _ = walk(omni.stream_speech(text))
    assert " ".join("".join(e.text for e in of_type(events, TextEvent)).split()) == " ".join(text.split())
    assert " ".join(e.text for e in of_type(events, SpeechEvent)) == " ".join(text.split())


def test_speech_knows_its_phonemes_and_their_times(omni):
    events, _ = walk(omni.stream_speech("Good morning. How are you, my friend? " + "9" * 150))
    for event in of_type(events, SpeechEvent):
        assert event.phonemes.strip()
        assert len(event.ticks) == len(event.phonemes) + 2
        assert (event.ticks > 0).all()
        assert int(event.ticks.sum()) * 600 == len(event.samples)


def test_speech_begins_while_the_words_are_still_being_written(omni):
    omni.llm.answer = "Well, hello there my friend. " + LONG * 5
    written = {}
    for event in omni.stream("Hello?"):
        written.setdefault(type(event), omni.llm.n_written)
    assert written[TextEvent] == 1
    assert written[FaceEvent] == written[SpeechEvent] <= 12
    assert omni.llm.n_written > 100


@pytest.mark.parametrize("stop_at", [TextEvent, FaceEvent, SpeechEvent])
def test_a_consumer_that_stops_stops_the_work(omni, stop_at):
    omni.llm.answer = LONG * 20
    stream = omni.stream("Hello?")
    for event in stream:
        if isinstance(event, stop_at):
            break
    n_written = omni.llm.n_written
    stream.close()
    assert omni.llm.closed
    assert omni.llm.n_written == n_written < 40


def test_a_consumer_that_forgets_the_stream_stops_the_work_too(omni):
    omni.llm.answer = LONG * 20
    for event in omni.stream("Hello?"):
        if isinstance(event, SpeechEvent):
            break
    gc.collect()
    assert omni.llm.closed


def test_nothing_is_done_before_the_first_event_is_asked_for(omni):
    omni.stream("Hello?")
    omni.stream_speech(LONG * 100)
    assert omni.llm.n_written == omni.llm.n_states == 0


def test_a_long_text_is_read_as_it_is_needed(omni):
    for event in omni.stream_speech(LONG * 1500):
        if isinstance(event, SpeechEvent):
            break
    assert omni.llm.n_states == 1


def test_memory_stays_flat_however_long_the_text(omni):
    seen, most = [], 0
    for event in omni.stream_speech(LONG * 20):
        for name in ("samples", "frames", "units"):
            if hasattr(event, name):
                seen.append(weakref.ref(getattr(event, name)))
        del event
        most = max(most, sum(ref() is not None for ref in seen))
    assert len(seen) > 50
    assert most <= 3


def test_memory_stays_flat_however_long_the_recording(omni, speechlike):
    seen, most = [], 0
    for event in omni.stream_animation(speechlike(60, 16_000), 16_000):
        if isinstance(event, FaceEvent):
            seen.append(weakref.ref(event.frames))
        del event
        most = max(most, sum(ref() is not None for ref in seen))
    assert len(seen) >= 15
    assert most <= 3


def test_a_hundred_thousand_characters_begin_at_once(omni, monkeypatch):
    n_cut, add = 0, ClauseCutter.add

    def counted(cutter, text: str) -> list[str]:
        nonlocal n_cut
        n_cut += len(text)
        return add(cutter, text)

    monkeypatch.setattr(ClauseCutter, "add", counted)
    text = (LONG * 1500)[:100_000]
    assert isinstance(next(omni.stream_speech(text)), TextEvent)
    assert n_cut < 5_000


def test_the_same_seed_gives_the_same_files(omni, tmp_path):
    files = []
    for name in "ab":
        folder = omni.speak("Hello there, my friend.", seed=3).save(tmp_path / name)
        files.append({p.name: p.read_bytes() for p in folder.iterdir() if p.name != "reply.json"})
    assert files[0] == files[1]
    assert len(files[0]) == 3


def test_another_seed_gives_other_units(omni):
    units = [omni.respond("Hi", seed=seed).units.tolist() for seed in (0, 1)]
    assert units[0] != units[1]


def test_one_request_does_not_change_the_next(omni):
    first = omni.speak("Hello there, my friend.", seed=1)
    omni.speak("Something else.", seed=2)
    again = omni.speak("Hello there, my friend.", seed=1)
    assert first.samples.tobytes() == again.samples.tobytes()
    assert first.frames.tobytes() == again.frames.tobytes()


def test_requests_can_take_turns(omni):
    alone = [omni.speak("Hello there, my friend. How are you today?", seed=s).samples for s in (1, 2)]
    streams = [omni.stream_speech("Hello there, my friend. How are you today?", seed=s) for s in (1, 2)]
    parts: list[list] = [[], []]
    for pair in zip(*streams, strict=False):
        for i, event in enumerate(pair):
            if isinstance(event, SpeechEvent):
                parts[i].append(event.samples)
    for i in (0, 1):
        n = sum(map(len, parts[i]))
        np.testing.assert_array_equal(np.concatenate(parts[i]), alone[i][:n])


def test_streaming_equals_offline(omni):
    events, _ = walk(omni.stream("Hello?", seed=5))
    reply = omni.respond("Hello?", seed=5)
    assert np.concatenate([e.samples for e in of_type(events, SpeechEvent)]).tobytes() == reply.samples.tobytes()
    assert np.concatenate([e.frames for e in of_type(events, FaceEvent)]).tobytes() == reply.frames.tobytes()
    assert np.concatenate([e.units for e in of_type(events, SpeechEvent)]).tolist() == reply.units.tolist()


def test_a_reply_says_what_made_it(omni, tiny_nano):
    reply = omni.respond("Hello?", seed=9)
    assert reply.text == omni.llm.answer
    assert (reply.seed, reply.model, reply.data) == (9, tiny_nano.facts.weights, tiny_nano.facts.data)
    assert len(reply.frames) * SAMPLES_PER_FRAME == len(reply.samples)


def test_timings_add_up(omni):
    times = omni.respond("Hello?").timings
    assert 0 < times.first_face_s <= times.first_audio_s <= times.total_s
    parts = times.llm_s + times.units_s + times.speech_s + times.face_s
    assert 0.5 * times.total_s < parts <= times.total_s
    assert min(times.units_s, times.speech_s, times.face_s) > 0


def test_the_real_time_factor_is_work_over_speech(omni):
    reply = omni.speak("Hello there.")
    assert reply.timings.real_time_factor == pytest.approx(reply.timings.total_s / reply.duration_s)
    assert Timings().real_time_factor == 0


def slow(parts: Parts, port: str, part, seconds: float) -> None:
    """Have a part take its time to load."""

    def build(parts):
        time.sleep(seconds)
        return part

    parts._built.pop(port, None)
    parts._builders[port] = build


def test_loading_the_llm_is_not_part_of_a_request(omni):
    before = omni.parts.load_s
    slow(omni.parts, "writer", omni.llm, 0.5)
    times = omni.respond("Hello?").timings
    assert times.load_s >= before + 0.5
    assert times.first_audio_s < times.total_s
    assert times.llm_s < 0.5


def test_loading_the_speech_encoder_is_not_part_of_a_request(omni, tiny_parts, speechlike):
    parts = tiny_parts(writer=omni.llm, reader=omni.llm)
    slow(parts, "speech_encoder", omni.parts.speech_encoder, 5)
    omni = ExOmni(parts)
    before = parts.load_s
    times = omni.animate(speechlike(1, 24_000), 24_000).timings
    assert times.first_face_s < 5  # takes hundredths of a second, but on a busy machine
    assert times.load_s >= before + 5


def test_a_conversation_is_handed_on(omni, monkeypatch):
    turns = [Turn("user", "Hello."), Turn("assistant", "Hi."), Turn("user", "How are you?")]
    seen = []
    reply = omni.llm.write
    monkeypatch.setattr(omni.llm, "write", lambda given, **options: seen.append((given, options)) or reply(given))
    omni.respond(turns, temperature=0.5, max_new_tokens=20, seed=4)
    assert seen[0][0] == turns
    assert seen[0][1] == {"max_new_tokens": 20, "temperature": 0.5, "seed": 4}


NOTHING = ["", "   \n", "😀🎉", "!?…", "\x00\x07\x1b", "---", "\u200b\ufeff"]


@pytest.mark.parametrize("text", NOTHING)
def test_nothing_to_say_is_refused_at_once(omni, text):
    with pytest.raises(InputError, match="nothing to say"):
        omni.stream_speech(text)
    with pytest.raises(InputError, match="question is empty"):
        omni.stream(text)


@pytest.mark.parametrize("text", ["日本語のテキスト", "こんにちは。", "안녕하세요"])
def test_another_script_alone_is_refused(omni, text):
    with pytest.raises(InputError, match="English"):
        omni.speak(text)


@pytest.mark.parametrize(
    "text",
    [
        "Hello 😀 日本語 my friend.",
        "Tab\tand\x00null\x07bell.",
        "**Bold** and [a link](https://example.com/).",
        "x" * 1000,
        "9" * 300,
        "naïve café, £5, x² at 20°C",
        "\ud800 a lone surrogate",
        "...and so on...",
        "I",
        "5",
    ],
)
def test_odd_text_is_spoken_as_far_as_it_can_be(omni, text):
    _, done = walk(omni.stream_speech(text))
    assert done.n_samples >= 4800


@pytest.mark.parametrize("prompt", ["caf\udce9 hello", "a\x00b", "😀 hello", "日本語?", "\u202ehello"])
def test_odd_questions_are_answered(omni, prompt):
    assert omni.respond(prompt).text == omni.llm.answer


def test_clauses_that_cannot_be_said_are_passed_over(omni):
    omni.llm.answer = "Hello there. 日本語。 (). Good bye, my friend!"
    events, _ = walk(omni.stream("Hello?"))
    assert "日本語" in "".join(e.text for e in of_type(events, TextEvent))
    assert of_type(events, SpeechEvent)[0].text == "Hello there."


@pytest.mark.parametrize("answer", ["", "日本語。", "😀"])
def test_an_llm_that_says_nothing_is_an_error_and_no_crash(omni, answer):
    omni.llm.answer = answer
    with pytest.raises(InputError, match="nothing in the reply"):
        omni.respond("Hello?")


def test_too_much_text_is_refused_at_once(omni):
    with pytest.raises(InputError, match="1,000,001 characters; at most 1,000,000"):
        omni.stream_speech("a" * (MAX_TEXT_CHARS + 1))
    with pytest.raises(InputError, match="8,001 characters; at most 8,000"):
        omni.stream("a" * (MAX_PROMPT_CHARS + 1))


@pytest.mark.parametrize(
    "options",
    [
        {"speed": 0.29}, {"speed": 3.01}, {"speed": 0}, {"speed": -1}, {"speed": float("nan")}, {"seed": -1},
        {"seed": 2**64}, {"emotion": np.full(5, 1.5, np.float32)}, {"emotion": np.full(5, np.nan, np.float32)},
        {"emotion": np.zeros(4, np.float32)},
    ],
)  # fmt: skip
def test_options_out_of_range_are_refused_at_once(omni, options):
    with pytest.raises(InputError):
        omni.stream_speech("Hello.", **options)
    with pytest.raises(InputError):
        omni.stream("Hello.", **options)


@pytest.mark.parametrize("options", [{"speed": 0.3}, {"speed": 3.0}, {"seed": 2**62}])
def test_options_at_their_bounds_are_taken(omni, options):
    walk(omni.stream_speech("Hello there.", **options))


def test_faster_speech_is_shorter(omni):
    lengths = [len(omni.speak(LONG, speed=speed).samples) for speed in (0.7, 1.0, 1.5)]
    assert lengths[0] > lengths[1] > lengths[2]


def test_an_emotion_by_hand_changes_the_face_and_not_the_voice(omni):
    plain, happy = (omni.speak("Hello there.", emotion=e) for e in (None, np.float32([0, 0, 0, 1, 0])))
    assert plain.samples.tobytes() == happy.samples.tobytes()
    assert np.abs(plain.frames - happy.frames).max() > 1e-4


@pytest.mark.parametrize(
    "n_samples", [1, 399, 401, 800, 1199, 1201, 1919, 1921, 4801, 23_999, 24_300, 96_000, 96_100, 96_399, 100_801]
)
def test_a_recording_keeps_its_length(omni, speechlike, n_samples):
    samples = speechlike(5, 24_000)[:n_samples]
    walk(omni.stream_animation(samples, 24_000), exact=False)
    reply = omni.animate(samples, 24_000)
    np.testing.assert_array_equal(reply.samples, samples)
    assert abs(len(reply.frames) - n_samples / SAMPLES_PER_FRAME) <= 1
    assert len(reply.frames) >= 1
    assert len(reply.units) == -(-n_samples // 1920)
    assert reply.text == ""


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000])
def test_any_rate_has_its_duration(omni, speechlike, rate):
    reply = omni.animate(speechlike(1.37, rate), rate)
    assert reply.duration_s == pytest.approx(1.37, abs=0.002)
    assert abs(len(reply.frames) - 1.37 * 30) <= 1


def test_a_recording_longer_than_a_window(omni, speechlike):
    samples = speechlike(30, 24_000)
    _, done = walk(omni.stream_animation(samples, 24_000), exact=False)
    assert done.n_frames == 900


def test_a_file_is_read(omni, speechlike, tmp_path):
    from exomni.pipeline.results import wav_bytes

    (tmp_path / "a.wav").write_bytes(wav_bytes(speechlike(2, 16_000), 16_000))
    reply = omni.animate(tmp_path / "a.wav")
    assert len(reply.frames) == 60
    assert omni.animate(str(tmp_path / "a.wav")).frames.tobytes() == reply.frames.tobytes()
    with pytest.raises(InputError, match="not a file"):
        omni.animate(tmp_path / "nowhere.wav")


@pytest.mark.parametrize("kind", ["silence", "noise", "clipped", "a click"])
def test_odd_sound_gets_a_face(omni, kind):
    rng = np.random.default_rng(0)
    samples = {
        "silence": np.zeros(24_000, np.float32),
        "noise": rng.uniform(-1, 1, 24_000).astype(np.float32),
        "clipped": np.sign(rng.standard_normal(24_000)).astype(np.float32),
        "a click": np.eye(1, 24_000, dtype=np.float32)[0],
    }[kind]
    reply = omni.animate(samples, 24_000)
    assert reply.frames.shape == (30, 52)
    assert np.isfinite(reply.frames).all()


def bad_samples():
    good = np.zeros(100, np.float32)
    for value in (np.nan, np.inf, -np.inf):
        bad = good.copy()
        bad[50] = value
        yield bad, 24_000
    yield good[:0], 24_000
    yield np.zeros((100, 2), np.float32), 24_000
    yield good, None
    yield good, 0
    yield good, -16_000
    yield np.full(100, 20_000, np.int16), 24_000


@pytest.mark.parametrize(("samples", "rate"), bad_samples())
def test_samples_that_make_no_sense_are_refused(omni, samples, rate):
    with pytest.raises(InputError):
        omni.stream_animation(samples, rate)


def test_an_emotion_for_a_recording_is_checked(omni, speechlike):
    with pytest.raises(InputError):
        omni.stream_animation(speechlike(1, 24_000), 24_000, emotion=np.full(5, 9.0, np.float32))


def test_faces_of_a_recording_leave_before_its_end(omni, speechlike):
    stream = omni.stream_animation(speechlike(40, 16_000), 16_000)
    first = next(stream)
    assert isinstance(first, FaceEvent)
    assert len(first.frames) <= 130


def test_eyes_move_alike_in_pieces_and_at_once():
    whole, pieces = EyeMovements(3), EyeMovements(3)
    sizes = [0, 1, 2, 29, 400, 7, 61, 400]
    joined = np.concatenate([pieces.take(n) for n in sizes])
    np.testing.assert_array_equal(joined, whole.take(sum(sizes)))
    assert joined.dtype == np.float32
    assert 0 <= joined.min() <= joined.max() <= 1
    assert not joined[:, [i for i in range(52) if NAMES[i] not in EYES]].any()
    assert not np.array_equal(EyeMovements(4).take(900), joined[:900])


def test_eyes_remember_no_more_than_they_need():
    eyes = EyeMovements(0)
    for _ in range(600):
        eyes.take(30)
    assert len(eyes._blinks_s) + len(eyes._times_s) + len(eyes._places) < 20


def test_a_face_blinks_now_and_then(omni):
    faces = [omni.animate(np.zeros(20 * 24_000, np.float32), 24_000), omni.speak(LONG * 5, seed=2)]
    for reply in faces:
        lids = reply.frames[:, [INDEX["eyeBlinkLeft"], INDEX["eyeBlinkRight"]]]
        np.testing.assert_array_equal(lids[:, 0], lids[:, 1])
        n_blinks = int((np.diff((lids[:, 0] > 0.5).astype(int)) == 1).sum())
        seconds = len(lids) / 30
        assert seconds / 8 - 1 <= n_blinks <= seconds / 2 + 1
        assert (lids < 0.1).mean() > 0.75


def test_presets_without_weights_are_refused(tiny_weights):
    with pytest.raises(ConfigError, match="neither a preset"):
        ExOmni.load("mega")
    with pytest.raises(ConfigError, match="no weights of its own"):
        ExOmni.load("paper")


def test_weights_that_are_missing_or_do_not_fit_are_refused(tiny_weights, tmp_path):
    with pytest.raises(AssetError, match="is missing"):
        ExOmni.load("nano", weights=tmp_path)
    with pytest.raises(CheckpointError, match=r"unit_tokenizer\.safetensors does not fit"):
        ExOmni.load("nano", weights=tiny_weights)


@pytest.fixture(scope="module")
def shipped():
    """The model as it ships, without its LLM."""
    if not SHIPPED.is_dir():
        pytest.skip("the weights are not there yet")

    class NoWords:
        def read(self, text: str, prompt: str = "", before: str = "") -> Clause:
            return Clause(text, torch.zeros(0, 576))

    return ExOmni.load("nano", reader=NoWords())


def test_the_shipped_weights_speak(shipped):
    events, done = walk(shipped.stream_speech("Paris is the capital of France."))
    assert 1.2 < done.n_samples / 24_000 < 4.0
    samples = np.concatenate([e.samples for e in of_type(events, SpeechEvent)])
    assert 0.05 < np.abs(samples).max() <= 1.2
    jaw = np.concatenate([e.frames for e in of_type(events, FaceEvent)])[:, 24]
    assert jaw.max() - jaw.min() > 0.1


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_the_shipped_face_follows_an_emotion_set_by_hand(shipped, emotion):
    text, strength = "I have something to tell you about the house by the river.", 0.8
    neutral, felt = np.zeros(5, np.float32), np.zeros(5, np.float32)
    felt[EMOTIONS.index(emotion)] = strength
    change = shipped.speak(text, emotion=felt).frames.mean(0) - shipped.speak(text, emotion=neutral).frames.mean(0)
    stem, full = max(FULL[emotion].items(), key=lambda shape: shape[1])
    shown = np.mean([change[i] for name, i in INDEX.items() if name.startswith(stem)])
    assert shown > 0.5 * strength * full, f"{stem} moves by {shown:.2f}, the teacher's by {strength * full:.2f}"


def test_the_shipped_weights_stay_within_their_size(shipped):
    assert sum(p.stat().st_size for p in SHIPPED.rglob("*")) <= 60e6
