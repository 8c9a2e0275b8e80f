"""Stage "speech": the unit tokenizer and the speech decoder, together, on the voice's acoustic channels."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from ..core.errors import InputError
from ..core.timebase import FRAMES_PER_TICK, UNIT_HZ, VOCODER_HZ, rescale_floor
from ..data import store
from ..model.acoustics import ENERGY_CHANNEL, F0_CHANNEL
from ..model.config import SpeechDecoderConfig, UnitTokenizerConfig
from ..model.speech_decoder import GROUP_UNITS, N_PHONETIC, SpeechDecoder
from ..model.tokens import IGNORE_INDEX
from ..model.unit_tokenizer import UnitTokenizer
from .losses import token_loss

PITCH_WEIGHT, VOICING_WEIGHT, ENERGY_WEIGHT, PHONEME_WEIGHT = 0.3, 0.3, 0.1, 0.6
"""Of each loss beside that of the phonetic channels, whose weight is 1."""
VOICED = 0.5
"""The pitch channel is near 1 where there is voice and near 0 where there is none."""


class SpeechRows:
    """Features and acoustic channels of a split of a data set, in memory at half precision."""

    def __init__(self, folder: Path, split: str):
        self.features: list[np.ndarray] = []
        self.acoustic: list[np.ndarray] = []
        self.phonemes: list[np.ndarray] = []
        for path in sorted((folder / "speech").glob("*.parquet")):
            features = {r["id"]: r["features"] for r in store.read_shard(folder / "features" / path.name)}
            for row in store.read_shard(path, ["id", "split", "acoustic", "disguised", "phonemes", "ticks"]):
                if row["split"] == split and not (split != "train" and row["disguised"]):
                    self.features.append(features[row["id"]])
                    self.acoustic.append(row["acoustic"])
                    self.phonemes.append(phonemes_of_ticks(row["phonemes"], row["ticks"], row["acoustic"].shape[1]))

    def __len__(self) -> int:
        return len(self.features)


def phonemes_of_ticks(phonemes: np.ndarray, durations: np.ndarray, n_frames: int) -> np.ndarray:
    """Which phoneme each tick of a row belongs to, int16 [n_frames // 2].

    Args:
        phonemes: ids [T_text].
        durations: of each, in ticks, as the voice spoke; a disguise may have stretched the row since.
        n_frames: acoustic frames of the row.
    """
    n_ticks = n_frames // FRAMES_PER_TICK
    ends = np.cumsum(durations.astype(int))
    spoken_at = (np.arange(n_ticks) + 0.5) * ends[-1] * FRAMES_PER_TICK / n_frames
    return phonemes[np.minimum(np.searchsorted(ends, spoken_at, side="right"), len(phonemes) - 1)].astype(np.int16)


def crop(rows: SpeechRows, index: int, start: int, n_units: int) -> dict[str, torch.Tensor]:
    """Units start..start+n_units of a row, padded, with masks; start and n_units are multiples of `GROUP_UNITS`."""
    features, acoustic = rows.features[index][start : start + n_units], rows.acoustic[index]
    n_frames = rescale_floor(n_units, UNIT_HZ, VOCODER_HZ)
    first = rescale_floor(start, UNIT_HZ, VOCODER_HZ)
    target = acoustic[:, first : first + n_frames].T
    phonemes = rows.phonemes[index][first // FRAMES_PER_TICK : (first + n_frames) // FRAMES_PER_TICK]
    out = {
        "features": np.zeros((n_units, features.shape[1]), np.float16), "mask": np.zeros(n_units, bool),
        "acoustic": np.zeros((n_frames, acoustic.shape[0]), np.float16), "frame_mask": np.zeros(n_frames, bool),
        "phonemes": np.full(n_frames // FRAMES_PER_TICK, IGNORE_INDEX),
    }  # fmt: skip
    out["features"][: len(features)], out["mask"][: len(features)] = features, True
    out["acoustic"][: len(target)], out["frame_mask"][: len(target)] = target, True
    out["phonemes"][: len(phonemes)] = phonemes
    return {k: torch.from_numpy(v) for k, v in out.items()}


class SpeechTask:
    """Trains tokenizer and decoder end to end through the straight-through quantiser.

    `crop_units`, the length of a training crop, is a multiple of `GROUP_UNITS`.
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
        self._facts = {"tokenizer": tokenizer.model_dump(), "decoder": decoder.model_dump(), "rows": len(self.rows)}
        sample = np.concatenate([a.astype(np.float32) for a in self.rows.acoustic[:: max(1, len(self.rows) // 400)]], 1)
        mean, std = sample.mean(1), sample.std(1)
        pitch = sample[F0_CHANNEL][sample[F0_CHANNEL] > VOICED]
        mean[F0_CHANNEL], std[F0_CHANNEL] = pitch.mean(), pitch.std()
        self.decoder.mean.copy_(torch.from_numpy(mean))
        self.decoder.std.copy_(torch.from_numpy(std + 1e-4))
        self._lengths = torch.tensor([len(f) for f in self.rows.features], dtype=torch.float)

    def batch(self, generator: torch.Generator, size: int) -> dict[str, torch.Tensor]:
        """Crops of rows drawn in proportion to their length."""
        picks = torch.multinomial(self._lengths, size, replacement=True, generator=generator).tolist()
        crops = []
        for i in picks:
            room = max(0, len(self.rows.features[i]) - self.crop_units) // GROUP_UNITS + 1
            start = GROUP_UNITS * int(torch.randint(room, (1,), generator=generator))
            crops.append(crop(self.rows, i, start, self.crop_units))
        return {k: torch.stack([c[k] for c in crops]) for k in crops[0]}

    def losses(self, batch: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Absolute plus squared errors of phonetic channels, of pitch where there is voice and of loudness; and the
        cross-entropy of phonemes and of voicing.
        """
        codes, _ = self.tokenizer(batch["features"].float(), batch["mask"])
        made = self.decoder(codes, batch["mask"], batch["phonemes"].clamp(min=0))
        acoustic = batch["acoustic"].float()
        target = (acoustic - self.decoder.mean) / self.decoder.std
        frames = batch["frame_mask"]
        ticks = frames[:, ::FRAMES_PER_TICK] & frames[:, 1::FRAMES_PER_TICK]
        # The channels stand still within a tick of the plain voice; a disguise stretches them off the clock.
        phonetic = target[..., :N_PHONETIC].unflatten(1, (-1, FRAMES_PER_TICK)).mean(2)
        voiced = acoustic[..., F0_CHANNEL] > VOICED
        losses = {
            "phonetic": _error(made.phonetic, phonetic, ticks),
            "pitch": _error(made.pitch, target[..., F0_CHANNEL], frames & voiced),
            "energy": _error(made.energy, target[..., ENERGY_CHANNEL], frames),
            "voicing": F.binary_cross_entropy_with_logits(made.voicing[frames], voiced[frames].float()),
            "phoneme": token_loss(made.phonemes, batch["phonemes"]),
        }
        total = losses["phonetic"] + PITCH_WEIGHT * losses["pitch"] + ENERGY_WEIGHT * losses["energy"]
        total = total + VOICING_WEIGHT * losses["voicing"] + PHONEME_WEIGHT * losses["phoneme"]
        return {"total": total, **losses}

    def validate(self) -> dict[str, float]:
        """The same errors on whole held-out crops, and how much of the codebook is used."""
        device = next(self.decoder.parameters()).device
        picks = range(0, len(self.held_out), max(1, len(self.held_out) // 64))
        crops = [crop(self.held_out, i, 0, self.crop_units) for i in picks]
        batch = {k: torch.stack([c[k] for c in crops]).to(device) for k in crops[0]}
        _, ids = self.tokenizer(batch["features"].float(), batch["mask"])
        ids = ids[batch["mask"]]
        share = torch.bincount(ids, minlength=self.tokenizer.quantizer.n_codes).float() / len(ids)
        entropy = -(share * (share + 1e-12).log2()).sum()
        losses = {f"valid_{k}": float(v) for k, v in self.losses(batch).items()}
        return losses | {"unit_entropy_bits": float(entropy)}

    def facts(self) -> dict:
        """Configuration of what is trained."""
        return self._facts


def _error(made: torch.Tensor, wanted: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Mean of absolute plus squared error where `counts` is True."""
    error = (made - wanted)[counts]
    return (error.abs() + error.square()).sum() / max(1, error.numel())
