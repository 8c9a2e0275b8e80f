"""A `nano` of a few thousand random parameters, a talker that needs no LLM, and hypothesis without surprises."""

import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

settings.register_profile("exomni", deadline=None, derandomize=True, max_examples=100)
settings.load_profile("exomni")

NO_SKIPS = any(os.environ.get(name, "0") not in ("", "0") for name in ("CI", "EXOMNI_NO_SKIPS"))
ALLOWED_SKIPS = (
    "no CUDA here",  # a graphics card cannot be installed
    "root may write everywhere",  # machines that only test run as root
    "this system does not know it",  # a socket option of Linux
    *(["needs Blender"] if sys.version_info[:2] != (3, 11) else []),  # its package is made for Python 3.11 alone
)
"""Reasons for which a test may be skipped where everything that can be installed is: patterns."""
SLOW = (
    "export/test_docs.py",
    "export/test_exporting.py",
    "export/test_fuzz.py",
    "export/test_gltf.py",
    "export/test_live_command.py",
    "export/test_players.py",
    "export/video/",
    "serve/page/",
    "serve/test_fuzz.py",
    "serve/test_half_open.py",
    "serve/test_limits.py",
    "serve/test_nano.py",
    "serve/test_shutdown.py",
    "serve/test_soak.py",
    "test_docs.py",
)
"""Files and folders of tests that take long; `make check` leaves them out."""

D_LLM = 24
D_WHISPER = 64
F0_HZ = 140.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what takes long."""
    for item in items:
        if item.path.relative_to(Path(__file__).parent).as_posix().startswith(SLOW):
            item.add_marker(pytest.mark.slow)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    return _without_skips((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report():
    return _without_skips((yield))


def _without_skips(report):
    """Let a skip be a failure where everything can be installed, but for the reasons that are allowed."""
    if NO_SKIPS and report.skipped and not hasattr(report, "wasxfail"):
        *_, reason = report.longrepr
        if not any(re.search(pattern, reason) for pattern in ALLOWED_SKIPS):
            report.outcome = "failed"
            report.longrepr = f"skipped where no test may be (ALLOWED_SKIPS in tests/conftest.py): {reason}"
    return report


class FakeLLM:
    """Stands in for `exomni.parts.smollm.chat.SmolLM`: whatever is asked, it says `answer`, token by token.

    Attributes:
        answer: its reply to every prompt.
        n_written: tokens of the latest reply that were asked for.
        closed: whether the latest reply was ended, by its end or by its consumer.
        n_states: texts whose states were asked for.
    """

    def __init__(self, answer: str = "Well, hello there my friend. Paris is the capital of France, you know."):
        self.answer = answer
        self.n_written = self.n_states = 0
        self.closed = False

    def write(self, turns, *, max_new_tokens=256, temperature=0.0, repetition_penalty=1.05, seed=0) -> Iterator:
        import torch

        from exomni.parts.ports import WrittenToken

        self.n_written, self.closed = 0, False
        for turn in turns:
            turn.content.encode("utf-8")  # a real tokenizer reads no lone surrogates either
        draw = torch.Generator().manual_seed(seed)
        pieces = [self.answer[i : i + 3] for i in range(0, len(self.answer), 3)]
        try:
            for piece in pieces[:max_new_tokens]:
                self.n_written += 1
                yield WrittenToken(piece, torch.randn(D_LLM, generator=draw))
        finally:
            self.closed = True

    def prefill(self, turns) -> Iterator:
        return iter(())

    def read(self, text: str, prompt: str = "", before: str = ""):
        import torch

        from exomni.parts.ports import Clause

        self.n_states += 1
        text.encode("utf-8")
        draw = torch.Generator().manual_seed(len(text))
        return Clause(text, torch.randn(max(1, len(text) // 4), D_LLM, generator=draw))


@pytest.fixture(scope="session")
def tiny_config():
    """`nano` with its choices and small sizes; its units are drawn, so that seeds matter."""
    from exomni.model.config import SamplingConfig, load_config

    nano = load_config("nano")

    def with_(section, **changes):
        return section.model_copy(update=changes)

    levels = (4, 3, 3)
    fusion = {"n_heads": 2, "head_dim": 16}
    generator = nano.unit_generator
    backbone = with_(generator.backbone, d_model=32, n_layers=2, n_heads=4, n_kv_heads=2, head_dim=8, d_ff=48)
    face = nano.blendshape_decoder
    return with_(
        nano,
        language_model=with_(nano.language_model, d_model=D_LLM),
        unit_generator=with_(
            generator, d_llm=D_LLM, n_units=36, unit_levels=levels, backbone=backbone,
            fusion=with_(generator.fusion, **fusion), pace=with_(generator.pace, n_text_layers=1),
            sampling=SamplingConfig(),
        ),
        blendshape_decoder=with_(
            face, d_generator=32, d_llm=D_LLM, n_units=36, unit_levels=levels, d_unit=8, d_model=32, n_layers=2,
            window_frames=6, fusion=with_(face.fusion, **fusion, window=3.0),
        ),
        unit_tokenizer=with_(nano.unit_tokenizer, d_features=D_WHISPER, d_model=16, n_layers=1, levels=levels),
        speech_decoder=with_(nano.speech_decoder, d_unit=16, n_unit_layers=2, d_tick=16, n_tick_layers=2, kernel=3),
    )  # fmt: skip


def random_parts(config, seed: int = 0) -> dict:
    """The parts that ship, with random weights that make a steady voice of ordinary pitch and pace."""
    import torch

    from exomni.model.acoustics import ENERGY_CHANNEL, F0_CHANNEL
    from exomni.model.blendshape_decoder import BlendshapeDecoder
    from exomni.model.duration_pace import PacedUnitGenerator
    from exomni.model.speech_decoder import SpeechDecoder
    from exomni.model.unit_tokenizer import UnitTokenizer

    torch.manual_seed(seed)
    parts = {
        "unit_tokenizer": UnitTokenizer(config.unit_tokenizer),
        "speech_decoder": SpeechDecoder(config.speech_decoder, config.unit_tokenizer.levels),
        "unit_generator": PacedUnitGenerator(config.unit_generator),
        "blendshape_decoder": BlendshapeDecoder(config.blendshape_decoder),
    }
    decoder = parts["speech_decoder"]
    decoder.std.fill_(0.1)
    decoder.std[F0_CHANNEL] = 0.01
    decoder.mean[F0_CHANNEL] = np.log1p(F0_HZ) / 5
    decoder.mean[ENERGY_CHANNEL] = 0.5
    with torch.no_grad():
        parts["unit_generator"].duration_predictor.head.bias.fill_(0.7)  # about two ticks a phoneme
    return parts


@pytest.fixture(scope="session")
def tiny_weights(tiny_config, tmp_path_factory):
    """A folder of weights as they ship, tiny and random."""
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("weights")
    for name, part in random_parts(tiny_config).items():
        save_file({k: v.contiguous() for k, v in part.state_dict().items()}, folder / f"{name}.safetensors")
    (folder / "facts.json").write_text(json.dumps({"data": "d" * 64, "commit": "c" * 40, "runs": {}}))
    return folder


@pytest.fixture(scope="session")
def tiny_whisper(tmp_path_factory):
    """A folder with a random Whisper encoder of one narrow layer."""
    import torch
    from safetensors.torch import save_file
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    torch.manual_seed(0)
    config = WhisperConfig(
        d_model=D_WHISPER, encoder_layers=1, encoder_attention_heads=1, encoder_ffn_dim=D_WHISPER, num_mel_bins=80
    )
    folder = tmp_path_factory.mktemp("whisper")
    state = {k: v.detach().clone().contiguous() for k, v in WhisperEncoder(config).state_dict().items()}
    save_file(state, folder / "encoder.safetensors")
    return folder


@pytest.fixture(scope="session")
def voice_folder():
    """The voice's two graph halves."""
    from exomni.parts.hibari.conversion import VOICE

    return VOICE.folder()


@pytest.fixture(scope="session")
def tiny_parts(tiny_config, tiny_weights, tiny_whisper):
    """Function that puts the tiny model together around an LLM."""
    import torch

    from exomni.parts import hibari, nano, silero
    from exomni.parts.loading import Parts
    from exomni.parts.nano.weights import read_facts
    from exomni.parts.whisper.encoder import SpeechFeatures

    torch.set_num_threads(1)
    builders = {
        "voice": hibari.build_voice,
        "unit_generator": nano.build_unit_generator,
        "face_maker": nano.build_face_maker,
        "recording_tokenizer": nano.build_recording_tokenizer,
        "voice_activity": silero.build_voice_activity,
        "speech_encoder": lambda parts: SpeechFeatures(tiny_whisper),
    }

    def make(**given) -> Parts:
        facts = read_facts(tiny_weights, "tiny")
        left = {port: build for port, build in builders.items() if port not in given}
        return Parts(facts, config=tiny_config, weights=tiny_weights, builders=left, **given)

    return make


@pytest.fixture(scope="session")
def tiny_nano(tiny_parts):
    """All parts of the tiny model but the LLM, built once."""
    parts = tiny_parts()
    for port in ("voice", "unit_generator", "face_maker", "recording_tokenizer", "voice_activity", "speech_encoder"):
        parts.part(port)
    return parts


@pytest.fixture
def omni(tiny_nano, tiny_parts):
    """A whole talking face whose LLM is a `FakeLLM`."""
    from exomni.pipeline.exomni import ExOmni

    llm = FakeLLM()
    ports = ("voice", "unit_generator", "face_maker", "recording_tokenizer", "voice_activity", "speech_encoder")
    made = ExOmni(tiny_parts(writer=llm, reader=llm, **{port: tiny_nano.part(port) for port in ports}))
    made.llm = llm
    return made


@pytest.fixture(scope="session")
def speechlike():
    """Function of seconds and rate to something that is no silence, float32 [N] in -1..1."""

    def make(seconds: float, sample_rate: int, seed: int = 0) -> np.ndarray:
        rng = np.random.default_rng(seed)
        times = np.arange(round(seconds * sample_rate)) / sample_rate
        tone = np.sin(6.28 * 180 * times) * (0.6 + 0.4 * np.sin(6.28 * 3 * times))
        return (0.4 * tone + 0.02 * rng.standard_normal(len(times))).astype(np.float32)

    return make


@pytest.fixture(scope="session")
def question(voice_folder):
    """Real speech, float32 [N] at 24 kHz: "What is the capital of France?"."""
    from exomni.parts.hibari.voice import Phonemizer, Vocoder, VoiceFront

    phonemizer = Phonemizer()
    ids = phonemizer.ids(phonemizer.phonemes("What is the capital of France?"))
    return Vocoder(voice_folder / "back.onnx")(VoiceFront(voice_folder / "front.onnx")(ids).acoustic, 0)


@pytest.fixture
def listener():
    """A small listener of six-dimensional words, untrained."""
    import torch

    from exomni.model.config import SpeechProjectorConfig
    from exomni.model.ctc_listener import CTCListener

    torch.manual_seed(0)
    made = CTCListener(8, 6, SpeechProjectorConfig(stack_frames=5, d_hidden=16))
    made.blank.data.fill_(5.0)
    return made.requires_grad_(False)
