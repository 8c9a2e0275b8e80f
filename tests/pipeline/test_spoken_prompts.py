"""Prompts of text and recordings become turns; a spoken question is answered end to end."""

import types
from pathlib import Path

import numpy as np
import pytest

from exomni.core.errors import ConfigError, InputError, NoSpeechError
from exomni.core.events import DoneEvent, TranscriptEvent
from exomni.core.turns import Turn
from exomni.model.config import SpeechProjectorConfig
from exomni.parts.loading import Parts, load_parts
from exomni.parts.nano.listener import CTCSpeechListener
from exomni.parts.silero import build_voice_activity
from exomni.parts.whisper.transcriber import WhisperTranscriber, repeats_itself
from exomni.pipeline.results import wav_bytes
from exomni.pipeline.spoken_prompts import DEFAULT_LISTEN, LISTEN, SpokenPrompts, checked_listen, is_spoken


class Scribe(WhisperTranscriber):
    """Whisper's decoder, whose words are given."""

    def __init__(self, encoder, *words: str):
        self._encoder, self.words, self.n_frames = encoder, list(words), []

    def prepare(self) -> None:
        pass

    def decode(self, features) -> str:
        self.n_frames.append(len(features))
        return self.words.pop(0)


@pytest.fixture
def hearing(omni, monkeypatch):
    """Function of words to an `ExOmni` that hears them and hands its turns to a list."""
    write = omni.llm.write

    def make(*words):
        omni.parts._built["transcriber"] = Scribe(omni.parts.speech_encoder, *words)
        omni.turns = []
        monkeypatch.setattr(omni.llm, "write", lambda turns, **o: omni.turns.extend(turns) or write(turns, **o))
        return omni

    return make


def test_a_spoken_question_is_answered(hearing, question):
    omni = hearing("What is the capital of France?")
    events = list(omni.stream(question, sample_rate=24_000))
    assert events[0] == TranscriptEvent("What is the capital of France?")
    assert sum(isinstance(e, TranscriptEvent) for e in events) == 1
    assert omni.turns == [Turn("user", "What is the capital of France?")]
    assert isinstance(events[-1], DoneEvent)
    assert 0 < events[-1].timings["listen_s"] < events[-1].timings["first_audio_s"]


def test_the_result_says_what_was_heard(hearing, question, tmp_path):
    path = tmp_path / "question.wav"
    path.write_bytes(wav_bytes(question))
    reply = hearing("Hello.").respond(path)
    assert reply.transcript == "Hello."
    assert hearing("Hello.").respond("Hello.").transcript == ""


def test_text_and_speech_mix(hearing, question):
    omni = hearing("good morning", "good night")
    parts = ["Translate this:", question, "and this:", question]
    events = list(omni.stream(parts, sample_rate=24_000))
    assert omni.turns == [Turn("user", "Translate this: good morning and this: good night")]
    assert events[0].text == omni.turns[0].content


def test_a_conversation_may_be_spoken(hearing, question):
    omni = hearing("And of Spain?")
    talk = [Turn("user", "What is the capital of France?"), Turn("assistant", "Paris."), Turn("user", question)]
    list(omni.stream(talk, sample_rate=24_000))
    assert omni.turns == [*talk[:2], Turn("user", "And of Spain?")]


def test_the_words_of_a_recording(hearing, question):
    assert hearing("Hello there.").transcribe(question, 24_000) == "Hello there."


def test_a_transcript_that_runs_in_circles_is_made_again_on_a_whole_clip(hearing, question):
    omni = hearing("What is it? What is it?", "Who is it?")
    assert omni.transcribe(question, 24_000) == "Who is it?"
    first, second = omni.parts.transcriber.n_frames
    assert first < second == 1500


@pytest.mark.parametrize(
    ("text", "repeats"),
    [("What is it? What is it?", True), ("So he said go on and he said go on and", True), ("No, no, no!", False),
     ("bye bye bye bye", False), ("What is it? It is what?", False), ("", False)],
)  # fmt: skip
def test_what_repeats_itself(text, repeats):
    assert repeats_itself(text) is repeats


@pytest.mark.parametrize("words", ["", " ... "])
def test_what_is_not_understood_is_no_question(hearing, question, words):
    with pytest.raises(NoSpeechError, match="did not hear anything"):
        hearing(words).stream(question, sample_rate=24_000)


def test_silence_is_no_question(hearing):
    omni = hearing("an invented question")
    with pytest.raises(NoSpeechError):
        omni.respond(np.zeros(16_000, np.float32), sample_rate=16_000)
    assert omni.turns == []


def test_recordings_that_make_no_sense_are_refused(hearing, tmp_path, question):
    omni = hearing("words")
    with pytest.raises(InputError, match="sample_rate"):
        omni.respond(question)
    with pytest.raises(InputError, match="not a file"):
        omni.respond(tmp_path / "none.wav")


def test_ways_of_listening():
    assert checked_listen(None) == DEFAULT_LISTEN
    assert [checked_listen(name) for name in LISTEN] == list(LISTEN)
    with pytest.raises(ConfigError, match="transcribe"):
        checked_listen("guess")


@pytest.mark.parametrize(
    ("prompt", "spoken"),
    [("Hello.", False), (Path("a.wav"), True), (np.zeros(3), True), (["Say", Path("a.wav")], True),
     ([Turn("user", "Hi."), Turn("assistant", "Hi."), Turn("user", "Bye.")], False),
     ([Turn("user", ("Say", np.zeros(3)))], True)],
)  # fmt: skip
def test_what_is_spoken(prompt, spoken):
    assert is_spoken(prompt) is spoken


def test_whisper_writes_down_the_voice(question):
    prompts = SpokenPrompts(load_parts("nano"))
    assert prompts.transcribe(question, 24_000) == "What is the capital of France?"
    assert prompts.transcribe(question, 24_000, trimmed=True) == "What is the capital of France?"


class Words:
    """Stands in for the LLM where speech is heard natively: token 7 is "tea", token 9 is "time"."""

    def __init__(self):
        self.tokenizer, self.adapters, self.asked, self.likes = self, [], [], {}

    def decode(self, ids):
        return "".join({7: " tea", 9: " time"}[i] for i in ids)

    def log_likelihood_ratios(self, text, others):
        self.asked.append((text, list(others)))
        return [self.likes.get(other, 0.0) for other in others]

    def encode(self, text, add_special_tokens=False):
        return types.SimpleNamespace(ids=[{"tea": 7, "time": 9}[word] for word in text.split()])

    def embeddings(self, ids):
        return np.array([[i] for i in ids], np.float32)

    def use_adapters(self, adapters):
        self.adapters.append(adapters)


@pytest.fixture
def native(monkeypatch):
    """Spoken prompts whose CTC listener always reads "tea time"."""
    import torch

    from exomni.model.ctc_listener import CTCListener, CTCListenerWeights

    class Always(CTCListener):
        said = (7.0, -50.0, 8.9)

        def forward(self, frames):
            return torch.tensor([[[v] for v in self.said]])

    listener = Always(4, 1, SpeechProjectorConfig())
    listener.blank.data.fill_(-50.0)
    weights = CTCListenerWeights(listener, np.array([7, 9]), {"0.q.up": np.zeros(1)})
    monkeypatch.setattr("exomni.parts.nano.listener.load_ctc_listener", lambda folder, config: weights)
    chat = Words()
    ctc = CTCSpeechListener(Path(), None, lambda samples: torch.zeros(len(samples) // 320, 4), chat)
    parts = Parts(writer=chat, listener=ctc, builders={"voice_activity": build_voice_activity})
    return SpokenPrompts(parts), chat, listener


def words_and_vectors(prompts, recording) -> tuple[str, np.ndarray]:
    words = prompts.transcribe(recording, 24_000, listen="native")
    return words, prompts._parts.listener.vectors(words)


def test_speech_is_heard_natively(native, question):
    prompts, chat, _ = native
    words, vectors = words_and_vectors(prompts, question)
    np.testing.assert_array_equal(vectors, [[7.0], [9.0]])
    assert words == "tea time"
    ((turn,), said) = prompts.turns(["Say:", question], 24_000, "native", str.upper)
    assert said == "SAY: TEA TIME"
    assert turn.role == "user"
    assert turn.content[:2] == ("Say:", " ")
    np.testing.assert_allclose(turn.content[2], vectors)
    assert len(chat.adapters) == 1  # given to the LLM once


def test_speech_alone_reads_as_if_it_had_been_typed(native, question):
    prompts, _, _ = native
    assert prompts.turns(question, 24_000, "native", str)[0] == [Turn("user", "tea time")]
    assert prompts.turns([question, question], 24_000, "native", str)[0] == [Turn("user", "tea time tea time")]
    assert prompts.turns(["", question, " "], 24_000, "native", str)[0] == [Turn("user", "tea time")]


def test_a_native_conversation_may_have_spoken_turns(native, question):
    prompts, chat, _ = native
    talk = [Turn("user", question), Turn("assistant", "With milk?"), Turn("user", ("No:", question))]
    turns, words = prompts.turns(talk, 24_000, "native", str)
    assert turns[:2] == [Turn("user", "tea time"), Turn("assistant", "With milk?")]
    assert (turns[2].content[0], words) == ("No:", "No: tea time")
    assert len(chat.adapters) == 1


def test_a_long_recording_is_read_piece_by_piece(native, question, monkeypatch):
    prompts, _, listener = native
    says = iter([(7.0, 9.0), (-50.0, -50.0), (9.0,)])
    monkeypatch.setattr("exomni.pipeline.spoken_prompts.read_input_audio", lambda *_: [question] * 3)
    monkeypatch.setattr(type(listener), "said", property(lambda _: next(says)))
    assert words_and_vectors(prompts, question)[0] == "tea time time"


def test_the_llm_has_a_say_in_what_is_heard(native, question):
    prompts, chat, listener = native
    listener.said = (7.6, -50.0, 8.9)
    assert words_and_vectors(prompts, question)[0] == "tea time"
    assert chat.asked[0][0] == "tea time"
    assert "time time" in chat.asked[0][1]
    chat.likes = {"time time": 40.0}
    words, vectors = words_and_vectors(prompts, question)
    assert words == "time time"
    np.testing.assert_array_equal(vectors, [[9.0], [9.0]])


def test_what_reads_as_nothing_is_no_question(native, question):
    prompts, _, listener = native
    listener.said = (-50.0, -50.0)
    with pytest.raises(NoSpeechError):
        words_and_vectors(prompts, question)
