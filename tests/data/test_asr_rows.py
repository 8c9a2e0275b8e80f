"""Many voices in many rooms: what is planned, what is heard, and what is kept apart."""

import random

import numpy as np
import pytest
import torch

from exomni.core.errors import AssetError, ConfigError, InputError
from exomni.data import asr_build, rooms, store
from exomni.data.asr_build import as_frames
from exomni.data.templates import broad_question
from exomni.data.voices import voice

HZ = 16_000


@pytest.fixture
def own(tmp_path):
    """A data set with texts in every split."""
    texts = [f"This is the sentence of number {i}, and no other." for i in range(400)] + ["A zebra is a striped horse."]
    rows = [{"id": str(i), "text": t, "split": store.split_of(t)} for i, t in enumerate(texts)]
    store.write_shard(tmp_path / "own" / "texts" / "0000.parquet", rows, {})
    return tmp_path / "own"


@pytest.fixture
def config():
    return asr_build.ASRDataConfig(
        seed=3, repeats=9, questions=8, voices={"a:x": 3, "b:y": 1}, held_out_voices=("c:z", "c:w"), held_out_texts=2,
        rows_per_shard=6, snrs_db=(10.0,),
    )  # fmt: skip


def test_held_out_voices_and_texts_are_never_trained_on(own, config):
    rows = [row for shard in asr_build.plan(own, config) for row in shard]
    by_split = {split: [r for r in rows if r.split == split] for split in ("train", "validation", "test")}
    assert len(by_split["train"]) == 17
    assert sum(r.is_question for r in by_split["train"]) == 8
    assert len(by_split["test"]) == 2 * (2 + 2)
    assert {r.voice for r in by_split["test"]} == {"c:z", "c:w"}
    assert {r.voice for r in by_split["train"]} <= {"a:x", "b:y"}
    texts = {split: {r.text for r in own_rows} for split, own_rows in by_split.items()}
    assert not texts["train"] & (texts["test"] | texts["validation"])
    assert all(store.split_of(r.text) == r.split for r in rows if r.is_question)


def test_a_plan_is_the_same_each_time(own, config):
    assert asr_build.plan(own, config) == asr_build.plan(own, config)
    assert asr_build.plan(own, config) != asr_build.plan(own, config.model_copy(update={"seed": 4}))


# Worker processes find what follows by its name.


def about(prompts, most_tokens):
    return [f"About {p}" for p in prompts]


def first_samples(samples):
    return torch.from_numpy(samples[: len(samples) // 320 * 320].reshape(-1, 320)[:, :8].copy())


def hum(name, folder):
    return lambda text, speed: (np.sin(len(text) * 30 * np.arange(HZ) / HZ).astype(np.float32), HZ)


def humming_tools():
    return asr_build.Tools(about, first_samples, hum)


def deaf(samples):
    raise InputError("nothing is heard here")


def deaf_tools():
    return asr_build.Tools(about, deaf, hum)


def missing_tools():
    raise AssetError("the encoder is not installed")


def test_a_build_is_whole_and_goes_on(own, config, tmp_path):
    said = []

    def voice_that_counts(name, folder):
        said.append(name)
        return hum(name, folder)

    def build():
        tools = asr_build.Tools(about, first_samples, voice_that_counts)
        asr_build.build(own, tmp_path / "out", config, tools=lambda: tools, report=str)

    build()
    n_said = len(said)
    assert n_said == sum(map(len, asr_build.plan(own, config)))
    (tmp_path / "out" / "heard" / "0001.parquet").unlink()
    build()
    assert len(said) == n_said + config.rows_per_shard
    rows = list(asr_build.read_rows(tmp_path / "out", "train"))
    assert len(rows) == 17
    assert all(r.reply == f"About {r.text}" for r in rows if r.reply)
    assert sum(bool(r.reply) for r in rows) == 8
    assert all(1.0 < r.seconds < 4.0 for r in rows)
    assert {r.snr_db == asr_build.CLEAN_DB for r in rows} == {True, False}
    tests = list(asr_build.read_rows(tmp_path / "out", "test"))
    assert len(tests) == 8 * 2  # clean, and with noise
    other = config.model_copy(update={"seed": 4})
    with pytest.raises(InputError, match="another seed"):
        asr_build.build(own, tmp_path / "out", other, report=str)


def test_workers_build_what_one_process_does(own, config, tmp_path):
    rows = {}
    for n_workers in (1, 2):
        folder = tmp_path / str(n_workers)
        asr_build.build(own, folder, config, tools=humming_tools, n_workers=n_workers, report=str)
        paths = sorted((folder / "heard").iterdir())
        rows[n_workers] = [(path.name, row) for path in paths for row in store.read_shard(path)]
    assert len(rows[1]) == len(rows[2]) > 0
    for (name, one), (other_name, other) in zip(rows[1], rows[2], strict=True):
        assert name == other_name
        np.testing.assert_array_equal(one.pop("features"), other.pop("features"))
        assert one == other


def test_each_build_has_its_own_tools_and_makes_none_in_vain(own, config, tmp_path):
    folder = tmp_path / "out"
    asr_build.build(own, folder, config, tools=humming_tools, report=str)
    for n_workers in (1, 2):
        asr_build.build(own, folder, config, tools=missing_tools, n_workers=n_workers, report=str)  # nothing to do
    (folder / "heard" / "0001.parquet").unlink()
    with pytest.raises(InputError, match="nothing is heard"):
        asr_build.build(own, folder, config, tools=deaf_tools, report=str)


@pytest.mark.parametrize("n_workers", [1, 2])
@pytest.mark.parametrize(("tools", "complaint"), [(deaf_tools, "nothing is heard"), (missing_tools, "not installed")])
def test_what_fails_ends_the_build_with_its_error(own, config, tmp_path, n_workers, tools, complaint):
    with pytest.raises((InputError, AssetError), match=complaint):
        asr_build.build(own, tmp_path / "out", config, tools=tools, n_workers=n_workers, report=str)
    assert not list(tmp_path.glob("out/heard/*.parquet"))


def test_texts_are_needed(tmp_path, config):
    with pytest.raises(InputError, match="data build"):
        asr_build.plan(tmp_path, config)


@pytest.mark.parametrize("kind", rooms.NOISES)
def test_noise_has_its_level(kind):
    rng, clip = np.random.default_rng(0), np.sin(np.arange(HZ) / 5).astype(np.float32)
    noisy = rooms.with_noise(clip, HZ, 10.0, kind, rng, [rng.standard_normal(5_000)])
    snr_db = 10 * np.log10(np.mean(clip**2) / np.mean((noisy - clip) ** 2))
    assert snr_db == pytest.approx(10.0, abs=0.05)


def test_levels_and_throats():
    clip = np.sin(np.arange(HZ) / 5).astype(np.float32)
    assert np.abs(rooms.at_level(clip, 0.1)).max() == pytest.approx(0.1)
    assert np.mean(np.abs(rooms.at_level(clip, 2.0)) == 1.0) > 0.5  # clipped
    assert len(rooms.shifted(clip, 1.25)) == pytest.approx(HZ / 1.25, abs=2)
    heard = rooms.in_room(clip, HZ, np.random.default_rng(0))
    assert len(heard) == HZ
    assert np.isfinite(heard).all()


def test_questions_are_many_and_end():
    rng = random.Random(0)
    asked = [broad_question(rng, ("apple", "zebra")) for _ in range(500)]
    assert len(set(asked)) > 350
    assert not any("{" in q or "_" in q for q in asked)
    assert any("an apple" in q for q in asked)
    assert all(q[-1] in "?.!" for q in asked)


def test_the_own_voice_speaks_and_others_say_how_to_install_them(monkeypatch, tmp_path):
    samples, rate = voice("own:heart")("Hello there.", 1.0)
    assert 0.5 < len(samples) / rate < 2.5
    assert len(voice("own:heart")("Hello there.", 1.5)[0]) < len(samples)
    with pytest.raises(ConfigError, match="family"):
        voice("nobody:x")
    monkeypatch.setattr("exomni.data.voices.shutil.which", lambda name: None)
    monkeypatch.setattr("exomni.data.voices.find_spec", lambda name: None)
    for family in ("flite", "espeak", "piper", "kokoro"):
        with pytest.raises(AssetError, match="install it"):
            voice(f"{family}:x")


def test_frames_lie_side_by_side_in_units():
    frames = as_frames(np.arange(3 * 4 * 2).reshape(3, 8), 0.2)
    np.testing.assert_array_equal(frames, np.arange(20).reshape(10, 2))
