"""Whisper encoder features of real length: what the unit tokenizer reads.

The published code pads every clip to 30 s; features here cost what the clip is long (our choice). Long clips are
read in windows that overlap, so memory stays flat.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ...core.timebase import ENCODER_FRAMES_PER_UNIT, ENCODER_HZ, ENCODER_SAMPLE_HZ, exact_ratio
from ...model.speech_encoder import log_mel, mel_filters

N_MELS = 80
SAMPLES_PER_ENCODER_FRAME = exact_ratio(ENCODER_SAMPLE_HZ, ENCODER_HZ)
WINDOW_UNITS = 150
"""Units (12 s) that are encoded at once; the encoder's own limit is 30 s."""
OVERLAP_UNITS = 12
"""Units on each side of a window that only give context."""


class SpeechFeatures(nn.Module):
    """Frozen Whisper encoder at real length.

    Args:
        folder: holds `encoder.safetensors`, whose shapes tell the sizes.
    """

    filters: torch.Tensor

    def __init__(self, folder: Path):
        super().__init__()
        from safetensors.torch import load_file
        from transformers import WhisperConfig
        from transformers.models.whisper.modeling_whisper import WhisperEncoder

        state = load_file(folder / "encoder.safetensors")
        d_model = state["conv1.weight"].shape[0]
        n_layers = 1 + max(int(k.split(".")[1]) for k in state if k.startswith("layers."))
        config = WhisperConfig(
            d_model=d_model, encoder_layers=n_layers, encoder_attention_heads=d_model // 64, num_mel_bins=N_MELS,
            encoder_ffn_dim=state["layers.0.fc1.weight"].shape[0],
        )  # fmt: skip
        with torch.device("meta"):
            self.encoder = WhisperEncoder(config)
        self.encoder.load_state_dict(state, strict=True, assign=True)
        self.encoder.requires_grad_(False).eval()
        self.register_buffer("filters", mel_filters(N_MELS), persistent=False)
        self.d_model = d_model

    @torch.inference_mode()
    def forward(self, samples: np.ndarray) -> torch.Tensor:
        """Features of a clip.

        Args:
            samples: float32 [N] at 16 kHz, at most 30 s.
        Returns:
            float32 [T_50hz, D]; T_50hz is a multiple of 4 that covers the clip.
        """
        n_units = max(1, -(-len(samples) // (SAMPLES_PER_ENCODER_FRAME * ENCODER_FRAMES_PER_UNIT)))
        n_frames = n_units * ENCODER_FRAMES_PER_UNIT
        padded = torch.zeros(n_frames * SAMPLES_PER_ENCODER_FRAME)
        padded[: len(samples)] = torch.from_numpy(np.ascontiguousarray(samples, np.float32))
        encoder = self.encoder
        hidden = nn.functional.gelu(encoder.conv1(log_mel(padded, self.filters)[None]))
        hidden = nn.functional.gelu(encoder.conv2(hidden)).transpose(1, 2)
        hidden = hidden + encoder.embed_positions.weight[:n_frames]
        for layer in encoder.layers:
            out = layer(hidden, None)
            hidden = out[0] if isinstance(out, tuple) else out
        return encoder.layer_norm(hidden)[0]

    def long(self, pieces: Iterable[np.ndarray]) -> Iterator[torch.Tensor]:
        """Features of a clip of any length, window by window, each as soon as enough of the clip is known.

        Args:
            pieces: float32 [n] each, at 16 kHz, that follow each other; how the clip is cut up changes nothing.
        Yields:
            float32 [T_50hz, D] pieces that follow each other; together they cover the clip.
        """
        per_unit = SAMPLES_PER_ENCODER_FRAME * ENCODER_FRAMES_PER_UNIT
        step = WINDOW_UNITS - 2 * OVERLAP_UNITS
        held, first_unit, start = np.zeros(0, np.float32), 0, 0
        for piece in pieces:
            held = np.concatenate([held, piece])
            # While more follows than one window takes, this one is not the last.
            while len(held) > (start - first_unit + step + OVERLAP_UNITS) * per_unit:
                stop = start + step
                features = self(held[: (stop + OVERLAP_UNITS - first_unit) * per_unit])
                begin = (start - first_unit) * ENCODER_FRAMES_PER_UNIT
                yield features[begin : begin + step * ENCODER_FRAMES_PER_UNIT]
                held = held[(stop - OVERLAP_UNITS - first_unit) * per_unit :]
                first_unit, start = stop - OVERLAP_UNITS, stop
        yield self(held)[(start - first_unit) * ENCODER_FRAMES_PER_UNIT :]
