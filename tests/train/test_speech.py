"""Stage "speech" on a data set of a few seconds."""

import numpy as np
import pytest
import torch

from exomni.core.errors import InputError
from exomni.core.timebase import FRAMES_PER_TICK
from exomni.data.store import read_shard, write_shard
from exomni.model.acoustics import F0_CHANNEL
from exomni.model.tokens import IGNORE_INDEX
from exomni.train.loop import LoopConfig, train
from exomni.train.speech import SpeechRows, SpeechTask, crop, phonemes_of_ticks

from .conftest import N_ROWS

LOSSES = ("total", "phonetic", "pitch", "energy", "voicing", "phoneme")


@pytest.fixture
def task(tiny_data, tiny_config) -> SpeechTask:
    return SpeechTask(tiny_data, tiny_config.unit_tokenizer, tiny_config.speech_decoder, crop_units=20)


def draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_disguised_rows_are_for_training_only(tiny_data):
    sizes = {split: len(SpeechRows(tiny_data, split)) for split in N_ROWS}
    assert sizes == {"train": 2 * (N_ROWS["train"] + 1), "validation": 2 * N_ROWS["validation"], "test": 4}


def test_a_crop_cuts_both_clocks_at_the_same_moment(tiny_data):
    rows = SpeechRows(tiny_data, "train")
    longest = max(range(len(rows)), key=lambda i: len(rows.features[i]))
    piece = crop(rows, longest, 5, 10)
    np.testing.assert_array_equal(piece["features"].numpy(), rows.features[longest][5:15])
    np.testing.assert_array_equal(piece["acoustic"].numpy(), rows.acoustic[longest][:, 32:96].T)
    assert piece["mask"].all()
    assert piece["frame_mask"].all()


def test_what_a_row_does_not_have_is_masked(tiny_data):
    rows = SpeechRows(tiny_data, "train")
    n_units = len(rows.features[0])
    piece = crop(rows, 0, 0, 200)
    assert piece["features"].shape == (200, 256)
    assert piece["acoustic"].shape == (1280, 130)
    assert piece["mask"].tolist() == [True] * n_units + [False] * (200 - n_units)
    assert int(piece["frame_mask"].sum()) == rows.acoustic[0].shape[1]
    assert not piece["features"][n_units:].any()


def test_batches_come_from_the_generator_alone(task):
    first, again, other = (task.batch(draw(seed), 4) for seed in (1, 1, 2))
    assert first["features"].shape == (4, 20, 256)
    assert first["acoustic"].shape == (4, 128, 130)
    assert first["phonemes"].shape == (4, 64)
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert not torch.equal(first["features"], other["features"])


def test_padding_does_not_count(task):
    batch = task.batch(draw(), 6)
    other = {k: v.clone() for k, v in batch.items()}
    other["acoustic"][~other["frame_mask"]] = 9.0
    whole = batch["frame_mask"].unflatten(1, (-1, FRAMES_PER_TICK)).all(2)
    assert torch.equal(batch["phonemes"] != IGNORE_INDEX, whole)
    assert not batch["frame_mask"].all()
    assert torch.equal(task.losses(batch)["total"], task.losses(other)["total"])


def test_the_statistics_are_the_datas_and_pitchs_those_of_voice(task):
    acoustic = np.concatenate([a.astype(np.float32) for a in task.rows.acoustic], 1)
    mean, std = acoustic.mean(1), acoustic.std(1)
    pitch = acoustic[F0_CHANNEL][acoustic[F0_CHANNEL] > 0.5]
    mean[F0_CHANNEL], std[F0_CHANNEL] = pitch.mean(), pitch.std()
    torch.testing.assert_close(task.decoder.mean, torch.from_numpy(mean), atol=1e-4, rtol=0)
    torch.testing.assert_close(task.decoder.std, torch.from_numpy(std), atol=1e-3, rtol=0)


def test_pitch_is_learned_where_there_is_voice_alone(task):
    batch = task.batch(draw(), 6)
    other = {k: v.clone() for k, v in batch.items()}
    unvoiced = other["acoustic"][..., F0_CHANNEL] <= 0.5
    other["acoustic"][..., F0_CHANNEL][unvoiced] -= 3.0
    assert unvoiced.any()
    assert torch.equal(task.losses(batch)["pitch"], task.losses(other)["pitch"])


def test_each_tick_has_the_phoneme_that_the_voice_was_saying():
    phonemes, durations = np.array([0, 7, 9, 0]), np.array([1, 2, 3, 1])
    assert phonemes_of_ticks(phonemes, durations, 14).tolist() == [0, 7, 7, 9, 9, 9, 0]
    assert phonemes_of_ticks(phonemes, durations, 28).tolist() == [0, 0, 7, 7, 7, 7, 9, 9, 9, 9, 9, 9, 0, 0]
    assert phonemes_of_ticks(phonemes, durations, 15).tolist() == [0, 7, 7, 9, 9, 9, 0]


def test_it_learns_one_batch(task):
    batch = task.batch(draw(), 6)
    parameters = [p for m in task.modules.values() for p in m.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=5e-3)
    losses = []
    for _ in range(40):
        total = task.losses(batch)["total"]
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        losses.append(float(total.detach()))
    assert losses[-1] < 0.75 * losses[0]
    assert all(p.grad is not None for p in parameters)


def test_validation_covers_the_held_out_rows(task):
    with torch.inference_mode():
        figures = task.validate()
    assert figures.keys() == {f"valid_{k}" for k in LOSSES} | {"unit_entropy_bits"}
    assert all(np.isfinite(v) for v in figures.values())
    assert 0 <= figures["unit_entropy_bits"] <= np.log2(36)


@pytest.mark.parametrize("device", ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"])
def test_the_loop_runs_it(task, tmp_path, monkeypatch, device):
    monkeypatch.setattr("exomni.train.loop.plot_curve", lambda path: path)
    loop = LoopConfig(steps=2, batch_size=3, rates={"tokenizer": 1e-3, "decoder": 1e-3}, validate_every=1)
    figures = train(task, loop, tmp_path, origin={}, device=device, report=str)
    assert figures["valid_total"] > 0


def test_a_set_without_rows_to_hold_out_is_refused(tiny_data, tiny_config, tmp_path):
    for name in ("speech", "features"):
        rows = list(read_shard(tiny_data / name / "t-0000.parquet"))
        if name == "speech":
            rows = [r | {"split": "train"} for r in rows]
        write_shard(tmp_path / name / "t-0000.parquet", rows, {})
    with pytest.raises(InputError, match="0 to validate"):
        SpeechTask(tmp_path, tiny_config.unit_tokenizer, tiny_config.speech_decoder)
