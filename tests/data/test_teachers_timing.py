"""True phone times from the voice's symbols and ticks."""

import itertools

import numpy as np
import pytest

from exomni.core.errors import InputError
from exomni.data.teachers import PAD, voice_phones
from exomni.data.teachers.timing import LAST_SOUND_S, TICK_S, VOICE_LEAD_S


def test_phones_follow_each_other_and_fill_the_clip() -> None:
    symbols, ticks = "_mˈɑmə bˈɪɡ._", [16, 2, 3, 2, 2, 2, 2, 2, 2, 2, 11, 6, 1]
    phones = voice_phones(list(symbols), ticks)
    assert "".join(p.symbol for p in phones) == "mɑməbɪɡ"
    assert phones[0].start_s == 0
    assert phones[-1].end_s == pytest.approx(sum(ticks) * TICK_S)
    for before, after in itertools.pairwise(phones):
        assert before.end_s == after.start_s
        assert before.end_s > before.start_s


def test_sound_leads_the_symbols_and_a_vowel_takes_its_stress_marks_time() -> None:
    phones = voice_phones([PAD, "m", "ˈ", "ɑ", "t", "."], [10, 2, 3, 2, 4, 2])
    m, a, t = phones[1:4]
    assert m.start_s == pytest.approx(10 * TICK_S - VOICE_LEAD_S)
    assert a.start_s == pytest.approx(12 * TICK_S - VOICE_LEAD_S)
    assert t.start_s == pytest.approx(17 * TICK_S - VOICE_LEAD_S)
    assert (m.stress, a.stress, t.stress) == (0, 2, 0)


def test_a_space_is_no_silence_and_a_comma_is() -> None:
    spaced = voice_phones(list("_ɑ ɑ_"), [4, 3, 2, 3, 4])
    assert [p.symbol for p in spaced] == ["", "ɑ", "ɑ", ""]
    paused = voice_phones(list("_ɑ, ɑ?_"), [4, 3, 2, 2, 3, 2, 4])
    assert [(p.symbol, p.ends) for p in paused] == [("", ""), ("ɑ", ""), ("", ","), ("ɑ", ""), ("", "?")]


def test_the_last_sound_dies_away_before_its_ticks_end() -> None:
    phones = voice_phones(list("_z._"), [10, 20, 4, 1])
    assert phones[1].end_s - phones[1].start_s == pytest.approx(LAST_SOUND_S)
    assert phones[2].end_s == pytest.approx(35 * TICK_S)


@pytest.mark.parametrize("between", ["__", "_", ".__", ".___"])
def test_sentences_are_counted(between: str) -> None:
    text = f"_ɑ{between}o{between}i_"
    phones = voice_phones(list(text), np.full(len(text), 4))
    assert [(p.symbol, p.sentence) for p in phones if p.symbol] == [("ɑ", 0), ("o", 1), ("i", 2)]


def test_nothing_gives_nothing() -> None:
    assert voice_phones([], []) == []


def test_mismatch_and_negative_durations_are_refused() -> None:
    with pytest.raises(InputError, match="2 symbols but 1"):
        voice_phones(["a", "b"], [1])
    with pytest.raises(InputError, match="negative"):
        voice_phones(["a"], [-1])
