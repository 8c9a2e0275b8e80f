"""A metric is one entry: its column, its figure and its goals follow from it."""

import math

import numpy as np
import pytest

from exomni.core.errors import ConfigError
from exomni.data.teachers import get_teacher
from exomni.evaluate import consistency, facial, latency, speech_input, suites
from exomni.evaluate.metric import Goal, Metric, by_key, check_goals, columns, compute, line

from .fakes import FakeSystem

METRICS = by_key(
    Metric("count", "n", len, goals=(Goal("many", "at least", 2, {"who": "me"}),)),
    Metric("share", "share %", lambda numbers: sum(numbers) / len(numbers), scale=100,
           goals=(Goal("less than the other", "at most", 10, {"who": "me"}, beside={"who": "you"},
                       compare=lambda mine, yours: mine - yours, rank=-1),)),
    Metric("hidden", "", max),
    Metric("unknown", "unknown", lambda numbers: None),
)  # fmt: skip


def test_a_line_of_the_table_follows_from_the_entries():
    figures = compute(METRICS, [0.25, 0.75])
    assert figures == {"count": 2, "share": 0.5, "hidden": 0.75}
    shown = columns(METRICS, figures)
    assert list(shown) == ["n", "share %", "unknown"]
    assert (shown["n"], shown["share %"]) == (2, 50)
    assert math.isnan(shown["unknown"])


def test_goals_pick_their_lines_and_are_printed_by_rank():
    table = [{"who": who, **line(METRICS, numbers)} for who, numbers in (("me", [0.5]), ("you", [0.25, 0.5]))]
    assert check_goals(METRICS, table) == [
        {"goal": "less than the other", "bound": "at most 10", "reached": 12.5, "met": "no"},
        {"goal": "many", "bound": "at least 2", "reached": 1, "met": "no"},
    ]
    assert [g["goal"] for g in check_goals(METRICS, table[:1])] == ["many"]
    assert check_goals(METRICS, table[1:]) == []


@pytest.mark.parametrize("suite", [consistency, facial, latency, speech_input])
def test_columns_of_a_suite_have_headings_of_their_own(suite):
    headings = [m.heading for m in suite.METRICS.values() if m.heading]
    assert len(set(headings)) == len(headings)


class Listens:
    """A teacher that needs the sound."""

    name, listens = "fake", True

    def __init__(self):
        self.lengths_s = []

    def label(self, clip):
        self.lengths_s.append(len(clip.audio) / 24_000)
        return get_teacher("openfacefx").label(clip)


def test_the_reference_may_be_another_teacher_that_is_given_the_sound(monkeypatch):
    monkeypatch.setattr(suites, "build_system", lambda name, weights: FakeSystem(name))
    teacher = Listens()
    result = suites.run("face", limit=2, teacher=teacher)
    assert result["teacher"] == "fake"
    assert len(teacher.lengths_s) == 2
    assert min(teacher.lengths_s) > 4
    assert np.isfinite(result["table"][0]["LVE mm"])


def test_an_unknown_teacher_is_refused_before_the_work(monkeypatch):
    monkeypatch.setattr(suites, "build_system", lambda *_: pytest.fail("the work began"))
    with pytest.raises(ConfigError, match="nobody"):
        suites.run("face", teacher="nobody")
