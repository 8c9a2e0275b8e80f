"""From the voice's symbols and their ticks to phones with true times in the sound.

Measured on the voice (52 sentences, energies averaged around each symbol's beginning): what one hears lies
70 ms before the symbol that names it, whatever the symbol; the stress mark's time belongs to the vowel that
follows; a space's to the sound before it; and the last sound of a phrase ends some 65 ms after its symbol
begins, the rest of its ticks being silence.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...core.errors import InputError

TICK_S = 0.025
"""One tick of the voice's durations."""
PAD = "_"
"""The symbol of the voice's id 0, which begins and ends every sentence."""
VOICE_LEAD_S = 0.070
"""How far the sound runs ahead of the symbols."""
LAST_SOUND_S = 0.140
"""The longest that the last phone before a pause is heard."""
SHORTEST_S = 0.030
"""No phone is taken to be shorter."""

STRESS_MARKS = {"ˈ": 2, "ˌ": 1}
LENGTH_MARKS = frozenset("ːʰʲ̃ᵝ")
PAUSES = frozenset(';:,.!?—…"()“”')
ARROWS = frozenset("↓→↗↘")
VOWELS = frozenset("aeiouyAIOQWYæøœɐɑɒɔəɚɛɜɤɨɪɯʊʌᵊᵻ")


@dataclass(frozen=True)
class Phone:
    """One sound, or a silence (symbol ""), in the clip's own time.

    Attributes:
        symbol: the phoneme; "" is silence.
        start_s, end_s: when it is heard; phones follow each other without holes.
        stress: 2 primary, 1 secondary, 0 none; only vowels carry it.
        ends: the punctuation that closes the phrase, on the silence after it ("" inside a phrase).
        sentence: which sentence of the clip it is in, from 0.
    """

    symbol: str
    start_s: float
    end_s: float
    stress: int = 0
    ends: str = ""
    sentence: int = 0


def voice_phones(symbols: Sequence[str], ticks: Sequence[int] | np.ndarray) -> list[Phone]:
    """What is heard when.

    Args:
        symbols: the voice's symbols, with PAD at each end of each sentence.
        ticks: duration of each, in ticks of 25 ms.
    Returns:
        Phones from 0 to the end of the clip, without holes.
    Raises:
        InputError: the two differ in length, or a duration is negative.
    """
    ticks = np.asarray(ticks, float)
    if len(symbols) != len(ticks):
        raise InputError(f"{len(symbols)} symbols but {len(ticks)} durations")
    if (ticks < 0).any():
        raise InputError("a symbol has a negative duration")
    end_s = float(ticks.sum()) * TICK_S
    return _fill(_onsets(symbols, np.concatenate([[0.0], np.cumsum(ticks) * TICK_S])), end_s)


def _onsets(symbols: Sequence[str], edges_s: np.ndarray) -> list[tuple[str, float, int, str, int]]:
    """(symbol, heard onset, stress, closing punctuation, sentence) of each phone and of each first pause mark."""
    out: list[tuple[str, float, int, str, int]] = []
    stress, mark_start, sentence = 0, None, 0
    for i, symbol in enumerate(symbols):
        start = max(float(edges_s[i]) - VOICE_LEAD_S, 0.0)
        if symbol in STRESS_MARKS:
            stress, mark_start = STRESS_MARKS[symbol], start
        elif symbol == PAD or symbol in PAUSES:
            if symbol == PAD and out and out[-1][0] and i + 1 < len(symbols):
                sentence += 1
            if symbol == PAD and i and symbols[i - 1] == PAD:
                sentence += 1
            if out and out[-1][0] == "":
                mark = out[-1][3] if symbol in (PAD, '"', "”", ")") else symbol
                out[-1] = ("", out[-1][1], 0, mark or symbol, out[-1][4])
            else:
                out.append(("", start, 0, symbol, sentence))
        elif symbol not in LENGTH_MARKS and symbol not in ARROWS and symbol != " ":
            vowel = symbol in VOWELS
            onset = mark_start if vowel and mark_start is not None else start
            out.append((symbol, onset, stress if vowel else 0, "", sentence))
            if vowel:
                stress, mark_start = 0, None
    return out


def _fill(onsets: list[tuple[str, float, int, str, int]], end_s: float) -> list[Phone]:
    """Phones that reach to the next one; a pause begins when the sound before it has died away."""
    phones: list[Phone] = []
    for i, (symbol, start, stress, ends, sentence) in enumerate(onsets):
        if phones:
            start = phones[-1].end_s
        end = onsets[i + 1][1] if i + 1 < len(onsets) else end_s
        if symbol and (i + 1 == len(onsets) or onsets[i + 1][0] == ""):
            end = min(end, start + LAST_SOUND_S)
        end = min(max(end, start + SHORTEST_S), end_s)
        phones.append(Phone(symbol, start, end, stress, ends, sentence))
    if phones and phones[-1].end_s < end_s:
        phones.append(Phone("", phones[-1].end_s, end_s, 0, phones[-1].ends, phones[-1].sentence))
    return phones
