"""The published speech decoder as one thing: a folder of weights in, speech out."""

import pickle
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from ...core.errors import AssetError, CheckpointError
from ..published_layout import Rules, load_strictly
from .flow import FlowDecoder, SpeechPrompt
from .flow_config import PublishedDecoderConfig
from .vocoder import HiFTVocoder, SourceNoise

FLOW_FILE = "flow.pt"
HIFT_FILE = "hift.pt"
SAME_NAMES: Rules = (("", ""),)
"""Our modules are named as the published ones."""


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read a plain torch state dict, without running any code that it may hold.

    Raises:
        AssetError: there is no such file.
        CheckpointError: it is not a state dict.
    """
    if not path.is_file():
        raise AssetError(f"{path} is missing; put the published speech decoder's {path.name} there")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise CheckpointError(f"{path} cannot be read as a torch state dict: {error}") from error
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise CheckpointError(f"{path} holds something other than a plain state dict of tensors")
    return state


class PublishedSpeechDecoder(nn.Module):
    """Speech units -> 22.05 kHz speech, with the published weights. Frozen: it is never trained here."""

    def __init__(self, config: PublishedDecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.flow = FlowDecoder(config.flow)
        self.hift = HiFTVocoder(config.hift)

    @classmethod
    def from_folder(cls, folder: Path, config: PublishedDecoderConfig | None = None) -> Self:
        """Open a folder with `flow.pt` and `hift.pt`.

        Args:
            folder: where the two files lie.
            config: sizes; None for those of the released weights.
        Raises:
            AssetError: a file is missing.
            CheckpointError: a file cannot be read, or a key is missing, surplus or misshapen.
        """
        with torch.device("meta"):
            decoder = cls(config or PublishedDecoderConfig())
        for module, name in ((decoder.flow, FLOW_FILE), (decoder.hift, HIFT_FILE)):
            path = Path(folder) / name
            state = read_state_dict(path)
            try:
                load_strictly(module, state, SAME_NAMES)
            except CheckpointError as error:
                raise CheckpointError(f"{path}: {error}") from None
        return decoder.requires_grad_(False).eval()

    @property
    def sample_hz(self) -> int:
        """Samples a second of what `decode` returns."""
        return self.config.hift.sampling_rate

    @torch.inference_mode()
    def decode(
        self,
        units: Tensor,
        generator: torch.Generator,
        speaker: Tensor | None = None,
        prompt: SpeechPrompt | None = None,
    ) -> Tensor:
        """Speak one utterance.

        Args:
            units: [T_unit] int64, 0..16383, at least one.
            generator: where all noise comes from; the same seed gives the same speech.
            speaker: [192], any scale; None is zeros, which leaves the weights' own voice.
            prompt: speech to carry on from, or None.
        Returns:
            [T_sample] float32 in -0.99..0.99 at `sample_hz`, floor(T_unit * 441 / 64) * 256 samples.
        Raises:
            InputError: an empty list, an unknown id or a wrong shape.
        """
        device = self.flow.encoder_proj.weight.device
        units = units.to(device)
        speaker = None if speaker is None else speaker.to(device)
        if prompt is not None:
            prompt = SpeechPrompt(prompt.units.to(device), prompt.mel.to(device))
        shape = (1, self.config.flow.n_mels, self.flow.n_frames(units.numel(), prompt))
        noise = torch.randn(shape, generator=generator, device=generator.device).to(device)
        mel = self.flow(units, noise, speaker, prompt)
        drawn = self.hift.draw_noise(mel.shape[-1], generator)
        source_noise = SourceNoise(drawn.phases.to(device), drawn.noise.to(device))
        return self.hift(mel, source_noise).samples[0]
