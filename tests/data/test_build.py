"""The builder: the same data from the same seed, whether it was stopped on its way or not."""

import concurrent.futures
import json
import random
import shutil
import types
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from exomni.core.errors import ConfigError, InputError, OutputError
from exomni.data import build, report
from exomni.data.build import BuildConfig, plan_texts, speak_all, speak_shard
from exomni.data.speech_pass import Speech, from_flac
from exomni.data.store import data_hash, read_shard, shard_metadata, split_of, write_shard
from exomni.data.text import TextRow
from exomni.data.text_sources import SOURCES
from exomni.parts.hibari.voice import Phonemizer
from exomni.parts.loading import Parts
from exomni.parts.ports import Clause


def config(**changes) -> BuildConfig:
    return BuildConfig(**({"seed": 1, "hours": {"templates": 0.05}, "rows_per_shard": 10, "judged": 0.0} | changes))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*.parquet"))}


class FakeSpeaker:
    """Says a text of n characters in n frames; some texts go wrong in the ways that texts do."""

    def __init__(self):
        self.said: list[str] = []

    def say(self, text: str, seed: int, disguise: bool) -> Speech:
        self.said.append(text)
        if "unspeakable" in text:
            raise InputError("no")
        rng = np.random.default_rng(seed)
        n_ticks = 0 if "short" in text else max(20, len(text))
        level = 0.0 if "quiet" in text else 0.3
        samples = (level * rng.standard_normal(n_ticks * 600)).clip(-0.9, 0.9).astype(np.float32)
        ticks = np.ones(n_ticks, np.int16)
        return Speech(ticks, ticks, samples, rng.standard_normal((130, 2 * n_ticks)).astype(np.float16), disguise)


class FakeWorker:
    """Stands in for `build._Worker`."""

    def __init__(self):
        self.speaker = FakeSpeaker()
        self.judged: list[int] = []

    def features(self, heard: np.ndarray) -> torch.Tensor:
        n_units = -(-len(heard) // 1280)
        return torch.arange(n_units * 4 * 3, dtype=torch.float32).reshape(n_units * 4, 3)


@pytest.fixture
def worker(monkeypatch) -> FakeWorker:
    made = FakeWorker()
    monkeypatch.setattr(build, "_worker", made)
    return made


class InThisProcess:
    """An executor that does its jobs at once, here, in the order of the dice."""

    def __init__(self, n_workers: int):
        assert n_workers >= 1

    def __enter__(self):
        return self

    def __exit__(self, *args):
        return None

    def submit(self, job, *args) -> concurrent.futures.Future:
        future: concurrent.futures.Future = concurrent.futures.Future()
        future.set_result(job(*args))
        return future


@pytest.fixture
def in_this_process(monkeypatch):
    monkeypatch.setattr(build, "ProcessPoolExecutor", InThisProcess)


@pytest.mark.parametrize(
    "changes", [{"colour": 1}, {"disguised": 1.5}, {"rows_per_shard": 0}, {"judged": -0.1}, {"hours": {"a": "b"}}]
)
def test_a_configuration_is_checked(changes):
    with pytest.raises(ValidationError):
        config(**changes)


def test_texts_come_from_the_seed(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        plan_texts(tmp_path / name, config(seed=seed), "templates")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert contents(tmp_path / "a") != contents(tmp_path / "c")


def test_texts_have_ids_splits_and_enough_hours(tmp_path):
    plan_texts(tmp_path, config(), "templates")
    shards = sorted((tmp_path / "texts").glob("*.parquet"))
    rows = [row for path in shards for row in read_shard(path)]
    assert [sum(1 for _ in read_shard(p)) for p in shards[:-1]] == [10] * (len(shards) - 1)
    assert len({r["id"] for r in rows}) == len(rows)
    assert all(r["split"] == split_of(r["text"]) for r in rows)
    assert all(r["source"] == "templates" for r in rows)
    seconds = sum(len(r["text"]) / build.CHARS_PER_SECOND + 0.5 for r in rows)
    assert 0 <= seconds - 0.05 * 3600 < 30
    long_texts = [r["text"] for r in rows if len(r["text"]) >= 30]
    assert len(set(long_texts)) == len(long_texts)


def test_a_stopped_plan_goes_on_alike(tmp_path):
    plan_texts(tmp_path / "whole", config(), "templates")
    plan_texts(tmp_path / "stopped", config(), "templates")
    shards = sorted((tmp_path / "stopped" / "texts").iterdir())
    kept = shards[0].stat().st_mtime_ns
    for path in shards[1:3]:
        path.unlink()
    plan_texts(tmp_path / "stopped", config(), "templates")
    assert contents(tmp_path / "whole") == contents(tmp_path / "stopped")
    assert shards[0].stat().st_mtime_ns == kept


def test_another_seed_does_not_mix_with_older_texts(tmp_path):
    plan_texts(tmp_path, config(), "templates")
    with pytest.raises(ConfigError, match="another seed"):
        plan_texts(tmp_path, config(seed=2), "templates")


def test_unknown_sources_are_named(tmp_path):
    with pytest.raises(ConfigError, match=f"'novels'.*{', '.join(SOURCES)}"):
        plan_texts(tmp_path, config(hours={"novels": 1}), "novels")


def test_an_llms_words_are_kept_batch_by_batch(tmp_path, monkeypatch):
    asked = []

    def load_llm():
        asked.append("loaded")
        return None, None

    def rows(model, tokenizer, rng: random.Random):
        asked.append("drawn")
        return [TextRow(f"Word {rng.randrange(10**9)} is a long enough text to be kept once.", "Why?", "dialogue")] * 3

    monkeypatch.setattr("exomni.data.llm_replies.load_llm", load_llm)
    monkeypatch.setattr("exomni.data.llm_replies.dialogue_rows", rows)
    wanted = config(hours={"dialogue": 0.01}, rows_per_shard=2)
    plan_texts(tmp_path / "a", wanted, "dialogue")
    assert asked.count("loaded") == 1
    n_drawn = asked.count("drawn")
    assert n_drawn >= 8
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    shutil.rmtree(tmp_path / "b" / "texts")
    for path in sorted((tmp_path / "b" / "dialogue").iterdir())[3:]:
        path.unlink()
    plan_texts(tmp_path / "b", wanted, "dialogue")
    assert asked.count("drawn") == n_drawn + n_drawn - 3
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


TEXTS = ["Good morning, this is a text.", "unspeakable", "short", "quiet please, now", "Another good text, it is."]


@pytest.fixture
def planned(tmp_path) -> Path:
    for shard in range(3):
        rows = [
            {"id": f"t-{shard:04d}-{i:03d}", "text": text, "prompt": "Why?" if i else "", "source": "t",
             "split": "train"}
            for i, text in enumerate(TEXTS)
        ]  # fmt: skip
        write_shard(tmp_path / "texts" / f"t-{shard:04d}.parquet", rows, {"seed": 1})
    return tmp_path


def test_a_shard_of_speech_keeps_good_rows_and_counts_the_others(planned, worker):
    counts = speak_shard(planned, config(), "t-0000")
    assert counts == {"kept": 2, "unspeakable": 1, "length": 1, "silence": 1}
    rows = list(read_shard(planned / "speech" / "t-0000.parquet"))
    assert [r["text"] for r in rows] == [TEXTS[0], TEXTS[4]]
    assert shard_metadata(planned / "speech" / "t-0000.parquet")["counts"] == counts
    features = list(read_shard(planned / "features" / "t-0000.parquet"))
    assert [r["id"] for r in features] == [r["id"] for r in rows]
    for row, heard in zip(rows, features, strict=True):
        samples = from_flac(row["speech"])
        assert row["seconds"] == pytest.approx(len(samples) / 24_000)
        assert row["acoustic"].shape[1] * 300 == len(samples)
        assert heard["features"].shape == (-(-len(samples) // 1920), 12)
        assert heard["features"].dtype == np.float16
        assert heard["features"][1].tolist() == list(range(12, 24))


def test_each_row_has_a_seed_of_its_own(planned, worker):
    speak_shard(planned, config(), "t-0000")
    speak_shard(planned, config(), "t-0001")
    speech = [r["speech"] for n in (0, 1) for r in read_shard(planned / "speech" / f"t-{n:04d}.parquet")]
    assert len(set(speech)) == 4


@pytest.mark.parametrize(("share", "n_disguised"), [(0.0, 0), (1.0, 2)])
def test_a_share_is_disguised(planned, worker, share, n_disguised):
    speak_shard(planned, config(disguised=share), "t-0000")
    assert sum(r["disguised"] for r in read_shard(planned / "speech" / "t-0000.parquet")) == n_disguised


def test_rows_that_are_heard_wrong_are_dropped(planned, worker, monkeypatch):
    wer = {TEXTS[0]: 0.1, TEXTS[4]: 0.9}
    worker.judge = lambda samples, rate: ""
    monkeypatch.setattr(build, "count_word_errors", lambda text, _: SimpleNamespace(rate=wer[text]))
    assert speak_shard(planned, config(judged=1.0, max_wer=0.5), "t-0000")["wer"] == 1
    assert [r["text"] for r in read_shard(planned / "speech" / "t-0000.parquet")] == [TEXTS[0]]


def test_a_stopped_build_goes_on_alike(planned, tmp_path, worker, in_this_process):
    whole = shutil.copytree(planned, tmp_path.with_name(tmp_path.name + "-whole"))
    lines: list[str] = []
    counts = speak_all(whole, config(), 2, lines.append)
    assert counts == {"kept": 6, "unspeakable": 3, "length": 3, "silence": 3}
    assert len(lines) == 3
    speak_shard(planned, config(), "t-0001")
    worker.speaker.said.clear()
    assert speak_all(planned, config(), 1, lines.append)["kept"] == 4
    assert len(worker.speaker.said) == 10
    assert contents(planned) == contents(whole)
    assert data_hash(planned) == data_hash(whole)
    worker.speaker.said.clear()
    assert not speak_all(planned, config(), 1, lines.append)
    assert worker.speaker.said == []


def test_features_are_there_before_speech_says_so(planned, worker, monkeypatch):
    """A stop between the two files must not leave speech without features."""
    written = []
    real = build.store.write_shard
    monkeypatch.setattr(build.store, "write_shard", lambda path, *rest: (written.append(path), real(path, *rest)))
    speak_shard(planned, config(), "t-0000")
    assert [p.parent.name for p in written] == ["features", "speech"]


def test_a_shard_without_a_good_row_is_not_made_again(tmp_path, worker, in_this_process):
    row = {"id": "t-0000-000", "text": "unspeakable", "prompt": "", "source": "t", "split": "train"}
    write_shard(tmp_path / "texts" / "t-0000.parquet", [row], {"seed": 1})
    assert speak_all(tmp_path, config(), 1, str) == {"unspeakable": 1}
    assert not speak_all(tmp_path, config(), 1, str)
    assert list(read_shard(tmp_path / "speech" / "t-0000.parquet", ["id", "text"])) == []


def test_the_real_voice_makes_a_row(planned, monkeypatch, voice_folder, tiny_whisper):
    """Without the transcriber, and with a small encoder in place of Whisper."""
    monkeypatch.setattr(
        "exomni.parts.whisper.conversion.WHISPER", type("W", (), {"folder": staticmethod(lambda: tiny_whisper)})
    )
    monkeypatch.setattr(build, "_worker", None)
    counts = speak_shard(planned, config(disguised=0.0), "t-0000")
    assert counts["kept"] == 5
    row = next(iter(read_shard(planned / "speech" / "t-0000.parquet")))
    assert 2 * int(row["ticks"].sum()) == row["acoustic"].shape[1]
    assert row["seconds"] * 24_000 == 600 * int(row["ticks"].sum())


def test_the_report_sums_up_seconds(planned, worker, in_this_process):
    speak_all(planned, config(), 1, str)
    seconds = [r["seconds"] for p in sorted((planned / "speech").iterdir()) for r in read_shard(p)]
    summary = report.summarize(planned)
    assert summary.keys() == {"t", "TTSF", "S2SF", "all"}
    assert summary["all"]["rows"] == 6
    assert summary["TTSF"]["rows"] == summary["S2SF"]["rows"] == 3
    for name, value in (
        ("hours", sum(seconds) / 3600), ("mean_s", np.mean(seconds)), ("median_s", np.median(seconds)),
        ("min_s", min(seconds)), ("max_s", max(seconds)), ("std_s", np.std(seconds)),
    ):  # fmt: skip
        assert summary["all"][name] == pytest.approx(value)
    assert report.dropped(planned) == {"kept": 6, "unspeakable": 3, "length": 3, "silence": 3}
    table = report.table(summary).splitlines()
    assert len(table) == 5
    assert table[0].split() == ["rows", "hours", "mean_s", "median_s", "min_s", "max_s", "std_s"]
    assert report.plot(planned).read_bytes().startswith(b"\x89PNG")


def test_the_manifest_names_sources_licences_and_the_data(planned, worker, in_this_process):
    speak_all(planned, config(), 1, str)
    wanted = config(hours={"templates": 1.0, "wordnet": 2.0, "dialogue": 3.0})
    facts = json.loads(report.write_manifest(planned, wanted, report.summarize(planned)).read_text("utf-8"))
    assert {n: s["licence"] for n, s in facts["sources"].items()} == {
        "templates": "Apache-2.0", "wordnet": "WordNet-3.0", "dialogue": "Apache-2.0",
    }  # fmt: skip
    assert facts["figures"]["all"]["rows"] == facts["rows"]["kept"] == 6
    assert facts["data"] == data_hash(planned)
    assert (facts["seed"], facts["teacher"]) == (1, "openfacefx")


def test_a_shard_that_fails_ends_the_build(planned, monkeypatch):
    tried = []

    class Pool(InThisProcess):
        def submit(self, job, *args):
            future = concurrent.futures.Future()
            future.set_exception(OutputError("no space left"))
            return future

        def shutdown(self, cancel_futures=False):
            tried.append(cancel_futures)

    monkeypatch.setattr(build, "ProcessPoolExecutor", Pool)
    with pytest.raises(OutputError, match="no space"):
        speak_all(planned, config(), 1, str)
    assert tried == [True]


def test_a_config_reads_from_json(tmp_path):
    assert BuildConfig.model_validate(json.loads(config().model_dump_json())) == config()


def test_the_command_makes_every_pass_and_says_what_it_made(tmp_path, worker, in_this_process, monkeypatch, capsys):
    from exomni.cli.training import data_build
    from exomni.train.stages import load_recipe

    class FakeReader:
        stamp = "stamp"

        def read(self, text: str, prompt: str) -> Clause:
            return Clause(text, torch.ones(len(text.split()), 4))

    voice = types.SimpleNamespace(symbols=Phonemizer().symbols)
    parts = Parts(reader=FakeReader(), teacher_voice=voice, speech_encoder=None)
    recipe = load_recipe("nano").model_copy(update={"data": config(hours={"templates": 0.01}, disguised=0.0)})
    monkeypatch.setattr("exomni.train.stages.load_recipe", lambda name: recipe)
    monkeypatch.setattr("exomni.parts.loading.load_parts", lambda *_: parts)
    folder = tmp_path / "data"
    data_build("nano", folder, 1)
    said = capsys.readouterr().out
    assert all(word in said for word in ("TTSF", "templates", "kept", "manifest.json"))
    spoken = {r["id"]: r for p in (folder / "speech").iterdir() for r in read_shard(p)}
    faces = {r["id"]: r for p in (folder / "faces").iterdir() for r in read_shard(p)}
    hidden = {r["id"]: r for p in (folder / "hidden").iterdir() for r in read_shard(p)}
    assert spoken.keys() == faces.keys() == hidden.keys()
    assert len(spoken) >= 5
    for name, row in spoken.items():
        assert abs(len(faces[name]["blendshapes"]) - 30 * row["seconds"]) <= 1
        assert len(hidden[name]["hidden"]) == len(row["text"].split())
    assert json.loads((folder / "manifest.json").read_text())["figures"]["all"]["rows"] == len(spoken)
