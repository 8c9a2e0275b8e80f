"""From the voice's symbols and their ticks to phones with true times in the sound.

Measured on the voice (52 sentences, energies averaged around each symbol's beginning): the sound lies
70 ms before the symbol that names it, whatever the symbol; the stress mark's time belongs to the vowel that
follows; a space's to the sound before it; and the last sound of a phrase ends some 65 ms after its symbol
begins, all its other ticks being silence.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...core.errors import InputError
from ...core.timebase import DURATION_HZ

TICK_S = 1 / DURATION_HZ
"""One tick of the voice's durations."""
PAD = "_"
"""The symbol of the voice's id 0, which begins and ends every sentence."""
VOICE_LEAD_S = 0.070
"""How far the sound runs ahead of the symbols."""
LAST_SOUND_S = 0.140
"""The longest that the last phone before a pause sounds."""
SHORTEST_S = 0.030
"""No phone is taken to be shorter."""

STRESS_MARKS = {"ˈ": 2, "ˌ": 1}
PAUSES = frozenset(';:,.!?—…"()“”')
SILENT_MARKS = frozenset(PAD + '"()“”')
"""Pauses that say nothing about how a phrase ends."""
IGNORED = frozenset(" ːʰʲ̃ᵝ↓→↗↘")
"""Symbols that only lengthen the sound before them."""
VOWELS = frozenset("aeiouyAIOQWYæøœɐɑɒɔəɚɛɜɤɨɪɯʊʌᵊᵻ")


@dataclass(frozen=True)
class Phone:
    """One sound, or a silence (symbol ""), in the clip's own time.

    Attributes:
        symbol: the phoneme; "" is silence.
        start_s, end_s: when it sounds; phones follow each other without holes.
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
    """What is spoken when: phones from 0 to the end of the clip, without holes.

    The voice's symbols have PAD at each end of each sentence; the ticks that each lasts are of 25 ms.

    Raises:
        InputError: the two differ in length, or a duration is negative.
    """
    ticks = np.asarray(ticks, float)
    if len(symbols) != len(ticks):
        raise InputError(f"{len(symbols)} symbols but {len(ticks)} durations")
    if (ticks < 0).any():
        raise InputError("a symbol has a negative duration")
    end_s = float(ticks.sum()) * TICK_S
    starts_s = np.concatenate([[0.0], np.cumsum(ticks) * TICK_S])
    return _fill(_onsets(symbols, np.maximum(starts_s[:-1] - VOICE_LEAD_S, 0.0)), end_s)


def _onsets(symbols: Sequence[str], onsets_s: np.ndarray) -> list[Phone]:
    """Phones and pauses with their true starts; ends are not known yet."""
    out: list[Phone] = []
    stress, stress_start_s, sentence, after_pad = 0, 0.0, 0, False
    for symbol, start_s in zip(symbols, onsets_s.tolist(), strict=True):
        if symbol in STRESS_MARKS:
            stress, stress_start_s = STRESS_MARKS[symbol], start_s
        elif symbol == PAD or symbol in PAUSES:
            after_pad = after_pad or symbol == PAD
            mark = "" if symbol in SILENT_MARKS else symbol
            if out and not out[-1].symbol:
                out[-1] = replace(out[-1], ends=mark or out[-1].ends)
            else:
                out.append(Phone("", start_s, start_s, ends=mark, sentence=sentence))
        elif symbol not in IGNORED:
            if after_pad and any(p.symbol for p in out):
                sentence += 1
            after_pad = False
            stressed = stress and symbol in VOWELS
            start_s = stress_start_s if stressed else start_s
            out.append(Phone(symbol, start_s, start_s, stress if stressed else 0, "", sentence))
            stress = 0 if stressed else stress
    return out


def _fill(onsets: list[Phone], end_s: float) -> list[Phone]:
    """Phones that reach to the next one; a pause begins when the sound before it has died away."""
    phones: list[Phone] = []
    for i, phone in enumerate(onsets):
        start = phones[-1].end_s if phones else 0.0
        following = onsets[i + 1] if i + 1 < len(onsets) else None
        end = following.start_s if following else end_s
        if phone.symbol and (following is None or not following.symbol):
            end = min(end, start + LAST_SOUND_S)
        end = min(max(end, start + SHORTEST_S), end_s)
        phones.append(replace(phone, start_s=start, end_s=end))
    if phones and phones[-1].end_s < end_s:
        phones.append(Phone("", phones[-1].end_s, end_s, sentence=phones[-1].sentence))
    return phones
