"""What exomni should reach on two free cores, and whether a run did."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..pipeline.spoken_prompts import DEFAULT_LISTEN


@dataclass(frozen=True)
class Goal:
    """One figure and its bound.

    Attributes:
        what: in words.
        bound: that the figure must keep.
        most: whether the bound is the most allowed; else the least.
        figure: takes it from a suite's result; None where the run did not measure it.
    """

    what: str
    bound: float
    most: bool
    figure: Callable[[Mapping], float | None]


def _cell(result: Mapping, column: str, **where: str) -> float | None:
    """The cell of the table's row in which every column of `where` begins with, or holds, what it says."""
    for line in result["table"]:
        if all(value in str(line[key]) for key, value in where.items()):
            return line[column]
    return None


def _wer(duration: str) -> Callable[[Mapping], float | None]:
    return lambda result: _cell(result, "WER %", system="exomni", duration=duration)


def _mos_lost(result: Mapping) -> float | None:
    """How far the opinion score is below the voice's own."""
    ours, voice = (_cell(result, "MOS", system=name, duration="all") for name in ("exomni", "cascade"))
    return None if ours is None or voice is None else voice - ours


def _lag_on_recordings(result: Mapping) -> float | None:
    lag = _cell(result, "lag frames", system="exomni", on="recordings")
    return None if lag is None else abs(lag)


def _face(column: str) -> Callable[[Mapping], float | None]:
    return lambda result: _cell(result, column, system="exomni", on="texts")


def _latency(column: str) -> Callable[[Mapping], float | None]:
    return lambda result: _cell(result, column, system="exomni")


def _hearing(column: str, noise: str) -> Callable[[Mapping], float | None]:
    return lambda result: _cell(result, column, way="native", noise=noise, voice="all")


def _agreement_kept(result: Mapping) -> float | None:
    """The native way's share of replies with the typed reply's content, of the transcribing way's."""
    native, written = (_cell(result, "same content %", way=w, noise="clean", voice="all")
                       for w in ("native", "transcribe"))  # fmt: skip
    return None if native is None or not written else 100 * native / written


def _first_audio_heard(result: Mapping) -> float | None:
    return _cell(result, "first audio s", way=DEFAULT_LISTEN, noise="clean", voice="all")


GOALS: dict[str, tuple[Goal, ...]] = {
    "speech-input": (
        Goal("repeat WER, clean, native, %", 15.0, True, _hearing("repeat WER %", "clean")),
        Goal("repeat WER, 10 dB, native, %", 25.0, True, _hearing("repeat WER %", "10 dB")),
        Goal("agreement, native of transcribe, %", 80.0, False, _agreement_kept),
        Goal("end of speech to first audio, s", 1.0, True, _first_audio_heard),
    ),
    "consistency": (
        Goal("WER, replies under 20 s, %", 5.0, True, _wer("under 20 s")),
        Goal("WER, replies over 60 s, %", 6.0, True, _wer("over 60 s")),
        Goal("MOS below the voice itself", 0.3, True, _mos_lost),
    ),
    "face": (
        Goal("p b m closed, %", 95.0, False, _face("closed %")),
        Goal("LVE against the teacher, mm", 2.0, True, _face("LVE mm")),
        Goal("lag on recordings, frames either way", 1.0, True, _lag_on_recordings),
    ),
    "latency": (
        Goal("real-time factor", 0.35, True, _latency("RTF")),
        Goal("first audio, warm, s", 0.6, True, _latency("first audio s")),
        Goal("face, ms a second of speech", 10.0, True, _latency("face ms/s")),
        Goal("start to first reply, s", 6.0, True, _latency("start to reply s")),
    ),
}


def check_goals(result: Mapping) -> list[dict]:
    """The goals of a suite that its result has a figure for: rows with `goal`, `bound`, `reached` and `met`.

    Args:
        result: of `suites.run`.
    """
    rows: Sequence[tuple[Goal, float | None]] = [(g, g.figure(result)) for g in GOALS[result["suite"]]]
    return [
        {
            "goal": goal.what, "bound": ("at most " if goal.most else "at least ") + f"{goal.bound:g}",
            "reached": float(reached),
            "met": "yes" if (reached <= goal.bound if goal.most else reached >= goal.bound) else "no",
        }
        for goal, reached in rows if reached is not None
    ]  # fmt: skip
