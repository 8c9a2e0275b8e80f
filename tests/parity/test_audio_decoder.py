"""The published speech decoder against recorded tensors, for every fixture folder of its kind."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from torch import Tensor

from exomni.core.errors import AssetError, CheckpointError, InputError
from exomni.model.flow_decoder.decoder import SAME_NAMES, PublishedSpeechDecoder
from exomni.model.flow_decoder.flow import FlowSolver, SpeechPrompt
from exomni.model.flow_decoder.flow_config import FlowConfig, HiFTConfig, PublishedDecoderConfig, units_to_mel_frames
from exomni.model.flow_decoder.vocoder import SourceNoise
from exomni.model.published_layout import load_strictly

from .conftest import OWN_FIXTURES, find_folders

WAVE_ATOL = 2e-4


@dataclass(frozen=True)
class Fixture:
    """One recorded decoder: its weights loaded, and what went in and came out."""

    folder: Path
    decoder: PublishedSpeechDecoder
    weights: dict[str, Tensor]
    io: dict[str, Tensor]

    def part(self, prefix: str) -> dict[str, Tensor]:
        """Weights of one half, under its own names."""
        return {name.removeprefix(prefix): tensor for name, tensor in self.weights.items() if name.startswith(prefix)}


def read_config(folder: Path) -> PublishedDecoderConfig:
    """The fixture's configuration; its note on the rest of the vocoder stands for our defaults."""
    flow = json.loads((folder / "config.json").read_text())["config"]
    hift = flow.pop("hift")
    hift.pop("rest", None)
    return PublishedDecoderConfig(flow=FlowConfig(**flow), hift=HiFTConfig(**hift))


@cache
def read_fixture(folder: Path) -> Fixture:
    with torch.device("meta"):
        decoder = PublishedSpeechDecoder(read_config(folder))
    weights = load_file(folder / "weights.safetensors")
    io = {name: torch.from_numpy(array) for name, array in np.load(folder / "io.npz").items()}
    fixture = Fixture(folder, decoder.requires_grad_(False).eval(), weights, io)
    load_strictly(decoder.flow, fixture.part("flow."), SAME_NAMES)
    load_strictly(decoder.hift, fixture.part("hift."), SAME_NAMES)
    return fixture


@pytest.fixture(params=find_folders("audio_decoder"), ids=lambda folder: folder.name)
def fixture(request: pytest.FixtureRequest) -> Fixture:
    return read_fixture(request.param)


@pytest.fixture
def own() -> Fixture:
    """The repository's own fixture, for behaviour that no recording is needed for."""
    return read_fixture(OWN_FIXTURES / "audio_decoder")


def assert_near(actual: Tensor, expected: Tensor, atol: float = 1e-4) -> None:
    torch.testing.assert_close(actual, expected, atol=atol, rtol=1e-4)


def recorded_prompt(fixture: Fixture) -> SpeechPrompt:
    units, mel = fixture.io["flow_prompt.prompt_token"], fixture.io["flow_prompt.prompt_feat"]
    return SpeechPrompt(units[0], mel[0])


def test_a_fixture_is_found() -> None:
    assert find_folders("audio_decoder")


def test_conditions(fixture: Fixture) -> None:
    flow, units = fixture.decoder.flow, fixture.io["flow.token"]
    assert_near(flow.encoder(flow.input_embedding(units)), fixture.io["flow.encoder_out"])
    conditions = flow.condition(units[0], None, None)
    assert_near(conditions.means.transpose(1, 2), fixture.io["flow.mu_btc"])
    assert_near(conditions.speaker, fixture.io["flow.spk"])
    assert not conditions.prompt_mel.any()


def test_first_step(fixture: Fixture) -> None:
    flow = fixture.decoder.flow
    times = flow.decoder.times()
    assert_near(times[:-1], fixture.io["flow.t_values"], atol=1e-6)
    assert times[-1] == 1
    conditions = flow.condition(fixture.io["flow.token"][0], None, None)
    noise = fixture.io["flow.noise_z"]
    conditional, unconditional = flow.decoder.velocities(noise, float(times[0]), conditions)
    assert_near(conditional, fixture.io["flow.estimator_step0_cond_out"])
    assert_near(unconditional, fixture.io["flow.estimator_step0_uncond_out"])


def test_mel(fixture: Fixture) -> None:
    mel = fixture.decoder.flow(fixture.io["flow.token"][0], fixture.io["flow.noise_z"])
    assert_near(mel, fixture.io["flow.mel"])


def test_mel_with_prompt_and_speaker(fixture: Fixture) -> None:
    units, noise = fixture.io["flow.token"][0], fixture.io["flow_prompt.noise_z"]
    speaker, prompt = fixture.io["flow_prompt.embedding"][0], recorded_prompt(fixture)
    assert fixture.decoder.flow.n_frames(len(units), prompt) == noise.shape[-1]
    mel = fixture.decoder.flow(units, noise, speaker, prompt)
    assert_near(mel, fixture.io["flow_prompt.mel"])


def test_mel_frame_counts(fixture: Fixture) -> None:
    counts = [units_to_mel_frames(n) for n in fixture.io["mel_frames.n_tokens"].tolist()]
    assert counts == fixture.io["mel_frames.frames"].tolist()


def test_vocoder_without_randomness(fixture: Fixture) -> None:
    mel, expected = fixture.io["hift.mel"], fixture.io["hift.source_phase0_noise0"]
    n_waves = fixture.decoder.config.hift.nb_harmonics + 1
    silent = SourceNoise(torch.zeros(1, n_waves), torch.zeros(1, n_waves, expected.shape[-1]))
    spoken = fixture.decoder.hift(mel, silent)
    assert_near(spoken.f0, fixture.io["hift.f0"])
    assert_near(spoken.source, expected)
    assert_near(spoken.samples, fixture.io["hift.wav_phase0_noise0"], WAVE_ATOL)


def test_vocoder_on_a_given_source(fixture: Fixture) -> None:
    samples = fixture.decoder.hift.synthesize(fixture.io["hift.mel"], fixture.io["hift.given_source"])
    assert_near(samples, fixture.io["hift.wav_given_source"], WAVE_ATOL)


def test_released_sizes_have_the_published_keys(fixture: Fixture) -> None:
    path = fixture.folder / "full_size_keys.json"
    with torch.device("meta"):
        decoder = PublishedSpeechDecoder(PublishedDecoderConfig())
    for part, expected in json.loads(path.read_text()).items():
        found = {name: list(tensor.shape) for name, tensor in getattr(decoder, part).state_dict().items()}
        assert found == expected


def test_seed_decides_the_speech_and_global_randomness_is_left_alone(own: Fixture) -> None:
    units = own.io["flow.token"][0, :9].clone()
    units[0] = 0
    state = torch.get_rng_state()
    first, again, other = (own.decoder.decode(units, torch.Generator().manual_seed(s)) for s in (7, 7, 8))
    assert torch.equal(torch.get_rng_state(), state)
    assert first.shape == (9 * 441 // 64 * 256,)
    assert first.dtype == torch.float32
    assert torch.equal(first, again)
    assert not torch.allclose(first, other, atol=1e-3)


def test_decode_takes_prompt_and_speaker(own: Fixture) -> None:
    units, speaker = own.io["flow.token"][0], own.io["flow_prompt.embedding"][0]
    prompt = recorded_prompt(own)
    plain = own.decoder.decode(units, torch.Generator().manual_seed(0))
    carried = own.decoder.decode(units, torch.Generator().manual_seed(0), speaker, prompt)
    assert carried.shape == plain.shape == (own.io["hift.given_source"].shape[-1],)
    assert not torch.allclose(carried, plain, atol=1e-3)
    louder = own.decoder.decode(units, torch.Generator().manual_seed(0), 10 * speaker, prompt)
    assert_near(louder, carried, WAVE_ATOL)


def test_source_noise_is_drawn_as_the_source_needs_it(own: Fixture) -> None:
    drawn = own.decoder.hift.draw_noise(40, torch.Generator().manual_seed(3))
    assert drawn.phases.shape == (1, 9)
    assert drawn.noise.shape == (1, 9, 40 * 256)
    assert drawn.phases[0, 0] == 0
    assert drawn.phases[0, 1:].abs().min() > 0
    assert drawn.phases.abs().max() <= torch.pi
    assert drawn.noise.std() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("units", [[], [67], [-1], [[1, 2]]])
def test_bad_units_are_refused(own: Fixture, units: list) -> None:
    with pytest.raises(InputError):
        own.decoder.decode(torch.tensor(units, dtype=torch.int64), torch.Generator())


def test_bad_speaker_and_prompt_are_refused(own: Fixture) -> None:
    units = torch.tensor([1, 2])
    with pytest.raises(InputError, match="speaker"):
        own.decoder.decode(units, torch.Generator(), speaker=torch.zeros(3))
    with pytest.raises(InputError, match="prompt"):
        own.decoder.decode(units, torch.Generator(), prompt=SpeechPrompt(units, torch.zeros(10, 3)))


def write_folder(fixture: Fixture, folder: Path, **changed: dict[str, Tensor]) -> Path:
    for part in ("flow", "hift"):
        torch.save(changed.get(part, fixture.part(f"{part}.")), folder / f"{part}.pt")
    return folder


def test_folder_opens_and_speaks(own: Fixture, tmp_path: Path) -> None:
    state = torch.get_rng_state()
    decoder = PublishedSpeechDecoder.from_folder(write_folder(own, tmp_path), own.decoder.config)
    assert torch.equal(torch.get_rng_state(), state)
    units = own.io["flow.token"][0, :5]
    spoken, expected = (d.decode(units, torch.Generator().manual_seed(1)) for d in (decoder, own.decoder))
    assert torch.equal(spoken, expected)
    assert decoder.sample_hz == 22_050
    assert not decoder.training
    assert not any(parameter.requires_grad for parameter in decoder.parameters())


@pytest.mark.parametrize("part", ["flow", "hift"])
def test_each_key_that_does_not_fit_is_named(own: Fixture, tmp_path: Path, part: str) -> None:
    state = own.part(f"{part}.")
    first, second, *_ = state
    for bad in (
        {name: tensor for name, tensor in state.items() if name != first},
        {**state, "stranger.weight": torch.zeros(2)},
        {**state, second: torch.zeros(1, 1, 1, 1)},
    ):
        name = next(iter(bad.keys() ^ state.keys()), second)
        folder = write_folder(own, tmp_path, **{part: bad})
        with pytest.raises(CheckpointError, match=rf"{part}\.pt.*{name}"):
            PublishedSpeechDecoder.from_folder(folder, own.decoder.config)


def test_unreadable_files_are_refused(own: Fixture, tmp_path: Path) -> None:
    with pytest.raises(AssetError, match=r"flow\.pt"):
        PublishedSpeechDecoder.from_folder(tmp_path, own.decoder.config)
    write_folder(own, tmp_path)
    (tmp_path / "flow.pt").write_bytes(b"not weights")
    with pytest.raises(CheckpointError, match=r"flow\.pt"):
        PublishedSpeechDecoder.from_folder(tmp_path, own.decoder.config)
    torch.save([1, 2], tmp_path / "flow.pt")
    with pytest.raises(CheckpointError, match="state dict"):
        PublishedSpeechDecoder.from_folder(tmp_path, own.decoder.config)


def test_linear_schedule() -> None:
    config = FlowConfig(
        cfm={"t_scheduler": "linear", "n_timesteps": 4}, estimator={"num_mid_blocks": 1, "channels": [8]}
    )
    with torch.device("meta"):
        solver = FlowSolver(config)
    assert solver.times().tolist() == [0, 0.25, 0.5, 0.75, 1]


@pytest.mark.parametrize(
    "section",
    [
        {"flow": {"unknown": 1}},
        {"flow": {"encoder": {"use_cnn_module": True}}},
        {"flow": {"estimator": {"in_channels": 240}}},
        {"flow": {"estimator": {"channels": [20]}}},
        {"flow": {"length_regulator": {"channels": 40}}},
        {"hift": {"upsample_rates": [8, 4]}},
        {"hift": {"upsample_rates": [8]}},
        {"hift": {"in_channels": 100}},
    ],
)
def test_configuration_that_cannot_be_built_is_refused(section: dict) -> None:
    with pytest.raises(ValidationError):
        PublishedDecoderConfig(**section)
