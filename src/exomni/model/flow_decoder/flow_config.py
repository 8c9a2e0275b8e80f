"""Sizes of the published speech decoder; the defaults are those of the released weights.

Field names are the published configuration's own. A field with a single allowed value names the only structure that is
built here: a configuration that asks for another is refused instead of being misread.
"""

import math
from fractions import Fraction
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ...core.configuration import StrictConfig
from ...core.timebase import UNIT_HZ, rescale_floor
from ..config import Size

MEL_SAMPLE_HZ = 22_050
"""Samples a second of the speech behind the published mel spectrograms."""
MEL_HOP_SAMPLES = 256
"""Samples from one mel frame to the next."""
MEL_HZ = Fraction(MEL_SAMPLE_HZ, MEL_HOP_SAMPLES)
"""Mel frames a second, about 86.1."""

N_GROUPS = 8
"""Groups of the estimator's group norms."""

Positive = Annotated[float, Field(gt=0)]


def units_to_mel_frames(n_units: int) -> int:
    """Mel frames of `n_units` speech units: floor(n * 441 / 64)."""
    return rescale_floor(n_units, UNIT_HZ, MEL_HZ)


class FlowEncoderConfig(StrictConfig):
    """Transformer over speech units, with relative positions and attention by blocks of units."""

    output_size: Size = 512
    attention_heads: Size = 8
    linear_units: Size = 2048
    num_blocks: Size = 6
    block_size: Size = 10
    pos_enc_layer_type: Literal["rel_pos_espnet"] = "rel_pos_espnet"
    selfattention_layer_type: Literal["block_rel_selfattn"] = "block_rel_selfattn"
    input_layer: Literal["linear"] = "linear"
    normalize_before: Literal[True] = True
    macaron_style: Literal[False] = False
    use_cnn_module: Literal[False] = False

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.output_size % (2 * self.attention_heads):
            raise ValueError("output_size must be even and a multiple of attention_heads")
        return self


class LengthRegulatorConfig(StrictConfig):
    """Convolutions over the hidden states once they run at the mel's rate; one for each ratio."""

    channels: Size = 80
    sampling_ratios: tuple[Literal[1], ...] = (1, 1, 1, 1)


class EstimatorConfig(StrictConfig):
    """U-Net that estimates the flow's velocity."""

    in_channels: Size = 320
    out_channels: Size = 80
    channels: Annotated[tuple[Size, ...], Field(min_length=1)] = (256, 256)
    attention_head_dim: Size = 64
    n_blocks: Size = 4
    num_mid_blocks: Size = 12
    num_heads: Size = 8
    act_fn: Literal["gelu"] = "gelu"
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.in_channels != 4 * self.out_channels:
            raise ValueError("in_channels must be four times out_channels: noisy mel, means, speaker, prompt")
        if any(width % N_GROUPS for width in self.channels):
            raise ValueError(f"channels must be multiples of {N_GROUPS}, the groups of each group norm")
        return self

    @property
    def time_channels(self) -> int:
        """Width of the embedding of the flow's time."""
        return 4 * self.channels[0]


class SolverConfig(StrictConfig):
    """How the flow is integrated from noise to mel."""

    solver: Literal["euler"] = "euler"
    t_scheduler: Literal["cosine", "linear"] = "cosine"
    inference_cfg_rate: Annotated[float, Field(ge=0)] = 0.7
    n_timesteps: Size = 10


class FlowConfig(StrictConfig):
    """Speech units -> mel spectrogram."""

    input_size: Size = 512
    vocab_size: Size = 16_384
    spk_embed_dim: Size = 192
    encoder: FlowEncoderConfig = FlowEncoderConfig()
    length_regulator: LengthRegulatorConfig = LengthRegulatorConfig()
    estimator: EstimatorConfig = EstimatorConfig()
    cfm: SolverConfig = SolverConfig()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.length_regulator.channels != self.estimator.out_channels:
            raise ValueError("length_regulator.channels and estimator.out_channels must both be the mel bins")
        return self

    @property
    def n_mels(self) -> int:
        """Mel bins."""
        return self.estimator.out_channels


class IstftConfig(StrictConfig):
    """The short Fourier transform that ends the vocoder."""

    n_fft: Size = 16
    hop_len: Size = 4


class HiFTConfig(StrictConfig):
    """Mel spectrogram -> speech: harmonic source, upsampling filter, inverse Fourier transform."""

    in_channels: Size = 80
    base_channels: Size = 512
    f0_cond_channels: Size = 512
    nb_harmonics: Annotated[int, Field(ge=0)] = 8
    sampling_rate: Size = MEL_SAMPLE_HZ
    nsf_alpha: Positive = 0.1
    nsf_sigma: Positive = 0.003
    nsf_voiced_threshold: Positive = 10.0
    upsample_rates: tuple[Size, ...] = (8, 8)
    upsample_kernel_sizes: tuple[Size, ...] = (16, 16)
    istft_params: IstftConfig = IstftConfig()
    resblock_kernel_sizes: tuple[Size, ...] = (3, 7, 11)
    resblock_dilation_sizes: tuple[tuple[Size, ...], ...] = ((1, 3, 5), (1, 3, 5), (1, 3, 5))
    source_resblock_kernel_sizes: tuple[Size, ...] = (7, 11)
    source_resblock_dilation_sizes: tuple[tuple[Size, ...], ...] = ((1, 3, 5), (1, 3, 5))
    lrelu_slope: Positive = 0.1
    audio_limit: Positive = 0.99

    @model_validator(mode="after")
    def _check(self) -> Self:
        n_stages = len(self.upsample_rates)
        sources = ("source_resblock_kernel_sizes", "source_resblock_dilation_sizes")
        for name in ("upsample_kernel_sizes", *sources):
            if len(getattr(self, name)) != n_stages:
                raise ValueError(f"{name} needs one entry for each upsample rate")
        if len(self.resblock_dilation_sizes) != len(self.resblock_kernel_sizes):
            raise ValueError("resblock_dilation_sizes needs one entry for each resblock kernel")
        return self

    @property
    def samples_per_mel_frame(self) -> int:
        """Samples that one mel frame becomes."""
        return self.istft_params.hop_len * math.prod(self.upsample_rates)


class PublishedDecoderConfig(StrictConfig):
    """Both halves of the published speech decoder."""

    flow: FlowConfig = FlowConfig()
    hift: HiFTConfig = HiFTConfig()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.hift.in_channels != self.flow.n_mels:
            raise ValueError("hift.in_channels must be the flow's mel bins")
        if Fraction(self.hift.sampling_rate, self.hift.samples_per_mel_frame) != MEL_HZ:
            raise ValueError(f"the vocoder must take {MEL_SAMPLE_HZ} / {MEL_HOP_SAMPLES} frames a second")
        return self
