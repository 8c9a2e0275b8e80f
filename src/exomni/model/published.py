"""Our configuration of a published checkpoint, from its own fields."""

from collections.abc import Mapping
from typing import Any

from .config import (
    BackboneConfig,
    BlendshapeDecoderConfig,
    FreePace,
    FusionConfig,
    UnitGeneratorConfig,
)

GENERATOR_FUSION = FusionConfig(n_layers=2, n_heads=16, head_dim=256)
"""Constants of the published unit generator."""
QWEN3_HEAD_DIM, QWEN3_ROPE_THETA, QWEN3_NORM_EPS = 128, 1_000_000.0, 1e-6
"""What a Qwen3 configuration means where it says nothing."""


def rope_theta(fields: Mapping[str, Any]) -> float:
    """The rotary base of a `transformers` configuration, whichever version wrote it."""
    nested = fields.get("rope_parameters") or {}
    return float(fields.get("rope_theta") or nested.get("rope_theta") or QWEN3_ROPE_THETA)


def unit_generator_config(d_llm: int, n_units: int, qwen3: Mapping[str, Any]) -> UnitGeneratorConfig:
    """The published unit generator.

    Args:
        d_llm: width of the language model.
        n_units: `unit_vocab_size`.
        qwen3: configuration of its backbone, as `transformers` writes it.
    """
    backbone = BackboneConfig(
        n_tokens=qwen3["vocab_size"],
        d_model=qwen3["hidden_size"],
        n_layers=qwen3["num_hidden_layers"],
        n_heads=qwen3["num_attention_heads"],
        n_kv_heads=qwen3["num_key_value_heads"],
        head_dim=qwen3.get("head_dim") or QWEN3_HEAD_DIM,
        d_ff=qwen3["intermediate_size"],
        rope_theta=rope_theta(qwen3),
        norm_eps=qwen3.get("rms_norm_eps", QWEN3_NORM_EPS),
    )
    return UnitGeneratorConfig(
        d_llm=d_llm, n_units=n_units, fusion=GENERATOR_FUSION, backbone=backbone, pace=FreePace(kind="free")
    )


def blendshape_decoder_config(fields: Mapping[str, Any]) -> BlendshapeDecoderConfig:
    """The published blendshape decoder.

    Args:
        fields: of the published configuration; optional ones that are absent, null or 0 take their defaults.
    """
    fusion = FusionConfig(
        n_layers=fields.get("bs_tqgf_depth") or 2,
        n_heads=fields.get("bs_tqgf_heads") or 8,
        head_dim=fields.get("bs_tqgf_dim_head") or 64,
    )
    return BlendshapeDecoderConfig(
        d_generator=fields["speech_gen_hidden_size"],
        n_units=fields["speech_vocab_size"],
        d_unit=fields["speech_embed_dim"],
        d_model=fields["bs_decoder_dimension"],
        n_layers=fields["num_bs_decoder_layers"],
        n_heads=fields["nhead"],
        n_channels=fields["out_dim"],
        dropout=fields.get("dropout_rate", 0.1),
        period_frames=fields.get("period") or 30,
        fusion=fusion,
    )
