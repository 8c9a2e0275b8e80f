"""The suite of listening on hearers whose every answer is known."""

import numpy as np
import pytest

from exomni.core.errors import FormatError, InputError, NoSpeechError
from exomni.data.asr_build import CLEAN_DB
from exomni.data.store import write_shard
from exomni.evaluate import suite_report
from exomni.evaluate.speech_input import (
    HeldOutClip,
    SpokenQuestion,
    content_overlap,
    held_out_clips,
    holds_answer,
    noise_name,
    read_questions,
    speech_input,
)
from exomni.evaluate.suites import check_goals
from exomni.pipeline.results import wav_bytes

REPLY = "Paris is the capital of France."


class Way:
    """Hears `words`, replies with `reply`."""

    def __init__(self, name, words, reply):
        self.name, self.words, self.reply = name, words, reply

    def transcribe(self, samples):
        return self.words

    def answer(self, before, samples):
        return self.words if before else self.reply

    def first_audio_s(self, samples):
        return 0.75


class Deaf(Way):
    """Hears nothing at all."""

    def transcribe(self, samples):
        raise NoSpeechError("nothing")

    answer = first_audio_s = lambda self, *_: self.transcribe(None)


def clip(voice="a", snr_db=CLEAN_DB, is_question=True):
    return HeldOutClip("What is the capital of France?", is_question, voice, snr_db, np.zeros(16_000, np.float32))


def test_words_and_replies_are_counted_by_noise_and_voice():
    clips = [clip(), clip("b"), clip(snr_db=10.0), clip("b", is_question=False)]
    good = Way("native", "what is the capital of france", REPLY)
    poor = Way("transcribe", "what is the cattle of france", "France has many cows.")
    result = speech_input([good, poor], lambda question: REPLY, clips)
    table = {(line["way"], line["noise"], line["voice"]): line for line in result["table"]}
    assert table["native", "clean", "all"]["clips"] == 3
    assert table["native", "clean", "b"]["clips"] == 2
    assert table["native", "10 dB", "all"]["repeat WER %"] == 0
    assert table["transcribe", "clean", "all"]["read WER %"] == pytest.approx(100 / 6)
    assert table["native", "clean", "all"]["same content %"] == 100
    assert table["transcribe", "clean", "all"]["same content %"] == 0
    assert 0 < table["transcribe", "clean", "all"]["overlap"] < 0.5
    assert table["native", "clean", "all"]["first audio s"] == 0.75
    assert len(result["rows"]) == 8
    # The same words are no question where nobody asks them.
    assert sum("agreement" in row for row in result["rows"]) == 6
    assert len({line["way"] for line in result["table"]}) == 2


def test_goals_are_checked_and_the_report_is_written(tmp_path):
    ways = [Way("native", "what", REPLY), Way("transcribe", "what is the capital of france", REPLY)]
    spoken = [SpokenQuestion("What is the capital of France?", ("Paris",), tmp_path / "q.wav")]
    spoken[0].recording.write_bytes(wav_bytes(np.ones(4_000) / 4))
    result = {"suite": "speech-input"} | speech_input(ways, lambda q: REPLY, [clip(), clip(snr_db=10.0)], spoken)
    result["goals"] = check_goals(result)
    met = {row["goal"].split(",")[0]: row["met"] for row in result["goals"]}
    assert met == {"repeat WER": "no", "agreement": "yes", "end of speech to first audio": "yes"}
    assert result["questions"] == [
        {"way": way, "questions": 1, "right %": 100.0} for way in ("typed", "native", "transcribe")
    ]
    files = suite_report.write_report(result, tmp_path / "out")
    assert {f.name for f in files} == {"speech-input.json", "speech-input.txt", "speech-input.png"}
    assert "right %" in files[1].read_text()


def test_who_hears_nothing_gets_everything_wrong():
    result = speech_input([Deaf("native", "", "")], lambda q: REPLY, [clip()])
    line = result["table"][0]
    assert (line["read WER %"], line["repeat WER %"], line["same content %"]) == (100, 100, 0)
    assert np.isnan(line["first audio s"])


@pytest.mark.parametrize(
    ("a", "b", "overlap"),
    [("The cat sat.", "A cat is what sat!", 1.0), ("Red apples", "green apples", 0.5), ("One.", "the", 1.0),
     ("Rome", "Paris", 0.0), ("Colours", "colors", 1.0)],
)  # fmt: skip
def test_overlap_is_of_content_words(a, b, overlap):
    assert content_overlap(a, b) == content_overlap(b, a) == overlap


@pytest.mark.parametrize(
    ("reply", "answers", "right"),
    [("It is Paris, of course.", ("Paris",), True), ("It is parish land.", ("Paris",), False),
     ("There are twelve.", ("a dozen", "12"), True), ("No idea.", ("",), False)],
)  # fmt: skip
def test_an_answer_is_held_word_for_word(reply, answers, right):
    assert holds_answer(reply, answers) is right


def test_questions_of_a_folder_are_read(tmp_path):
    (tmp_path / "a.wav").write_bytes(wav_bytes(np.zeros(10)))
    table = tmp_path / "questions.tsv"
    table.write_text("Audio\tQuestion\tAnswer\na.wav\tHow many?\ttwelve|12\n")
    (question,) = read_questions(tmp_path)
    assert (question.question, question.answers, question.recording) == (
        "How many?",
        ("twelve", "12"),
        tmp_path / "a.wav",
    )
    table.write_text("audio\tquestion\tanswer\nb.wav\tHow many?\t12\n")
    with pytest.raises(InputError, match=r"b\.wav"):
        read_questions(tmp_path)
    table.write_text("audio\tquestion\na.wav\tHow many?\n")
    with pytest.raises(FormatError, match="answer"):
        read_questions(tmp_path)
    table.unlink()
    with pytest.raises(InputError, match="0 TSV"):
        read_questions(tmp_path)


def test_held_out_voices_are_read_and_no_others(tmp_path):
    import io

    import soundfile

    sound = io.BytesIO()
    soundfile.write(sound, np.full(800, 0.25), 16_000, format="FLAC")
    row = {"is_question": True, "voice": "v", "snr_db": 10.0, "sound": sound.getvalue()}
    rows = [row | {"text": text, "split": split} for text in "abc" for split in ("test", "train")]
    with pytest.raises(InputError, match="data hear"):
        held_out_clips(tmp_path)
    write_shard(tmp_path / "heard" / "0000.parquet", rows, {})
    clips = held_out_clips(tmp_path)
    assert [c.text for c in clips] == ["a", "b", "c"]
    assert len(clips[0].samples) == 800
    assert len(held_out_clips(tmp_path, limit=2)) == 2
    assert noise_name(clips[0].snr_db) == "10 dB"
