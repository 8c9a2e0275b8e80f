"""Speech units -> mel spectrogram, by conditional flow matching.

Source: Lipman et al. 2023 (flow matching), Ho and Salimans 2022 (classifier-free guidance), arranged as published.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...core.errors import InputError
from .estimator import VelocityEstimator
from .flow_config import FlowConfig, LengthRegulatorConfig, SolverConfig, units_to_mel_frames
from .flow_encoder import FlowEncoder


@dataclass(frozen=True)
class SpeechPrompt:
    """Speech to carry on from, in both of its forms.

    Attributes:
        units: [T_unit] int64.
        mel: [T_mel, n_mels] float32, natural-log mel of the same speech.
    """

    units: Tensor
    mel: Tensor


@dataclass(frozen=True)
class FlowConditions:
    """What the flow is told, and never changes while it is integrated.

    Attributes:
        means: [1, n_mels, T_mel], prompt first.
        speaker: [1, n_mels].
        prompt_mel: [1, n_mels, T_mel], zero after the prompt.
        n_prompt_frames: mel frames of the prompt, >= 0.
    """

    means: Tensor
    speaker: Tensor
    prompt_mel: Tensor
    n_prompt_frames: int


class LengthRegulator(nn.Module):
    """Stretch hidden states from the units' rate to the mel's."""

    def __init__(self, config: LengthRegulatorConfig) -> None:
        super().__init__()
        width = config.channels
        layers: list[nn.Module] = []
        for _ in config.sampling_ratios:
            layers += [nn.Conv1d(width, width, 3, padding=1), nn.GroupNorm(1, width), nn.Mish()]
        self.model = nn.Sequential(*layers, nn.Conv1d(width, width, 1))

    def forward(self, x: Tensor, n_frames: int) -> Tensor:
        """[B, T_unit, channels] -> [B, channels, n_frames]."""
        return self.model(functional.interpolate(x.transpose(1, 2), size=n_frames, mode="nearest"))


class FlowSolver(nn.Module):
    """Integrates the estimated velocity from noise to mel."""

    def __init__(self, config: FlowConfig) -> None:
        super().__init__()
        self.config: SolverConfig = config.cfm
        self.estimator = VelocityEstimator(config.estimator)

    def times(self) -> Tensor:
        """Where the steps begin, and where the last one ends: [n_timesteps + 1] float32, 0 to 1."""
        times = torch.linspace(0, 1, self.config.n_timesteps + 1)
        if self.config.t_scheduler == "cosine":
            return 1 - torch.cos(times * 0.5 * math.pi)
        return times

    def velocities(self, x: Tensor, time: float, conditions: FlowConditions) -> tuple[Tensor, Tensor]:
        """Velocity at `x` [1, n_mels, T_mel], with and without the conditions."""

        def with_blank(condition: Tensor) -> Tensor:
            return torch.cat((condition, torch.zeros_like(condition)))

        both = self.estimator(
            x.expand(2, -1, -1),
            with_blank(conditions.means),
            torch.full((2,), time, device=x.device),
            with_blank(conditions.speaker),
            with_blank(conditions.prompt_mel),
        )
        return both[:1], both[1:]

    def forward(self, noise: Tensor, conditions: FlowConditions) -> Tensor:
        """Euler steps with classifier-free guidance: noise [1, n_mels, T_mel] -> mel of the same shape."""
        x, guidance = noise, self.config.inference_cfg_rate
        times = self.times().tolist()
        for begin, end in pairwise(times):
            conditional, unconditional = self.velocities(x, begin, conditions)
            x = x + (end - begin) * ((1 + guidance) * conditional - guidance * unconditional)
        return x


class FlowDecoder(nn.Module):
    """Speech units -> mel spectrogram."""

    def __init__(self, config: FlowConfig) -> None:
        super().__init__()
        self.config = config
        self.input_embedding = nn.Embedding(config.vocab_size, config.input_size)
        self.spk_embed_affine_layer = nn.Linear(config.spk_embed_dim, config.n_mels)
        self.encoder = FlowEncoder(config.input_size, config.encoder)
        self.encoder_proj = nn.Linear(config.encoder.output_size, config.n_mels)
        self.decoder = FlowSolver(config)
        self.length_regulator = LengthRegulator(config.length_regulator)

    def n_frames(self, n_units: int, prompt: SpeechPrompt | None = None) -> int:
        """Mel frames that the flow runs over, the prompt's included; the noise must have as many."""
        return units_to_mel_frames(n_units) + (0 if prompt is None else prompt.mel.shape[0])

    def _check(self, units: Tensor, speaker: Tensor | None, prompt: SpeechPrompt | None) -> None:
        width, n_mels = self.config.spk_embed_dim, self.config.n_mels
        for ids in (units,) if prompt is None else (units, prompt.units):
            if ids.ndim != 1 or len(ids) == 0:
                raise InputError(f"speech units are a list of at least one id, not of shape {list(ids.shape)}")
            if int(ids.min()) < 0 or int(ids.max()) >= self.config.vocab_size:
                raise InputError(f"speech unit ids must lie in 0..{self.config.vocab_size - 1}")
        if speaker is not None and speaker.shape != (width,):
            raise InputError(f"a speaker embedding has shape [{width}], not {list(speaker.shape)}")
        if prompt is not None and (prompt.mel.ndim != 2 or prompt.mel.shape[1] != n_mels):
            raise InputError(f"a prompt's mel has shape [T_mel, {n_mels}], not {list(prompt.mel.shape)}")

    def condition(self, units: Tensor, speaker: Tensor | None, prompt: SpeechPrompt | None) -> FlowConditions:
        """Encode what the flow is told.

        Args:
            units: [T_unit] int64, 0..vocab_size - 1, at least one.
            speaker: [spk_embed_dim], any scale; None is zeros, which leaves the weights' own voice.
            prompt: speech to carry on from, or None.
        Returns:
            The conditions over prompt and units.
        Raises:
            InputError: an empty list, an unknown id or a wrong shape.
        """
        self._check(units, speaker, prompt)
        if speaker is None:
            speaker = self.encoder_proj.weight.new_zeros(self.config.spk_embed_dim)
        n_frames = self.n_frames(len(units), prompt)
        if prompt is not None:
            units = torch.cat((prompt.units, units))
        hidden = self.encoder_proj(self.encoder(self.input_embedding(units[None])))
        means = self.length_regulator(hidden, n_frames)
        prompt_mel = torch.zeros_like(means)
        n_prompt_frames = 0 if prompt is None else prompt.mel.shape[0]
        if prompt is not None:
            prompt_mel[0, :, :n_prompt_frames] = prompt.mel.T
        projected = self.spk_embed_affine_layer(functional.normalize(speaker[None], dim=1))
        return FlowConditions(means, projected, prompt_mel, n_prompt_frames)

    def forward(
        self, units: Tensor, noise: Tensor, speaker: Tensor | None = None, prompt: SpeechPrompt | None = None
    ) -> Tensor:
        """Decode one utterance.

        Args:
            units, speaker, prompt: as in `condition`.
            noise: [1, n_mels, n_frames(T_unit, prompt)], standard normal.
        Returns:
            The mel of `units` alone, natural log, [1, n_mels, floor(T_unit * 441 / 64)] float32.
        Raises:
            InputError: as in `condition`.
        """
        conditions = self.condition(units, speaker, prompt)
        return self.decoder(noise, conditions)[..., conditions.n_prompt_frames :]
