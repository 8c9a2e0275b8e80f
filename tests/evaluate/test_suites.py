"""The suites on a system without a model, where every answer is known."""

import json
import math

import numpy as np
import pytest

from exomni.core.errors import ConfigError, InputError, OutputError
from exomni.data.teachers import get_teacher
from exomni.evaluate import suite_report, suites
from exomni.evaluate.consistency import consistency, span_name
from exomni.evaluate.facial import facial, measure, spoken_face
from exomni.evaluate.latency import answer_all, latency
from exomni.evaluate.suites import check_goals

from .fakes import SAMPLES_PER_TICK, FakeSystem, utterance

SECONDS = utterance().ticks.sum() * SAMPLES_PER_TICK / 24_000


def test_consistency_counts_errors_in_bins_of_duration():
    brief, long = FakeSystem("brief"), FakeSystem("long", clauses=14)
    heard = {True: "the cat sat", False: "the dog sat on it"}

    def transcribe(samples, rate):
        return heard[len(samples) / rate < 20]

    result = consistency([brief, long], [("a", "The cat sat."), ("b", "The cat sat.")], transcribe, lambda *_: 4.25)
    table = {(line["system"], line["duration"]): line for line in result["table"]}
    assert table["brief", "0-5 s"]["WER %"] == 0
    assert table["brief", "0-5 s"]["texts"] == 2
    assert table["brief", "under 20 s"]["texts"] == 2
    assert table["long", "over 60 s"]["WER %"] == pytest.approx(100)  # One word wrong and two too many, of three.
    assert table["long", "over 60 s"]["put in"] == 4
    assert table["long", "all"]["MOS"] == 4.25
    assert ("long", "0-5 s") not in table
    assert brief.asked == long.asked == [("The cat sat.", 0), ("The cat sat.", 1)]
    assert len(result["rows"]) == 4


def test_spans_have_names():
    assert [span_name(s) for s in ((0, 5), (60, math.inf), (0, 20), (0, math.inf))] == [
        "0-5 s", "over 60 s", "under 20 s", "all",
    ]  # fmt: skip


def test_the_teachers_own_face_is_perfect():
    figures = measure([spoken_face(FakeSystem(), get_teacher("openfacefx"), "a", "It is round.", 3)])
    assert figures["lve_mm"] == 0
    assert figures["mouth_correlation"] == pytest.approx(1, abs=1e-3)
    assert figures["expression_error"] == 0
    assert figures["closures"] == 10
    assert figures["closed"] == 1
    assert figures["lag_frames"] == 0
    assert figures["vowel_opening_mm"] > 5
    assert figures["jitter_mm"] == figures["jitter_of_reference_mm"] > 0


@pytest.mark.parametrize("late_frames", [-2, 2])
def test_a_face_that_is_late_or_early_is_found_out(late_frames):
    system = FakeSystem(late_frames=late_frames)
    figures = measure([spoken_face(system, get_teacher("openfacefx"), "a", "It is round.", 3)])
    assert figures["lag_frames"] == late_frames
    assert figures["lve_mm"] > 2
    assert figures["mouth_correlation"] < 0.9


def test_a_still_face_closes_but_does_not_open():
    class Still(FakeSystem):
        def speak(self, text, seed):
            spoken = super().speak(text, seed)
            return type(spoken)(text, spoken.samples, np.zeros_like(spoken.frames), spoken.utterances)

    figures = measure([spoken_face(Still(), get_teacher("openfacefx"), "a", "I am so happy!", 0)])
    assert figures["closed"] == 1
    assert figures["vowel_opening_mm"] == pytest.approx(0, abs=0.01)
    assert math.isnan(figures["lag_frames"])
    assert figures["expression_error"] == pytest.approx(figures["expression_error_of_neutral"])
    assert figures["mouth_correlation"] == 0


def test_face_suite_reports_every_system_and_text():
    texts = [("lips", "It is round."), ("joyful", "I am so happy!")]
    result, faces = facial([FakeSystem("one"), FakeSystem("two", 2)], get_teacher("openfacefx"), texts)
    assert [line["system"] for line in result["table"]] == ["one", "two"]
    assert [line["LVE mm"] > 0.5 for line in result["table"]] == [False, True]
    assert len(result["rows"]) == 4
    assert set(faces) == {"one", "two"}
    assert result["shapes"]["one on texts"]["jawOpen"] == pytest.approx(1, abs=1e-3)


def test_recordings_are_measured_where_a_system_animates_them(tmp_path):
    import soundfile

    teacher = get_teacher("openfacefx")
    t = np.arange(48_000) / 24_000
    soundfile.write(tmp_path / "a.wav", 0.3 * np.sin(2 * np.pi * 300 * t) * (np.sin(9 * t) > 0), 24_000)
    names = ["SIL", "M", "AA", "P", "AA", "B", "IY", "M", "AE", "P", "SIL"]
    phones = [{"t": n, "b": 0.18 * i, "d": 0.18} for i, n in enumerate(names)]
    (tmp_path / "a.phone.json").write_text(json.dumps({"w": [{"w": phones}]}))

    class Animates(FakeSystem):
        def animate(self, recording, phones):
            from exomni.evaluate.phones import clip_of_phones

            assert recording.name == "a.wav"
            return teacher.label(clip_of_phones(phones, 60))

    result, _ = facial([Animates("one"), FakeSystem("two")], teacher, [("a", "It is round.")], tmp_path)
    lines = [line for line in result["table"] if "recordings" in line["on"]]
    assert [line["system"] for line in lines] == ["one"]
    assert lines[0]["p b m"] == 5
    assert lines[0]["closed %"] == 100
    assert lines[0]["LVE mm"] == 0
    assert lines[0]["lag frames"] == 0


def test_a_folder_without_recordings_is_refused(tmp_path):
    with pytest.raises(InputError, match="no recordings"):
        facial([FakeSystem()], get_teacher("openfacefx"), [], tmp_path)


def test_latency_separates_the_cold_request_from_the_warm_ones():
    def run(name, prompts):
        requests = [
            {"prompt": p, "duration_s": 10.0, "cpu_s": 3.0, "total_s": 50.0 if i == 0 else 2.0,
             "first_audio_s": 0.1 * i, "first_face_s": 0.1 * i, "llm_s": 0.5,
             "units_s": 0.5, "speech_s": 0.4, "face_s": 0.1}
            for i, p in enumerate(prompts)
        ]  # fmt: skip
        return {"requests": requests, "load_s": 3.0, "start_to_audio_s": 4.0, "start_to_reply_s": 5.0, "peak_mb": 700.0}

    result = latency(["exomni"], ["a", "b", "c"], run)
    line = result["table"][0]
    assert line["requests"] == 3
    assert line["RTF"] == pytest.approx(0.2)
    assert line["CPU s/s"] == pytest.approx(0.3)
    assert line["first audio s"] == pytest.approx(0.2)
    assert line["worst"] == pytest.approx(0.3)
    assert line["face ms/s"] == pytest.approx(10)
    assert line["peak MB"] == 700
    assert [r["prompt"] for r in result["rows"]] == ["a", "b", "c", "a"]
    assert [r["warm"] for r in result["rows"]] == [False, True, True, True]


def test_a_fresh_process_loads_before_it_answers():
    system = FakeSystem()
    times = answer_all(lambda: system, ["a", "b"], began=0.0)
    assert system.prepared == 1
    assert system.asked == [("a", 0), ("b", 1)]
    assert [r["duration_s"] for r in times["requests"]] == pytest.approx([SECONDS, SECONDS])
    assert times["requests"][0]["face_s"] == 0.4
    assert times["start_to_reply_s"] > times["load_s"] >= 0
    assert 10 < times["peak_mb"] < 100_000


@pytest.fixture
def drawn(monkeypatch) -> list:
    """Faces that would have been drawn, which takes a while."""
    calls: list = []

    def contact_sheet(faces, captions, size):
        assert len(faces) == len(captions) > 4
        calls.append(captions)
        return np.zeros((8, 8, 3), np.uint8)

    monkeypatch.setattr("exomni.face.pictures.contact_sheet", contact_sheet)
    return calls


def test_reports_are_written_whole(tmp_path, drawn):
    texts = [("lips", "It is round.")]
    result, faces = facial([FakeSystem("one")], get_teacher("openfacefx"), texts)
    files = suite_report.write_report({"suite": "face", "goals": [], **result}, tmp_path, faces)
    assert sorted(p.name for p in files) == ["face-one-lips.png", "face.json", "face.png", "face.txt"]
    assert all(p.stat().st_size for p in files)
    assert json.loads((tmp_path / "face.json").read_text())["table"][0]["LVE mm"] == 0
    assert any(caption.startswith("M ") for caption in drawn[0])
    assert all(caption.isascii() for caption in drawn[0])


@pytest.mark.parametrize("suite", ["consistency", "latency"])
def test_other_suites_have_plots(tmp_path, suite):
    if suite == "consistency":
        result = consistency([FakeSystem("one")], [("a", "Hello.")], lambda *_: "hello", lambda *_: 4.0)
    else:
        system = FakeSystem("one")
        result = latency(["one"], ["a"], lambda _, prompts: answer_all(lambda: system, prompts, 0.0))
    files = suite_report.write_report({"suite": suite, "goals": [], **result}, tmp_path)
    assert [p.name for p in files] == [f"{suite}.json", f"{suite}.txt", f"{suite}.png"]


def test_goals_are_held_against_what_was_reached():
    table = [
        {"system": "cascade", "duration": "under 20 s", "WER %": 1.0, "MOS": 4.7},
        {"system": "exomni", "duration": "under 20 s", "WER %": 5.5, "MOS": 4.5},
        {"system": "cascade", "duration": "all", "WER %": 1.0, "MOS": 4.7},
        {"system": "exomni", "duration": "all", "WER %": 5.0, "MOS": 4.4},
    ]
    goals = check_goals({"suite": "consistency", "table": table})
    assert [(g["reached"], g["met"]) for g in goals] == [(5.5, "no"), (pytest.approx(0.3), "yes")]
    table = [
        {"system": "exomni", "on": "9 texts", "LVE mm": 2.1, "closed %": 95.0, "lag frames": 4},
        {"system": "exomni", "on": "2 recordings", "LVE mm": 0.1, "closed %": 10.0, "lag frames": -2},
    ]
    goals = check_goals({"suite": "face", "table": table})
    assert [g["met"] for g in goals] == ["yes", "no", "no"]
    assert check_goals({"suite": "face", "table": [{**table[0], "system": "cascade"}]}) == []


def test_a_figure_that_could_not_be_measured_meets_no_goal():
    line = {"system": "exomni", "on": "1 texts", "LVE mm": float("nan"), "closed %": float("nan")}
    assert {g["met"] for g in check_goals({"suite": "face", "table": [line]})} == {"no"}


def test_json_knows_no_nan():
    assert suite_report.plain({"a": float("nan"), "b": np.float32(0.5), "c": [float("inf")], "d": np.int64(3)}) == {
        "a": None, "b": 0.5, "c": [None], "d": 3,
    }  # fmt: skip


def test_tables_are_plain_and_aligned():
    lines = suite_report.format_table(
        [{"system": "exomni", "WER %": 3.14159, "n": 7}, {"system": "c", "WER %": float("nan"), "n": 12}]
    ).splitlines()
    assert lines[0].split() == ["system", "WER", "%", "n"]
    assert lines[2].split() == ["exomni", "3.14", "7"]
    assert lines[3].split() == ["c", "-", "12"]
    assert len({len(line) for line in lines}) == 1


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"suite": "beauty"}, ConfigError, "beauty"),
        ({"suite": "face", "system": "human"}, ConfigError, "human"),
        ({"suite": "face", "limit": -1}, ConfigError, "-1"),
        ({"suite": "latency", "recordings": "."}, InputError, "face"),
        ({"suite": "face", "recordings": "nowhere"}, InputError, "nowhere"),
    ],
)
def test_mistakes_are_refused_before_the_work(options, error, words, monkeypatch, tmp_path):
    from pathlib import Path

    monkeypatch.chdir(tmp_path)
    if "recordings" in options:
        options = options | {"recordings": Path(options["recordings"])}
    with pytest.raises(error, match=words):
        suites.run(**options)


def test_a_place_that_cannot_be_written_is_refused_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr(suites, "build_system", lambda *_: pytest.fail("the work began"))
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        suites.run("face", out=tmp_path / "file")


@pytest.mark.usefixtures("drawn")
def test_all_suites_run_one_after_the_other(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(suites, "build_system", lambda name, weights: FakeSystem(name))
    monkeypatch.setattr("exomni.data.whisper_judge.WhisperJudge", lambda: lambda *_: "hello")
    monkeypatch.setattr("exomni.evaluate.judges.OpinionScore", lambda: lambda *_: 4.0)
    monkeypatch.setattr(
        "exomni.evaluate.latency.run_fresh",
        lambda name, prompts, weights: answer_all(lambda: FakeSystem(name), prompts, 0.0),
    )
    results = suites.run("all", "exomni", limit=1, out=tmp_path)
    assert list(results) == list(suites.SUITES)
    assert {p.name for p in tmp_path.glob("*.json")} == {"consistency.json", "face.json", "latency.json"}
    assert capsys.readouterr().out.count("exomni") >= 3


@pytest.mark.usefixtures("drawn")
def test_run_prints_a_table_and_writes_the_report(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(suites, "build_system", lambda name, weights: FakeSystem(name))
    result = suites.run("face", "both", limit=2, out=tmp_path / "new")
    printed = capsys.readouterr().out
    assert "LVE mm" in printed
    assert printed.count("2 texts") == 2
    assert result["machine"]["cores"] >= 1
    assert result["systems"] == {"exomni": {"model": "none"}, "cascade": {"model": "none"}}
    assert (tmp_path / "new" / "face.json").is_file()
