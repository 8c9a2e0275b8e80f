"""The parts of `nano` with their trained weights, and what they do clause by clause."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from ..core.errors import AssetError, CheckpointError
from ..core.timebase import ENCODER_FRAMES_PER_UNIT
from ..model.blendshape_decoder import BlendshapeDecoder
from ..model.config import OmniConfig, SamplingConfig, SpeechDecoderConfig
from ..model.ctc_listener import LISTENER_FILE as LISTENING_FILE
from ..model.ctc_listener import CTCListenerWeights, load_ctc_listener
from ..model.duration_pace import PacedUnitGenerator
from ..model.sampling import UnitSampler
from ..model.speech_decoder import GROUP_TICKS, SpeechDecoder
from ..model.unit_tokenizer import UnitTokenizer
from .hibari.voice import Phonemizer, Vocoder
from .whisper.encoder import SpeechFeatures

PARTS = ("unit_tokenizer", "speech_decoder", "unit_generator", "blendshape_decoder")
SHORTEN_TICKS = 3
"""Most ticks that the closing silence may lose, so that a clause ends on a whole group of units."""


@dataclass(frozen=True)
class ClauseUnits:
    """A clause in units.

    Attributes:
        units: int64 [T_unit], a multiple of 5, so that units, acoustic frames and face frames all end together.
        states: of the generator, float32 [T_unit, D].
        ticks: duration of each phoneme and of the silence at both ends, int64 [T_text], in ticks of 25 ms.
    """

    units: torch.Tensor
    states: torch.Tensor
    ticks: torch.Tensor


def weights_hash(folder: Path) -> str:
    """SHA-256 over the weights of all parts, the listener's too where there is one: the name of the model."""
    digest = hashlib.sha256()
    files = [folder / f"{part}.safetensors" for part in PARTS]
    if (folder / LISTENING_FILE).is_file():
        files.append(folder / LISTENING_FILE)
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


class Nano(nn.Module):
    """All parts of `nano` but the LLM.

    Args:
        config: sizes.
        weights: folder with `<part>.safetensors` for each of `PARTS` and `facts.json`.
        voice: folder of the voice's two graph halves.
        whisper: function that gives the folder of the speech encoder; called only when a recording is read.
    Raises:
        AssetError: a file of the weights is missing.
        CheckpointError: weights do not fit.
    """

    def __init__(self, config: OmniConfig, weights: Path, voice: Path, whisper):
        super().__init__()
        assert config.unit_tokenizer is not None
        assert isinstance(config.speech_decoder, SpeechDecoderConfig)
        self.config = config
        self.unit_tokenizer = UnitTokenizer(config.unit_tokenizer)
        self.speech_decoder = SpeechDecoder(config.speech_decoder, config.unit_tokenizer.levels)
        self.unit_generator = PacedUnitGenerator(config.unit_generator)
        self.blendshape_decoder = BlendshapeDecoder(config.blendshape_decoder)
        for part in PARTS:
            _load(getattr(self, part), weights / f"{part}.safetensors")
        self.requires_grad_(False).eval()
        self.unit_generator.prepare_steps()
        self.model_hash = weights_hash(weights)
        self.data_hash = _data_hash(weights / "facts.json")
        self.phonemizer, self.vocoder = Phonemizer(), Vocoder(voice / "back.onnx")
        self.phonemizer.phonemes("ready")  # reads the lexicon now rather than in the first request
        self.whisper_folder, self.weights_folder = whisper, weights

    @cached_property
    def speech_features(self) -> SpeechFeatures:
        """The frozen speech encoder, loaded when the first recording comes."""
        return SpeechFeatures(self.whisper_folder())

    @cached_property
    def listening(self) -> CTCListenerWeights:
        """What puts speech into the LLM's embedding space, loaded when it is first needed."""
        return load_ctc_listener(self.weights_folder, self.config)

    @torch.inference_mode()
    def clause_units(
        self, phonemes: str, llm_states: torch.Tensor | None, *, seed: int, speed: float, sampling: SamplingConfig
    ) -> ClauseUnits:
        """Units of one clause.

        Args:
            phonemes: symbols of the voice's alphabet.
            llm_states: float32 [T_llm, D_llm], or None.
            seed: of the draws.
            speed: above 1 speaks faster.
            sampling: how units are drawn.
        """
        ids = torch.from_numpy(self.phonemizer.ids(phonemes))[None]
        mask = torch.ones_like(ids, dtype=torch.bool)
        generator = self.unit_generator
        states = None if llm_states is None or not len(llm_states) else llm_states[None]
        fused = generator.encode_text(ids, mask, states)
        durations = _whole_groups(generator.predict_durations(fused, mask, speed))
        made = generator.generate(generator.begin(fused, durations), [UnitSampler(sampling, seed)])
        return ClauseUnits(made.units[0], made.hidden_states[0], durations[0])

    def clause_samples(self, units: torch.Tensor, seed: int) -> np.ndarray:
        """Speech of a clause's units, float32 [T_unit * 1920], 24 kHz."""
        return self.vocoder(self.speech_decoder.decode(units).numpy(), seed)

    @torch.inference_mode()
    def clause_frames(
        self, clause: ClauseUnits, emotion: np.ndarray | None, llm_states: torch.Tensor | None
    ) -> np.ndarray:
        """Face of a clause, float32 [T_frame, 52] in 0..1.

        Args:
            clause: its units and states.
            emotion: float32 [5], or None to read it from the meaning.
            llm_states: of the clause's sentence so far, float32 [T_llm, D_llm]: its meaning; None if unknown.
        """
        given = {} if emotion is None else {"emotion": torch.from_numpy(emotion)[None]}
        if llm_states is not None and len(llm_states):
            given["llm_states"] = llm_states[None]
        face = self.blendshape_decoder(clause.units[None], clause.states[None], **given)
        return face.blendshapes[0].clamp(0, 1).numpy()

    @torch.inference_mode()
    def hear(self, features: torch.Tensor) -> torch.Tensor:
        """Units int64 [T_unit] of encoder features [T_50hz, D]; T_50hz a multiple of 4."""
        return self.unit_tokenizer(features.reshape(1, len(features) // ENCODER_FRAMES_PER_UNIT, -1)).ids[0]

    @torch.inference_mode()
    def recording_frames(self, units: torch.Tensor, first_unit: int, emotion: np.ndarray | None) -> np.ndarray:
        """Face of a recording's units, from the units alone, float32 [T_frame, 52] in 0..1."""
        given = {} if emotion is None else {"emotion": torch.from_numpy(emotion)[None]}
        face = self.blendshape_decoder(units[None], first_unit=first_unit, **given)
        return face.blendshapes[0].clamp(0, 1).numpy()


def _whole_groups(durations: torch.Tensor) -> torch.Tensor:
    """Durations [1, T_text] whose total is a whole number of groups; the closing silence gives or takes.

    The last symbol is the end mark, the one before it a pause where the clause ends in punctuation.
    """
    durations = durations.clone()
    spare = min(SHORTEN_TICKS, max(0, int(durations[0, -2]) - 2))
    total = int(durations.sum())
    change = -(-(total - spare) // GROUP_TICKS) * GROUP_TICKS - total
    durations[0, -1 if change > 0 else -2] += change
    return durations


def _data_hash(path: Path) -> str:
    try:
        return json.loads(path.read_text("utf-8"))["data"]
    except OSError as error:
        raise AssetError(f"{path.name} is missing in {path.parent}; reinstall exomni") from error
    except (ValueError, KeyError) as error:
        raise CheckpointError(f"{path.name} does not say what data the weights were trained on") from error


def _load(module: nn.Module, path: Path) -> None:
    if not path.is_file():
        raise AssetError(f"{path.name} is missing in {path.parent}; reinstall exomni or train it (see runs/)")
    try:
        module.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in load_file(path).items()})
    except (RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"{path.name} does not fit the configuration: {error}") from error
