"""The CTC listener of `nano`: speech as vectors in the LLM's embedding space, ten a second, scored as its tokens."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ..core.errors import AssetError, CheckpointError
from .config import OmniConfig, SpeechProjectorConfig
from .speech_projector import SpeechProjector

BLANK = 0
"""Place of the blank among the scores; token i of the table stands at i + 1."""
LISTENER_FILE = "listening.safetensors"
ADAPTERS = "adapters."
LARGEST_CODE = 127


class CTCListener(nn.Module):
    """The speech projector with a CTC head: a learned blank, and one temperature for all distances.

    The score of a token is the negative squared distance to its word embedding, so clear speech is projected to where
    the LLM expects that word.

    Source:
        The projector is the paper's; the blank and the scoring by distance are our choice.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, d_encoder: int, d_llm: int, config: SpeechProjectorConfig) -> None:
        super().__init__()
        self.projector = SpeechProjector(d_encoder, d_llm, config)
        self.blank = nn.Parameter(torch.zeros(d_llm))
        self.log_sharpness = nn.Parameter(torch.tensor(0.7))
        self.register_buffer("mean", torch.zeros(d_encoder))
        self.register_buffer("std", torch.ones(d_encoder))

    def forward(self, frames: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Encoder frames [B, T, D_encoder], 50 a second, to vectors [B, T // 5, D_llm], ten a second.

        `lengths` are the frames of each clip, int [B]; None: all are T long.
        """
        return self.projector((frames - self.mean) / self.std, lengths)

    def scores(self, vectors: Tensor, table: Tensor) -> Tensor:
        """Log-probabilities up to a constant of each vector, [..., 1 + V]: the blank, then the table's tokens."""
        rows = torch.cat([self.blank[None], table])
        return self.log_sharpness.exp() * (vectors @ rows.T - 0.5 * rows.square().sum(-1))

    def greedy_tokens(self, vectors: Tensor, table: Tensor) -> Tensor:
        """The likeliest token at each step of a clip, blanks dropped and repeats merged; rows of the table, int64."""
        runs = torch.unique_consecutive(self.scores(vectors, table).argmax(-1))
        return runs[runs != BLANK] - 1


@dataclass(frozen=True)
class CTCListenerWeights:
    """The CTC listener with everything that was trained beside it.

    Attributes:
        listener: the projector and its CTC head.
        known: ids of the tokens that speech can be transcribed as, int64 [V].
        adapters: low-rank adapters of the LLM, float32 by name; none where they were not trained.
    """

    listener: CTCListener
    known: np.ndarray
    adapters: dict[str, np.ndarray]


def save_ctc_listener(path: Path, state: dict[str, Tensor], known: Tensor, adapters: dict[str, Tensor]) -> int:
    """Write the weights as they ship: matrices as 8-bit codes with a scale for each row, all else at half precision.

    Args:
        path: of the file.
        state: of a `CTCListener`.
        known: ids of the tokens that speech can be transcribed as.
        adapters: of the LLM, by name.
    Returns:
        Bytes written.
    """
    from safetensors.torch import save_file

    tensors = {f"{ADAPTERS}{k}": v.half().contiguous() for k, v in adapters.items()} | {"known": known.int()}
    for key, value in state.items():
        if value.dim() == 2:
            scale = value.abs().amax(1, keepdim=True).clamp_min(1e-8) / LARGEST_CODE
            tensors |= {f"{key}.codes": (value / scale).round().to(torch.int8), f"{key}.scales": scale.float()}
        else:
            tensors[key] = value.half() if value.dim() else value.float()
    save_file({k: v.contiguous() for k, v in tensors.items()}, path)
    return path.stat().st_size


def load_ctc_listener(folder: Path, config: OmniConfig) -> CTCListenerWeights:
    """Read what `save_ctc_listener` wrote.

    Raises:
        AssetError: the weights have no listener.
        CheckpointError: they do not fit the configuration.
    """
    listener = CTCListener(config.speech_encoder.d_model, config.language_model.d_model, config.speech_projector)
    state, known, adapters = read_ctc_listener(folder)
    try:
        listener.load_state_dict(state)
    except RuntimeError as error:
        raise CheckpointError(f"{folder / LISTENER_FILE} does not fit the configuration: {error}") from error
    numbers = {k: v.numpy() for k, v in adapters.items()}
    return CTCListenerWeights(listener.requires_grad_(False).eval(), known.numpy().astype(np.int64), numbers)


def read_ctc_listener(folder: Path) -> tuple[dict[str, Tensor], Tensor, dict[str, Tensor]]:
    """What `save_ctc_listener` was given, in float32: the listener's state, the known ids, the adapters.

    Raises:
        AssetError: the weights have no listener.
        CheckpointError: the file is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = folder / LISTENER_FILE
    if not path.is_file():
        raise AssetError(
            f"{LISTENER_FILE} is missing in {folder}: these weights cannot listen natively; use --listen transcribe"
        )
    try:
        tensors = load_file(path)
        known = tensors.pop("known")
        for key in [k.removesuffix(".codes") for k in tensors if k.endswith(".codes")]:
            tensors[key] = tensors.pop(f"{key}.codes").float() * tensors.pop(f"{key}.scales")
    except (SafetensorError, KeyError, RuntimeError) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error
    adapters = {k.removeprefix(ADAPTERS): tensors.pop(k).float() for k in list(tensors) if k.startswith(ADAPTERS)}
    return {k: v.float() for k, v in tensors.items()}, known, adapters
