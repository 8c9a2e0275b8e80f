"""Stage "speech": the unit tokenizer and the speech decoder, together, on the voice's acoustic channels."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ..core.errors import InputError
from ..core.timebase import UNIT_HZ, VOCODER_HZ, rescale_floor
from ..data import store
from ..model.config import SpeechDecoderConfig, UnitTokenizerConfig
from ..model.speech_decoder import SpeechDecoder
from ..model.unit_tokenizer import UnitTokenizer
from ..model.voice import ENERGY_CHANNEL, F0_CHANNEL

F0_WEIGHT, ENERGY_WEIGHT = 8.0, 4.0
"""Pitch and loudness are one channel each among 128 phonetic ones, and the ear weighs them more."""


class SpeechRows:
    """Features and acoustic channels of a data set, in memory at half precision.

    Args:
        folder: a data set with `speech` and `features` passes.
        split: "train", "validation" or "test".
        limit: most rows to read (0: all).
    """

    def __init__(self, folder: Path, split: str, limit: int = 0):
        self.features: list[np.ndarray] = []
        self.acoustic: list[np.ndarray] = []
        self.texts: list[str] = []
        for path in sorted((folder / "speech").glob("*.parquet")):
            heard = {r["id"]: r["features"] for r in store.read_shard(folder / "features" / path.name)}
            for row in store.read_shard(path, ["id", "text", "split", "acoustic", "disguised"]):
                if row["split"] == split and not (split != "train" and row["disguised"]):
                    self.features.append(heard[row["id"]])
                    self.acoustic.append(row["acoustic"])
                    self.texts.append(row["text"])
            if limit and len(self.features) >= limit:
                break

    def __len__(self) -> int:
        return len(self.features)


def crop(rows: SpeechRows, index: int, start: int, n_units: int) -> dict[str, torch.Tensor]:
    """Units start..start+n_units of a row, padded, with masks; start and n_units are multiples of 5."""
    features, acoustic = rows.features[index][start : start + n_units], rows.acoustic[index]
    n_frames = rescale_floor(n_units, UNIT_HZ, VOCODER_HZ)
    first = rescale_floor(start, UNIT_HZ, VOCODER_HZ)
    target = acoustic[:, first : first + n_frames].T
    out = {
        "features": np.zeros((n_units, features.shape[1]), np.float16), "mask": np.zeros(n_units, bool),
        "acoustic": np.zeros((n_frames, acoustic.shape[0]), np.float16), "frame_mask": np.zeros(n_frames, bool),
    }  # fmt: skip
    out["features"][: len(features)], out["mask"][: len(features)] = features, True
    out["acoustic"][: len(target)], out["frame_mask"][: len(target)] = target, True
    return {k: torch.from_numpy(v) for k, v in out.items()}


class SpeechTask:
    """Trains tokenizer and decoder end to end through the straight-through quantiser.

    Args:
        folder: the data set.
        tokenizer: configuration of the tokenizer.
        decoder: configuration of the decoder.
        crop_units: length of a training crop, a multiple of 5.
    """

    def __init__(
        self, folder: Path, tokenizer: UnitTokenizerConfig, decoder: SpeechDecoderConfig, crop_units: int = 50,
        seed: int = 0,
    ):  # fmt: skip
        torch.manual_seed(seed)
        self.rows, self.held_out = SpeechRows(folder, "train"), SpeechRows(folder, "validation")
        if not len(self.rows) or not len(self.held_out):
            raise InputError(f"{folder} has {len(self.rows)} rows to train on and {len(self.held_out)} to validate on")
        self.crop_units = crop_units
        self.tokenizer, self.decoder = UnitTokenizer(tokenizer), SpeechDecoder(decoder, tokenizer.levels)
        self.modules: dict[str, nn.Module] = {"tokenizer": self.tokenizer, "decoder": self.decoder}
        self._facts = {
            "tokenizer": tokenizer.model_dump(),
            "decoder": decoder.model_dump(),
            "rows": len(self.rows),
        }
        sample = np.concatenate([a.astype(np.float32) for a in self.rows.acoustic[:: max(1, len(self.rows) // 400)]], 1)
        self.decoder.mean.copy_(torch.from_numpy(sample.mean(1)))
        self.decoder.std.copy_(torch.from_numpy(sample.std(1) + 1e-4))
        self.weights = torch.ones(decoder.n_channels)
        self.weights[F0_CHANNEL], self.weights[ENERGY_CHANNEL] = F0_WEIGHT, ENERGY_WEIGHT
        self.weights /= self.weights.mean()
        self._lengths = torch.tensor([len(f) for f in self.rows.features], dtype=torch.float)

    def batch(self, generator: torch.Generator, size: int) -> dict[str, torch.Tensor]:
        """Crops of rows drawn in proportion to their length."""
        picks = torch.multinomial(self._lengths, size, replacement=True, generator=generator).tolist()
        crops = []
        for i in picks:
            room = max(0, len(self.rows.features[i]) - self.crop_units) // 5 + 1
            start = 5 * int(torch.randint(room, (1,), generator=generator))
            crops.append(crop(self.rows, i, start, self.crop_units))
        return {k: torch.stack([c[k] for c in crops]) for k in crops[0]}

    def losses(self, batch: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Absolute plus squared error of the standardised channels, pitch and energy weighted up."""
        tokens = self.tokenizer(batch["features"].float(), batch["mask"])
        predicted = self.decoder(tokens.codes, batch["mask"])
        target = (batch["acoustic"].float() - self.decoder.mean) / self.decoder.std
        keep = batch["frame_mask"][..., None].to(predicted.dtype)
        error = (predicted - target) * keep
        n = keep.sum() * predicted.shape[-1]
        weights = self.weights.to(error.device)
        absolute, squared = (error.abs() * weights).sum() / n, (error.square() * weights).sum() / n
        pitch = error[..., F0_CHANNEL].abs().sum() / keep.sum()
        return {"total": absolute + squared, "absolute": absolute, "pitch": pitch}

    def validate(self) -> dict[str, float]:
        """The same errors on whole held-out crops, and how much of the codebook is used."""
        device = next(self.decoder.parameters()).device
        picks = range(0, len(self.held_out), max(1, len(self.held_out) // 64))
        crops = [crop(self.held_out, i, 0, self.crop_units) for i in picks]
        batch = {k: torch.stack([c[k] for c in crops]).to(device) for k in crops[0]}
        ids = self.tokenizer(batch["features"].float(), batch["mask"]).ids[batch["mask"]]
        share = torch.bincount(ids, minlength=self.tokenizer.quantizer.n_codes).float() / len(ids)
        entropy = -(share * (share + 1e-12).log2()).sum()
        losses = {f"valid_{k}": float(v) for k, v in self.losses(batch).items()}
        return losses | {"unit_entropy_bits": float(entropy)}

    def facts(self) -> dict:
        """Configuration of what is trained."""
        return self._facts
