"""Mel spectrogram -> speech: a harmonic source, filtered, and turned into samples by an inverse STFT.

Source: Wang et al. 2019 (neural source-filter), Kaneko et al. 2022 (iSTFTNet), Ziyin et al. 2020 (snake),
arranged as in the published vocoder (HiFTNet, Li et al. 2023).
"""

import math
from dataclasses import dataclass
from functools import reduce
from itertools import accumulate
from operator import mul

import torch
from torch import Tensor, nn
from torch.nn import functional

from .flow_config import HiFTConfig

_EDGE_KERNEL = 7
_F0_LAYERS = 5
_MAX_MAGNITUDE = 100.0
_LAST_SLOPE = 0.01
_SNAKE_FLOOR = 1e-9


@dataclass(frozen=True)
class SourceNoise:
    """The randomness of the harmonic source.

    Attributes:
        phases: [B, nb_harmonics + 1] radians in -pi..pi; where each harmonic begins, 0 for the fundamental.
        noise: [B, nb_harmonics + 1, T_sample], standard normal.
    """

    phases: Tensor
    noise: Tensor


@dataclass(frozen=True)
class VocoderOutput:
    """Speech and what it was made from.

    Attributes:
        samples: [B, T_sample] float32 in -audio_limit..audio_limit.
        f0: [B, T_mel] Hz, >= 0.
        source: [B, 1, T_sample] in -1..1.
    """

    samples: Tensor
    f0: Tensor
    source: Tensor


class WeightNormConv(nn.Module):
    """Convolution like `conv`, whose weight is a direction `weight_v` with a length `weight_g`."""

    def __init__(self, conv: nn.Conv1d | nn.ConvTranspose1d) -> None:
        super().__init__()
        assert conv.bias is not None
        assert not isinstance(conv.padding, str)
        self.transposed = isinstance(conv, nn.ConvTranspose1d)
        self.stride, self.padding, self.dilation = conv.stride, conv.padding, conv.dilation
        direction = conv.weight.detach()
        self.weight_g = nn.Parameter(direction.norm(dim=(1, 2), keepdim=True))
        self.weight_v = nn.Parameter(direction)
        self.bias = nn.Parameter(conv.bias.detach())

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels in, T] -> [B, channels out, T']."""
        weight = self.weight_v * (self.weight_g / self.weight_v.norm(dim=(1, 2), keepdim=True))
        convolve = functional.conv_transpose1d if self.transposed else functional.conv1d
        return convolve(x, weight, self.bias, self.stride, self.padding, dilation=self.dilation)


def _same_conv(in_channels: int, out_channels: int, kernel: int, dilation: int = 1) -> WeightNormConv:
    """Convolution that keeps the length; `kernel` is odd."""
    padding = dilation * (kernel - 1) // 2
    return WeightNormConv(nn.Conv1d(in_channels, out_channels, kernel, dilation=dilation, padding=padding))


class Snake(nn.Module):
    """x + sin(alpha x)^2 / alpha, alpha learned for each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, T] -> the same shape."""
        alpha = self.alpha[:, None]
        return x + torch.sin(alpha * x).square() / (alpha + _SNAKE_FLOOR)


class SnakeResBlock(nn.Module):
    """Residual pairs of convolutions, the first of each pair dilated."""

    def __init__(self, channels: int, kernel: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.convs1 = nn.ModuleList(_same_conv(channels, channels, kernel, dilated) for dilated in dilations)
        self.convs2 = nn.ModuleList(_same_conv(channels, channels, kernel) for _ in dilations)
        self.activations1 = nn.ModuleList(Snake(channels) for _ in dilations)
        self.activations2 = nn.ModuleList(Snake(channels) for _ in dilations)

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, T] -> the same shape."""
        layers = zip(self.activations1, self.convs1, self.activations2, self.convs2, strict=True)
        for snake_1, conv_1, snake_2, conv_2 in layers:
            x = x + conv_2(snake_2(conv_1(snake_1(x))))
        return x


class F0Predictor(nn.Module):
    """Fundamental frequency of each mel frame."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for i in range(_F0_LAYERS):
            layers += [_same_conv(in_channels if i == 0 else channels, channels, 3), nn.ELU()]
        self.condnet = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, 1)

    def forward(self, mel: Tensor) -> Tensor:
        """[B, in_channels, T_mel] -> [B, T_mel] Hz, >= 0."""
        return self.classifier(self.condnet(mel).transpose(1, 2)).squeeze(-1).abs()


class HarmonicSource(nn.Module):
    """Sines at the multiples of f0 where speech is voiced, noise where it is not, mixed into one signal."""

    def __init__(self, config: HiFTConfig) -> None:
        super().__init__()
        self.config = config
        self.l_linear = nn.Linear(config.nb_harmonics + 1, 1)

    def forward(self, f0: Tensor, noise: SourceNoise) -> Tensor:
        """Excitation for the filter: f0 [B, T_mel] Hz -> [B, 1, T_mel * samples_per_mel_frame] in -1..1."""
        config = self.config
        f0 = f0.repeat_interleave(config.samples_per_mel_frame, dim=1)[:, None]
        multiples = torch.arange(1, config.nb_harmonics + 2, device=f0.device, dtype=f0.dtype)[:, None]
        # Cycles pile up into the thousands: float64 keeps the phase of long speech exact.
        cycles = (f0 * multiples / config.sampling_rate).double().cumsum(dim=-1)
        angles = (cycles % 1).to(f0.dtype) * (2 * math.pi) + noise.phases[..., None]
        voiced = (f0 > config.nsf_voiced_threshold).to(f0.dtype)
        noise_amplitude = voiced * config.nsf_sigma + (1 - voiced) * config.nsf_alpha / 3
        waves = voiced * config.nsf_alpha * angles.sin() + noise_amplitude * noise.noise
        return self.l_linear(waves.transpose(1, 2)).tanh().transpose(1, 2)


class HiFTVocoder(nn.Module):
    """Mel spectrogram -> speech."""

    def __init__(self, config: HiFTConfig) -> None:
        super().__init__()
        self.config = config
        widths = [config.base_channels // 2**i for i in range(len(config.upsample_rates) + 1)]
        self.m_source = HarmonicSource(config)
        self.f0_predictor = F0Predictor(config.in_channels, config.f0_cond_channels)
        self.conv_pre = _same_conv(config.in_channels, widths[0], _EDGE_KERNEL)
        self.ups, self.resblocks = nn.ModuleList(), nn.ModuleList()
        layers = zip(widths, widths[1:], config.upsample_rates, config.upsample_kernel_sizes, strict=False)
        for wide, narrow, rate, kernel in layers:
            up = nn.ConvTranspose1d(wide, narrow, kernel, stride=rate, padding=(kernel - rate) // 2)
            self.ups.append(WeightNormConv(up))
            shapes = zip(config.resblock_kernel_sizes, config.resblock_dilation_sizes, strict=True)
            self.resblocks.extend(SnakeResBlock(narrow, *shape) for shape in shapes)
        self.source_downs, self.source_resblocks = self._source_layers(widths[1:])
        self.conv_post = _same_conv(widths[-1], config.istft_params.n_fft + 2, _EDGE_KERNEL)

    def _source_layers(self, widths: list[int]) -> tuple[nn.ModuleList, nn.ModuleList]:
        """Layers that bring the source's spectrum to each stage's rate and width."""
        config, n_bins = self.config, self.config.istft_params.n_fft + 2
        factors = list(accumulate((1, *config.upsample_rates[:0:-1]), mul))[::-1]
        downs = nn.ModuleList(
            nn.Conv1d(n_bins, width, 1)
            if factor == 1
            else nn.Conv1d(n_bins, width, 2 * factor, stride=factor, padding=factor // 2)
            for width, factor in zip(widths, factors, strict=True)
        )
        kernels, dilations = config.source_resblock_kernel_sizes, config.source_resblock_dilation_sizes
        return downs, nn.ModuleList(map(SnakeResBlock, widths, kernels, dilations))

    def draw_noise(self, n_mel_frames: int, generator: torch.Generator) -> SourceNoise:
        """Randomness for one utterance of `n_mel_frames`, on the generator's device."""
        n_waves, n_samples = self.config.nb_harmonics + 1, n_mel_frames * self.config.samples_per_mel_frame
        phases = (2 * torch.rand(1, n_waves, generator=generator, device=generator.device) - 1) * math.pi
        phases[:, 0] = 0
        noise = torch.randn(1, n_waves, n_samples, generator=generator, device=generator.device)
        return SourceNoise(phases, noise)

    def _window(self, like: Tensor) -> Tensor:
        return torch.hann_window(self.config.istft_params.n_fft, dtype=like.dtype, device=like.device)

    def _spectrum(self, source: Tensor) -> Tensor:
        """[B, 1, T_sample] -> [B, n_fft + 2, T_sample / hop + 1], real parts then imaginary parts."""
        istft = self.config.istft_params
        window = self._window(source)
        spectrum = torch.stft(source[:, 0], istft.n_fft, istft.hop_len, window=window, return_complex=True)
        return torch.cat((spectrum.real, spectrum.imag), dim=1)

    def _inverse(self, log_magnitude: Tensor, phase: Tensor) -> Tensor:
        """Two [B, n_fft / 2 + 1, T] -> samples [B, (T - 1) hop]."""
        istft = self.config.istft_params
        spectrum = torch.polar(log_magnitude.exp().clamp(max=_MAX_MAGNITUDE), phase)
        return torch.istft(spectrum, istft.n_fft, istft.hop_len, window=self._window(phase))

    def synthesize(self, mel: Tensor, source: Tensor) -> Tensor:
        """Filter a source with a mel spectrogram.

        Args:
            mel: [B, in_channels, T_mel].
            source: [B, 1, T_mel * samples_per_mel_frame].
        Returns:
            [B, T_sample] float32 in -audio_limit..audio_limit.
        """
        config, n_kernels = self.config, len(self.config.resblock_kernel_sizes)
        spectrum, x = self._spectrum(source), self.conv_pre(mel)
        for i, up in enumerate(self.ups):
            x = up(functional.leaky_relu(x, config.lrelu_slope))
            if i == len(self.ups) - 1:
                # The spectrum of n hops has n + 1 columns.
                x = functional.pad(x, (1, 0), mode="reflect")
            x = x + self.source_resblocks[i](self.source_downs[i](spectrum))
            blocks = self.resblocks[i * n_kernels : (i + 1) * n_kernels]
            x = reduce(torch.add, (block(x) for block in blocks)) / n_kernels
        log_magnitude, phase = self.conv_post(functional.leaky_relu(x, _LAST_SLOPE)).chunk(2, dim=1)
        return self._inverse(log_magnitude, phase.sin()).clamp(-config.audio_limit, config.audio_limit)

    def forward(self, mel: Tensor, noise: SourceNoise) -> VocoderOutput:
        """Speak a mel spectrogram [B, in_channels, T_mel]: T_mel * samples_per_mel_frame samples."""
        f0 = self.f0_predictor(mel)
        source = self.m_source(f0, noise)
        return VocoderOutput(self.synthesize(mel, source), f0, source)
