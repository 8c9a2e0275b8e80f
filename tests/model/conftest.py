"""Small models with the choices of `nano`, and data to feed them."""

from dataclasses import dataclass

import pytest
import torch

from exomni.model.blendshape_decoder import BlendshapeDecoder
from exomni.model.config import BlendshapeDecoderConfig, UnitGeneratorConfig, load_config
from exomni.model.duration_pace import PacedUnitGenerator, ticks_to_units

N_UNITS, D_LLM, D_MODEL = 40, 24, 32


def small_generator_config(**changes) -> UnitGeneratorConfig:
    config = load_config("nano").unit_generator
    backbone = config.backbone.model_copy(
        update={"d_model": D_MODEL, "n_layers": 2, "n_heads": 4, "n_kv_heads": 2, "head_dim": 8, "d_ff": 48}
    )
    fusion = config.fusion.model_copy(update={"n_heads": 2, "head_dim": 16})
    sizes = {"d_llm": D_LLM, "n_units": N_UNITS, "backbone": backbone, "fusion": fusion}
    return config.model_copy(update=sizes | changes)


def small_decoder_config(**changes) -> BlendshapeDecoderConfig:
    config = load_config("nano").blendshape_decoder
    fusion = config.fusion.model_copy(update={"n_heads": 2, "head_dim": 16, "window": 3.0})
    sizes = {
        "d_generator": D_MODEL,
        "d_llm": D_LLM,
        "n_units": N_UNITS,
        "d_unit": 8,
        "d_model": 32,
        "n_layers": 2,
        "window_frames": 6,
        "fusion": fusion,
    }
    return config.model_copy(update=sizes | changes)


@dataclass(frozen=True)
class Batch:
    """Two utterances; the first is shorter, and padded."""

    text_ids: torch.Tensor
    text_mask: torch.Tensor
    durations: torch.Tensor
    units: torch.Tensor
    llm_states: torch.Tensor
    llm_mask: torch.Tensor

    def row(self, index: int) -> dict[str, torch.Tensor]:
        """One utterance alone, without its padding."""
        n_text, n_llm = int(self.text_mask[index].sum()), int(self.llm_mask[index].sum())
        n_units = int((self.units[index] >= 0).sum())
        return {
            "text_ids": self.text_ids[index : index + 1, :n_text],
            "text_mask": self.text_mask[index : index + 1, :n_text],
            "durations": self.durations[index : index + 1, :n_text],
            "units": self.units[index : index + 1, :n_units],
            "llm_states": self.llm_states[index : index + 1, :n_llm],
            "llm_mask": self.llm_mask[index : index + 1, :n_llm],
        }

    def all(self) -> dict[str, torch.Tensor]:
        return dict(vars(self))


@pytest.fixture
def batch() -> Batch:
    draw = torch.Generator().manual_seed(1)
    lengths = torch.tensor([7, 12])
    text_mask = torch.arange(12)[None] < lengths[:, None]
    durations = torch.randint(1, 9, (2, 12), generator=draw) * text_mask
    n_units = [ticks_to_units(int(row.sum())) for row in durations]
    units = torch.randint(0, N_UNITS, (2, max(n_units)), generator=draw)
    units[torch.arange(max(n_units))[None] >= torch.tensor(n_units)[:, None]] = -100
    return Batch(
        text_ids=torch.randint(1, 178, (2, 12), generator=draw) * text_mask,
        text_mask=text_mask,
        durations=durations,
        units=units,
        llm_states=torch.randn(2, 5, D_LLM, generator=draw),
        llm_mask=torch.tensor([[True] * 3 + [False] * 2, [True] * 5]),
    )


@pytest.fixture
def generator() -> PacedUnitGenerator:
    torch.manual_seed(0)
    return PacedUnitGenerator(small_generator_config()).eval()


@pytest.fixture
def decoder() -> BlendshapeDecoder:
    torch.manual_seed(0)
    return BlendshapeDecoder(small_decoder_config()).eval()
