"""The parts of `nano` together: strict loading, and clauses whose clocks all end at once."""

import json
import shutil

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from exomni.core.errors import AssetError, CheckpointError
from exomni.core.timebase import SAMPLES_PER_FRAME, units_to_frames
from exomni.model.config import SamplingConfig
from exomni.model.ctc_listener import LISTENER_FILE as LISTENING_FILE
from exomni.model.duration_pace import ticks_to_units
from exomni.model.speech_decoder import GROUP_TICKS
from exomni.parts import hibari, nano
from exomni.parts.loading import Parts
from exomni.parts.nano.units import SHORTEN_TICKS, PacedUnits, whole_groups
from exomni.parts.nano.weights import NETWORKS, read_facts, weights_hash
from exomni.parts.ports import Clause, SpeechUnits, SpokenText


@pytest.fixture
def weights_copy(tiny_weights, tmp_path):
    return shutil.copytree(tiny_weights, tmp_path / "copy")


@pytest.fixture
def phonemes(tiny_nano) -> str:
    return tiny_nano.voice.phonemes("Hello there, how are you?")[0]


def load(config, folder) -> Parts:
    """Everything that has weights, loaded."""
    builders = {"recording_tokenizer": nano.build_recording_tokenizer, "voice": hibari.build_voice,
                "unit_generator": nano.build_unit_generator, "face_maker": nano.build_face_maker}  # fmt: skip
    parts = Parts(read_facts(folder, "copy"), config=config, weights=folder, builders=builders)
    for port in builders:
        parts.part(port)
    return parts


def networks(parts: Parts) -> dict:
    made = {"unit_tokenizer": parts.recording_tokenizer, "unit_generator": parts.unit_generator}
    made = {name: part.network for name, part in made.items()}
    return made | {"speech_decoder": parts.voice.decoder, "blendshape_decoder": parts.face_maker.network}


def make(parts: Parts, phonemes: str, states=None, seed: int = 0, speed: float = 1.0) -> SpeechUnits:
    return parts.unit_generator.generate(SpokenText(Clause("", states), phonemes), seed=seed, speed=speed)


def test_weights_load_bit_for_bit(tiny_nano, tiny_weights):
    for part, network in networks(tiny_nano).items():
        state = network.state_dict()
        for name, value in load_file(tiny_weights / f"{part}.safetensors").items():
            assert torch.equal(state[name], value), name


def test_nothing_trains(tiny_nano):
    for network in networks(tiny_nano).values():
        assert not any(p.requires_grad for p in network.parameters())
        assert not any(m.training for m in network.modules())


def test_half_precision_weights_become_float(tiny_config, weights_copy):
    path = weights_copy / "blendshape_decoder.safetensors"
    save_file({k: v.half() if v.is_floating_point() else v for k, v in load_file(path).items()}, path)
    assert all(p.dtype == torch.float32 for p in load(tiny_config, weights_copy).face_maker.network.parameters())


@pytest.mark.parametrize("part", NETWORKS)
def test_a_missing_part_is_named(tiny_config, weights_copy, part):
    (weights_copy / f"{part}.safetensors").unlink()
    with pytest.raises(AssetError, match=rf"{part}\.safetensors is missing"):
        load(tiny_config, weights_copy)


def test_missing_facts_are_an_asset_error(tiny_config, weights_copy):
    (weights_copy / "facts.json").unlink()
    with pytest.raises(AssetError, match=r"facts\.json"):
        load(tiny_config, weights_copy)


def test_a_damaged_part_is_a_checkpoint_error(tiny_config, weights_copy):
    path = weights_copy / "unit_generator.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"unit_generator\.safetensors"):
        load(tiny_config, weights_copy)


def lose(state: dict) -> None:
    del state["head.0.weight"]


def add(state: dict) -> None:
    state["another.weight"] = torch.zeros(1)


def misshape(state: dict) -> None:
    state["head.0.weight"] = torch.zeros(1)


@pytest.mark.parametrize(("change", "key"), [(lose, "head.0"), (add, "another.weight"), (misshape, "head.0.weight")])
def test_weights_that_do_not_fit_are_refused_by_key(tiny_config, weights_copy, change, key):
    path = weights_copy / "blendshape_decoder.safetensors"
    state = load_file(path)
    change(state)
    save_file(state, path)
    with pytest.raises(CheckpointError, match=key):
        load(tiny_config, weights_copy)


def test_the_hash_names_the_weights(tiny_nano, tiny_weights, weights_copy):
    assert tiny_nano.facts.weights == weights_hash(tiny_weights) == weights_hash(weights_copy)
    assert tiny_nano.facts.data == json.loads((tiny_weights / "facts.json").read_text())["data"]
    path = weights_copy / "speech_decoder.safetensors"
    state = load_file(path)
    state["mean"][0] += 1
    save_file(state, path)
    changed = weights_hash(weights_copy)
    assert changed != tiny_nano.facts.weights
    (weights_copy / LISTENING_FILE).write_bytes(b"another listener")
    assert weights_hash(weights_copy) not in (changed, tiny_nano.facts.weights)


@given(st.lists(st.integers(1, 40), min_size=3, max_size=60))
def test_durations_fill_groups_by_the_closing_silence_alone(ticks):
    durations = torch.tensor([ticks])
    whole = whole_groups(durations)
    assert durations[0].tolist() == ticks
    assert int(whole.sum()) % GROUP_TICKS == 0
    assert whole[0, :-2].tolist() == ticks[:-2]
    assert int(whole.min()) >= 1
    assert int(whole[0, -2]) >= min(ticks[-2], 2)
    assert -SHORTEN_TICKS <= int(whole.sum()) - sum(ticks) < GROUP_TICKS
    assert ticks_to_units(int(whole.sum())) % 5 == 0


def test_all_clocks_of_a_clause_end_together(tiny_nano, phonemes):
    made = make(tiny_nano, phonemes)
    samples, frames = tiny_nano.voice.speak(made, 0), tiny_nano.face_maker.frames(made, None, None)
    assert len(made.units) % 5 == 0
    assert made.hidden_states.shape == (len(made.units), 32)
    assert len(samples) == len(frames) * SAMPLES_PER_FRAME == 1920 * len(made.units)
    assert frames.shape == (units_to_frames(len(made.units)), 52)
    assert frames.dtype == samples.dtype == np.float32
    assert 0 <= frames.min() <= frames.max() <= 1
    assert np.isfinite(samples).all()


def test_the_seed_decides_the_units(tiny_nano, phonemes):
    units = [make(tiny_nano, phonemes, seed=seed).units.tolist() for seed in (1, 1, 2)]
    assert units[0] == units[1] != units[2]
    assert all(0 <= u < 36 for u in units[0])


def test_greedy_units_need_no_seed(tiny_nano, phonemes):
    greedy = SamplingConfig(temperature=0.0)
    generator = PacedUnits(tiny_nano.unit_generator.network, tiny_nano.voice, greedy)
    units = [generator.generate(SpokenText(Clause(""), phonemes), seed=s, speed=1.0).units for s in (1, 2)]
    assert torch.equal(*units)


def test_faster_speech_is_shorter(tiny_nano, phonemes):
    lengths = [len(make(tiny_nano, 4 * phonemes, speed=speed).units) for speed in (0.5, 1.0, 2.0)]
    assert lengths[0] > lengths[1] > lengths[2]
    assert 1.7 < lengths[0] / lengths[1] < 2.3


def test_meaning_reaches_the_clause(tiny_nano, phonemes):
    draw = torch.Generator().manual_seed(0)
    states = torch.randn(9, 24, generator=draw)
    without, given_states, none = (make(tiny_nano, phonemes, s) for s in (None, states, states[:0]))
    n = min(len(without.hidden_states), len(given_states.hidden_states))
    assert (without.hidden_states[:n] - given_states.hidden_states[:n]).abs().max() > 1e-3
    assert torch.equal(without.units, none.units)


def test_an_emotion_set_by_hand_changes_the_face(tiny_nano, phonemes):
    made = make(tiny_nano, phonemes)
    emotions = (None, np.zeros(5, np.float32), np.eye(5, dtype=np.float32)[3])
    faces = [tiny_nano.face_maker.frames(made, e, None) for e in emotions]
    assert np.abs(faces[0] - faces[1]).max() > 1e-4
    assert np.abs(faces[1] - faces[2]).max() > 1e-4


def test_a_recording_is_a_unit_every_four_frames(tiny_nano, speechlike):
    units = tiny_nano.recording_tokenizer.units(speechlike(2.0, 16_000))
    assert units.shape == (25,)
    assert units.dtype == torch.int64
    frames = tiny_nano.face_maker.recording_frames(units, 0, None)
    assert frames.shape == (60, 52)
    assert 0 <= frames.min() <= frames.max() <= 1


def test_a_piece_of_a_recording_must_begin_on_a_frame(tiny_nano):
    with pytest.raises(ValueError, match="multiple of 5"):
        tiny_nano.face_maker.recording_frames(torch.zeros(10, dtype=torch.long), 3, None)
