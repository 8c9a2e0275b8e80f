"""Phone times: from alignment files and of clauses."""

import json

import numpy as np
import pytest

from exomni.core.emotion import EMOTIONS
from exomni.core.errors import FormatError
from exomni.data.teachers import PAD, Phone
from exomni.data.teachers.poses import CLOSED
from exomni.evaluate.phones import (
    Utterance,
    clip_of,
    clip_of_phones,
    expected_opening,
    read_phones,
    sentence_emotions,
)

from .fakes import utterance


def said(text: str) -> Utterance:
    return Utterance(text, "ma", np.array([4, 4, 4, 4]))


def write_alignment(path, phones):
    words = [{"t": "word", "w": [{"t": t, "b": b, "d": d} for t, b, d in phones]}]
    path.write_text(json.dumps({"w": words}))
    return path


def test_an_alignment_is_read(tmp_path):
    path = write_alignment(tmp_path / "a.phone.json", [("SIL", 0.0, 0.2), ("P", 0.2, 0.1), ("AA1", 0.3, 0.25)])
    phones = read_phones(path)
    assert [p.symbol for p in phones] == ["", "p", "ɑ"]
    assert phones[2].start_s == 0.3
    assert phones[2].end_s == pytest.approx(0.55)
    assert [p.symbol for p in phones if p.symbol in CLOSED] == ["p"]


@pytest.mark.parametrize("text", ["", "[]", '{"w": [{"w": [{"t": "P"}]}]}', '{"w": []}'])
def test_what_is_no_alignment_is_refused(tmp_path, text):
    path = tmp_path / "a.phone.json"
    path.write_text(text)
    with pytest.raises(FormatError, match=r"a\.phone\.json"):
        read_phones(path)


def test_unknown_phones_are_named(tmp_path):
    with pytest.raises(FormatError, match="QQ"):
        read_phones(write_alignment(tmp_path / "a.phone.json", [("QQ", 0.0, 0.2)]))


def test_the_teacher_reads_phones_back_as_they_were(tmp_path):
    phones = [Phone("", 0.0, 0.2), Phone("h", 0.2, 0.26), Phone("i", 0.26, 0.4), Phone("b", 0.4, 0.5),
              Phone("æ", 0.5, 0.62), Phone("", 0.62, 1.0)]  # fmt: skip
    back = clip_of_phones(phones, 30).phones
    assert [p.symbol for p in back] == [p.symbol for p in phones]
    assert [p.start_s for p in back] == pytest.approx([p.start_s for p in phones])


def test_clauses_follow_each_other_in_a_clip():
    one = utterance("Mama.")
    clip = clip_of([one, one], 290)
    length_s = one.ticks.sum() * 0.025
    phones = clip.phones
    half = [p for p in phones if p.sentence == 0 and p.symbol]
    rest = [p for p in phones if p.sentence == 1 and p.symbol]
    assert [p.symbol for p in half] == [p.symbol for p in rest]
    assert [p.start_s + length_s for p in half] == pytest.approx([p.start_s for p in rest])
    assert clip.symbols.count(PAD) == 4
    assert clip.emotion.shape == (2, 5)


def test_a_clause_has_the_emotion_of_its_sentence():
    found = sentence_emotions([said("I am so happy,"), said("because it stopped."), said("The table is round.")])
    joy = EMOTIONS.index("joy")
    assert found[0, joy] > 0.3
    assert found[1, joy] == found[0, joy]
    assert not found[2].any()


def test_the_expected_mouth_opens_in_vowels_and_closes_in_closures():
    phones = [
        Phone("", 0.0, 0.5),
        Phone("ɑ", 0.5, 1.0),
        Phone("m", 1.0, 1.3),
        Phone("ɑ", 1.3, 1.8),
        Phone("", 1.8, 2.4),
    ]
    opening = expected_opening(phones, 72)
    assert opening.shape == (72,)
    assert opening[20:28].min() > 0.9
    assert opening[34] < 0.05
    assert opening[:10].max() < 0.01
    assert opening[60:].max() < 0.01


def test_the_expected_mouth_leans_to_neither_side():
    phones = [Phone("", 0.0, 1.0), Phone("ɑ", 1.0, 1.2), Phone("", 1.2, 2.2)]
    opening = expected_opening(phones, 66)
    assert opening == pytest.approx(opening[::-1])


def test_vowels_have_ascii_names_for_captions():
    from exomni.data.teachers.timing import VOWELS
    from exomni.evaluate.phones import phone_name

    assert phone_name("ɑ") == "AA"
    assert phone_name("m") == "M"
    said_by_the_voice = VOWELS - set("aeoyøœɜɤɯ")
    assert all(phone_name(v).isascii() for v in said_by_the_voice)
