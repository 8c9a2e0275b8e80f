"""Stage II: the unit generator and the blendshape decoder together, on text, speech and face (paper, stage II)."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from pydantic import Field
from torch import nn

from ..core.arkit import EXPRESSION, EYES, INDEX, NAMES
from ..core.configuration import StrictConfig
from ..core.errors import InputError
from ..core.timebase import units_to_frames
from ..data import store
from ..data.text_emotion import estimate_emotion
from ..face.head import Head
from ..model.blendshape_decoder import BlendshapeDecoder
from ..model.config import BlendshapeDecoderConfig, UnitGeneratorConfig
from ..model.duration_pace import PacedUnitGenerator
from ..model.tokens import IGNORE_INDEX
from .loop import load_modules, rows_of_one_length, weights_of
from .losses import blendshape_loss, duration_loss, emotion_loss, token_loss

UNIT_TABLES = ("unit_embedding", "unit_head")
"""Modules whose rows are units: they mean nothing to another tokenizer."""
READER = "emotion_reader"
"""What the first two releases of the blendshape decoder did not have."""


class JointConfig(StrictConfig):
    """Weights of the losses and how often a condition is withheld.

    Attributes:
        duration_weight: of the duration loss.
        face_weight: of the blendshape loss.
        velocity_weight: of its velocity term.
        lip_weight: of the lip-vertex loss (mm^2).
        expression_weight: extra weight of the expression shapes in the blendshape loss.
        emotion_weight: of the loss of the emotion that is read from the LLM's states.
        random_weight: weight of the eyes' shapes, which the teacher moves at random: they cannot be learned.
        no_llm: share of rows whose LLM states are withheld from the generator.
        no_states: share of rows whose generator states are withheld from the decoder, so that recordings work.
        no_emotion: share of rows whose emotion must be read from the meaning; the others are given one that was drawn
            at random, and the face that it makes.
        emotion_rows: rows of a step, of any length, that emotion is read from: they cost next to nothing.
        part_of_text: share of them of which only the beginning or the end is read.
        wrong_units: share of units that the decoder is given wrong, as the tokenizer will give it in recordings.
        tail_units: most units of silence that a row is lengthened by.
        face_rows: share of a batch's rows whose face is decoded; faces cost most, and half of them teach as much.
    """

    duration_weight: float = 0.5
    face_weight: float = 20.0
    velocity_weight: float = 0.5
    lip_weight: float = 0.05
    expression_weight: float = Field(3.0, ge=0)
    emotion_weight: float = Field(1.0, ge=0)
    random_weight: float = Field(0.1, ge=0)
    no_llm: float = Field(0.1, ge=0, le=1)
    no_states: float = Field(0.25, ge=0, le=1)
    no_emotion: float = Field(0.6, ge=0, le=1)
    emotion_rows: int = Field(64, ge=1)
    part_of_text: float = Field(0.5, ge=0, le=1)
    wrong_units: float = Field(0.03, ge=0, le=1)
    tail_units: int = Field(4, ge=0)
    face_rows: float = Field(0.5, gt=0, le=1)


@dataclass
class JointRow:
    """One row: phonemes and ticks int [T_text], units [T_unit], hidden [T_llm, D], face [T_frame, 52], emotion [5].

    `posed` is the face under another emotion, `posed_emotion`.
    """

    text: str
    phonemes: np.ndarray
    ticks: np.ndarray
    units: np.ndarray
    hidden: np.ndarray
    face: np.ndarray
    emotion: np.ndarray
    posed: np.ndarray
    posed_emotion: np.ndarray


def read_rows(folder: Path, split: str) -> list[JointRow]:
    """Rows of a data set that every pass has, sorted by length; disguised ones are left out."""
    rows = []
    for path in sorted((folder / "speech").glob("*.parquet")):
        if not all((folder / p / path.name).exists() for p in ("units", "hidden", "faces", "posed")):
            continue
        units = {r["id"]: r["units"] for r in store.read_shard(folder / "units" / path.name)}
        hidden = {r["id"]: r["hidden"] for r in store.read_shard(folder / "hidden" / path.name)}
        faces, posed = ({r["id"]: r for r in store.read_shard(folder / p / path.name)} for p in ("faces", "posed"))
        for r in store.read_shard(path, ["id", "text", "split", "disguised", "phonemes", "ticks"]):
            if r["split"] == split and not r["disguised"] and len(hidden[r["id"]]):
                shown = [face[r["id"]][column] for face in (faces, posed) for column in ("blendshapes", "emotion")]
                rows.append(JointRow(r["text"], r["phonemes"], r["ticks"], units[r["id"]], hidden[r["id"]], *shown))
    return sorted(rows, key=lambda r: len(r.units))


def read_feelings(folder: Path, split: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """LLM states float16 [T_llm, D] and emotion float32 [5] of every text of a data set, spoken or not."""
    feelings = []
    for path in sorted((folder / "hidden").glob("*.parquet")):
        texts = {r["id"]: r["text"] for r in store.read_shard(folder / "texts" / path.name) if r["split"] == split}
        for row in store.read_shard(path):
            if row["id"] in texts and len(row["hidden"]):
                feelings.append((row["hidden"], estimate_emotion(texts[row["id"]])))
    return feelings


def collate(rows: list[JointRow], tails: list[int]) -> dict[str, torch.Tensor]:
    """Pad rows to a batch; each row gets `tails[i]` units of silence (its last unit and face held) at its end."""
    units = [np.concatenate([r.units, np.repeat(r.units[-1:], t)]) for r, t in zip(rows, tails, strict=True)]
    faces, posed = ([_held(getattr(r, kind), units_to_frames(len(u))) for r, u in zip(rows, units, strict=True)]
                    for kind in ("face", "posed"))  # fmt: skip

    def pad(arrays: list[np.ndarray], value: float, dtype: torch.dtype) -> torch.Tensor:
        out = torch.full((len(arrays), max(map(len, arrays)), *arrays[0].shape[1:]), value, dtype=dtype)
        for i, a in enumerate(arrays):
            out[i, : len(a)] = torch.from_numpy(np.array(a)).to(dtype)
        return out

    text = pad([r.phonemes for r in rows], -1, torch.long)
    return {
        "text_ids": text.clamp(min=0), "text_mask": text >= 0,
        "durations": pad([r.ticks for r in rows], 0, torch.long),
        "units": pad(units, IGNORE_INDEX, torch.long),
        "llm_states": pad([r.hidden for r in rows], 0, torch.float),
        "llm_mask": pad([np.ones(len(r.hidden)) for r in rows], 0, torch.bool),
        "face": pad(faces, 0, torch.float), "frame_lengths": torch.tensor([len(f) for f in faces]),
        "posed": pad(posed, 0, torch.float),
        "emotion": torch.from_numpy(np.stack([r.emotion for r in rows])).float(),
        "posed_emotion": torch.from_numpy(np.stack([r.posed_emotion for r in rows])).float(),
    }  # fmt: skip


def _held(face: np.ndarray, n_frames: int) -> np.ndarray:
    """`n_frames` of a face, its last frame held where it is too short."""
    return face[np.minimum(np.arange(n_frames), len(face) - 1)]


class JointTask:
    """Trains both parts on one forward pass: the face's gradient reaches the generator's states."""

    def __init__(
        self, folder: Path, generator: UnitGeneratorConfig, decoder: BlendshapeDecoderConfig, config: JointConfig,
        seed: int = 0,
    ):  # fmt: skip
        torch.manual_seed(seed)
        self.config = config
        self.rows, self.held_out = read_rows(folder, "train"), read_rows(folder, "validation")
        if not self.rows or not self.held_out:
            raise InputError(f"{folder} has {len(self.rows)} rows to train on and {len(self.held_out)} to validate on")
        self.feelings = read_feelings(folder, "train") if decoder.d_llm else []
        self.generator, self.decoder = PacedUnitGenerator(generator), BlendshapeDecoder(decoder)
        self.modules: dict[str, nn.Module] = {"generator": self.generator, "decoder": self.decoder}
        self._facts = {
            "generator": generator.model_dump(mode="json"), "decoder": decoder.model_dump(mode="json"),
            "joint": config.model_dump(), "rows": len(self.rows),
        }  # fmt: skip
        self.weights = torch.ones(len(NAMES))
        for name in EXPRESSION:
            self.weights[INDEX[name]] = config.expression_weight
        for name in EYES:
            self.weights[INDEX[name]] = config.random_weight
        head = Head.load()
        lips = torch.from_numpy(head.deltas_mm[:, head.lip_vertices]).flatten(1)
        # e^T gram e is the mean squared distance of the lip vertices that a weight error e moves, in mm^2.
        self.gram = lips @ lips.T / len(head.lip_vertices)

    def start_from(self, weights: Mapping[str, torch.Tensor], *, same_units: bool = False) -> None:
        """Begin with what an earlier release or stage has learned; a reader of emotions that it lacks stays new.

        Without `same_units`, the weights are of another tokenizer's units, and the tables of units stay new too.

        Raises:
            CheckpointError: a missing, surplus or misshapen tensor other than those.
        """
        tables = () if same_units else UNIT_TABLES
        new = {k: v for k, v in weights_of(self.modules).items() if k.split(".")[1] in (*tables, READER)}
        load_modules(self.modules, new | {k: v.float() for k, v in weights.items() if k.split(".")[1] not in tables})

    def batch(self, generator: torch.Generator, size: int) -> dict[str, torch.Tensor]:
        """Rows of about one length, so that little is padded."""
        size = min(size, len(self.rows))
        picks = rows_of_one_length(len(self.rows), size, generator)
        tails = torch.randint(self.config.tail_units + 1, (size,), generator=generator).tolist()
        batch = collate([self.rows[i] for i in picks], tails)

        def chosen(share: float, shape) -> torch.Tensor:
            return torch.rand(shape, generator=generator) < share

        config, units = self.config, batch["units"]
        batch["llm_mask"] &= ~chosen(config.no_llm, (size, 1))
        batch["states_known"] = ~chosen(config.no_states, (size, 1))
        batch["emotion_known"] = ~chosen(config.no_emotion, (size,))
        wrong = chosen(config.wrong_units, units.shape) & (units >= 0) & ~batch["states_known"]
        other = torch.randint(self.generator.config.n_units, units.shape, generator=generator)
        batch["given_units"] = torch.where(wrong, other, units)
        shown = batch["emotion_known"][:, None, None]
        batch["face"] = torch.where(shown, batch.pop("posed"), batch["face"])
        batch["felt_mask"] = batch["llm_mask"] & batch["states_known"]
        return batch | self._emotion_rows(generator) if self.feelings else batch

    def _emotion_rows(self, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """States, which of them count, and emotions of rows to read."""
        picks = torch.randint(len(self.feelings), (self.config.emotion_rows,), generator=generator).tolist()
        states = [torch.from_numpy(self.feelings[i][0].astype(np.float32)) for i in picks]
        mask = nn.utils.rnn.pad_sequence([torch.ones(len(s), dtype=torch.bool) for s in states], batch_first=True)
        return {
            "read_states": nn.utils.rnn.pad_sequence(states, batch_first=True),
            "read_mask": self._part_of_text(mask, generator),
            "read_emotion": torch.from_numpy(np.stack([self.feelings[i][1] for i in picks])).float(),
        }

    def _part_of_text(self, mask: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """A mask of LLM states [B, T_llm] with the beginning or the end of some rows left out, up to two thirds."""
        size, counts = len(mask), mask.sum(1, keepdim=True)
        cut = torch.rand(size, 1, generator=generator) * 2 / 3
        cut = cut * (torch.rand(size, 1, generator=generator) < self.config.part_of_text)
        first = torch.rand(size, 1, generator=generator) < 0.5
        place = torch.arange(mask.shape[1])[None] / counts.clamp(min=1)
        return mask & torch.where(first, place >= cut, place < 1 - cut)

    def losses(self, batch: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Cross-entropy of units, squared errors of log-durations, of blendshapes and of lip vertices."""
        config = self.config
        out = self.generator(batch["text_ids"], batch["text_mask"], batch["durations"], batch["units"],
                             batch["llm_states"], batch["llm_mask"])  # fmt: skip
        unit, duration = token_loss(out.logits, batch["units"]), duration_loss(out.log_durations, batch["durations"])
        accuracy = (out.logits.argmax(-1) == batch["units"]).sum() / (batch["units"] >= 0).sum()
        states, emotion = out.hidden_states, self._emotion_loss(batch)
        if self.decoder.training:
            n_faces = max(1, round(config.face_rows * len(states)))
            batch = {key: value[:n_faces] for key, value in batch.items()}
            states = states[:n_faces]
        face = self._face(batch, states)
        shape = blendshape_loss(face, batch["face"], batch["frame_lengths"], velocity_weight=config.velocity_weight,
                                channel_weights=self.weights.to(face.device))  # fmt: skip
        lip = self._lip_loss(face, batch)
        total = unit + config.duration_weight * duration + config.face_weight * shape + config.lip_weight * lip
        total = total + config.emotion_weight * emotion
        return {"total": total, "unit": unit, "duration": duration, "shape": shape, "lip_mm2": lip,
                "accuracy": accuracy, "emotion": emotion}  # fmt: skip

    def _emotion_loss(self, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Of the rows to read; 0 where the decoder reads no emotions."""
        reader = self.decoder.emotion_reader
        if reader is None:
            return batch["emotion"].new_zeros(())
        return emotion_loss(reader(batch["read_states"], batch["read_mask"]), batch["read_emotion"])

    def _face(self, batch: Mapping[str, torch.Tensor], states: torch.Tensor) -> torch.Tensor:
        return self.decoder(
            batch["given_units"], states, (batch["units"] >= 0) & batch["states_known"], emotion=batch["posed_emotion"],
            emotion_known=batch["emotion_known"], llm_states=batch["llm_states"], llm_mask=batch["felt_mask"],
            frame_lengths=batch["frame_lengths"],
        ).blendshapes  # fmt: skip

    def _lip_loss(self, face: torch.Tensor, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Mean squared distance between predicted and labelled lip vertices, mm^2."""
        error = face - batch["face"][:, : face.shape[1]]
        valid = torch.arange(error.shape[1], device=error.device)[None] < batch["frame_lengths"][:, None]
        squared = torch.einsum("btk,kj,btj->bt", error, self.gram.to(error.device), error)
        return (squared * valid).sum() / valid.sum()

    def validate(self) -> dict[str, float]:
        """The losses on held-out rows: with everything given but the emotion, and with units alone."""
        sums: dict[str, float] = {}
        step = max(1, len(self.held_out) // 64)
        rows, n_batches = self.held_out[::step], 0
        device = next(self.generator.parameters()).device
        for i in range(0, len(rows), 16):
            batch = collate(rows[i : i + 16], [0] * len(rows[i : i + 16]))
            size = len(batch["units"])
            given = {"states_known": torch.ones(size, 1, dtype=torch.bool),
                     "emotion_known": torch.zeros(size, dtype=torch.bool), "given_units": batch["units"],
                     "felt_mask": batch["llm_mask"], "read_states": batch["llm_states"],
                     "read_mask": batch["llm_mask"], "read_emotion": batch["emotion"]}  # fmt: skip
            batch = {k: v.to(device) for k, v in (batch | given).items()}
            figures = {k: float(v) for k, v in self.losses(batch).items()}
            batch["states_known"] = ~batch["states_known"]
            batch["felt_mask"] = torch.zeros_like(batch["felt_mask"])
            alone = self._face(batch, batch["face"].new_zeros(*batch["units"].shape, self.generator.d_model))
            figures["lip_mm2_units_alone"] = float(self._lip_loss(alone, batch))
            for key, value in figures.items():
                sums[f"valid_{key}"] = sums.get(f"valid_{key}", 0.0) + value
            n_batches += 1
        return {k: v / n_batches for k, v in sums.items()}

    def facts(self) -> dict:
        """Configuration of what is trained."""
        return self._facts
