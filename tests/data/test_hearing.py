"""Many voices in many rooms: what is planned, what is heard, and what is kept apart."""

import random

import numpy as np
import pytest
import torch

from exomni.core.errors import AssetError, ConfigError, InputError
from exomni.data import hearing, rooms, store
from exomni.data.heard import as_frames
from exomni.data.questions import question
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
    return hearing.HearingConfig(
        seed=3, repeats=9, questions=8, voices={"a:x": 3, "b:y": 1}, held_out_voices=("c:z", "c:w"), held_out_texts=2,
        rows_per_shard=6, snrs_db=(10.0,),
    )  # fmt: skip


def test_held_out_voices_and_texts_are_never_trained_on(own, config):
    rows = [row for shard in hearing.plan(own, config) for row in shard]
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
    assert hearing.plan(own, config) == hearing.plan(own, config)
    assert hearing.plan(own, config) != hearing.plan(own, config.model_copy(update={"seed": 4}))


def test_a_build_is_whole_and_goes_on(own, config, tmp_path, monkeypatch):
    times = np.arange(HZ) / HZ
    said = []

    def say(text, speed):
        said.append(text)
        return np.sin(1400 * times).astype(np.float32), HZ

    monkeypatch.setattr(hearing, "voice", lambda name, folder: say)

    def features(samples):
        return torch.from_numpy(samples[: len(samples) // 320 * 320].reshape(-1, 320)[:, :8].copy())

    def build():
        tools = hearing.Tools(lambda prompts, n: [f"About {p}" for p in prompts], features)
        monkeypatch.setattr(hearing, "_tools", None)
        hearing.build(own, tmp_path / "out", config, tools=lambda: tools, report=str)

    build()
    n_said = len(said)
    assert n_said == sum(map(len, hearing.plan(own, config)))
    (tmp_path / "out" / "heard" / "0001.parquet").unlink()
    build()
    assert len(said) == n_said + config.rows_per_shard
    rows = list(hearing.read_rows(tmp_path / "out", "train"))
    assert len(rows) == 17
    assert all(r.reply == f"About {r.text}" for r in rows if r.reply)
    assert sum(bool(r.reply) for r in rows) == 8
    assert all(1.0 < r.seconds < 4.0 for r in rows)
    assert {r.snr_db == hearing.CLEAN_DB for r in rows} == {True, False}
    tests = list(hearing.read_rows(tmp_path / "out", "test"))
    assert len(tests) == 8 * 2  # clean, and with noise
    other = config.model_copy(update={"seed": 4})
    with pytest.raises(InputError, match="another seed"):
        hearing.build(own, tmp_path / "out", other, report=str)


def test_texts_are_needed(tmp_path, config):
    with pytest.raises(InputError, match="data build"):
        hearing.plan(tmp_path, config)


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
    asked = [question(rng, ("apple", "zebra")) for _ in range(500)]
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
