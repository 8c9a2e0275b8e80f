"""Opens a published checkpoint: our configuration from its fields and shapes, then its weights, strictly."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from exomni.core.errors import CheckpointError

from ...model.config import (
    BackboneConfig,
    BlendshapeDecoderConfig,
    FreePace,
    FusionConfig,
    LanguageModelConfig,
    OmniConfig,
    SpeechEncoderConfig,
    SpeechProjectorConfig,
    UnitGeneratorConfig,
)
from ...model.omni import Omni, OmniReply
from ...model.prompt import ChatMessage, prompt_ids
from ...model.published_layout import OMNI, load_strictly, optional_decoder_keys, optional_generator_keys, read_weights
from ...model.sampling import UnitSampler
from ...model.speech_encoder import clip_features

Fields = Mapping[str, Any]
ADDED_MODULES = ("speech_encoder", "speech_projector", "speech_generator", "blendshape_generator")
GENERATOR_FUSION = FusionConfig(n_layers=2, n_heads=16, head_dim=256)
"""Constants of the published unit generator."""
QWEN3_HEAD_DIM, QWEN3_ROPE_THETA, QWEN3_NORM_EPS = 128, 1_000_000.0, 1e-6
"""What a Qwen3 configuration means where it says nothing."""
WHISPER_HEAD_DIM = 64
"""Of every released Whisper."""
UNUSED = "model.speech_encoder.model.decoder."
"""The checkpoint holds all of Whisper; only its encoder listens."""


@dataclass(frozen=True)
class PublishedModel:
    """A published checkpoint, ready to answer.

    Attributes:
        omni: the model, in evaluation mode.
        tokenizer: of its language model, from `transformers`; None if the folder has none.
        end_ids: tokens that end a reply.
    """

    omni: Omni
    tokenizer: Any
    end_ids: frozenset[int]

    def prompt_ids(self, messages: Sequence[ChatMessage]) -> list[int]:
        """Token ids of a conversation, SPEECH_MARKER where a clip belongs.

        Raises:
            CheckpointError: the folder holds no tokenizer.
        """
        if self.tokenizer is None:
            raise CheckpointError("the checkpoint's folder holds no tokenizer")
        return prompt_ids(messages, lambda text: self.tokenizer.encode(text, add_special_tokens=False))

    @torch.inference_mode()
    def listen(self, recordings: Sequence[np.ndarray]) -> list[Tensor]:
        """Recordings, float32 [N] at 16 kHz, as clips for `respond`; each counts as 30 s, as published."""
        if not recordings:
            return []
        n_mels = self.omni.config.speech_encoder.n_mels
        features = torch.stack([clip_features(samples, n_mels) for samples in recordings])
        return self.omni.encode_speech(features, [features.shape[2]] * len(recordings))

    def respond(
        self, messages: Sequence[ChatMessage], recordings: Sequence[np.ndarray], *,
        text_sampler: UnitSampler, unit_sampler: UnitSampler, max_tokens: int,
    ) -> OmniReply:  # fmt: skip
        """Answer a conversation.

        Args:
            messages: the request last; turns with `has_speech` take the recordings in order.
            recordings: float32 [N] at 16 kHz each.
            text_sampler: draws the text.
            unit_sampler: draws the units.
            max_tokens: most tokens of text, at least 1.
        """
        draws = {"text_sampler": text_sampler, "unit_sampler": unit_sampler, "max_tokens": max_tokens}
        return self.omni.respond(self.prompt_ids(messages), self.listen(recordings), end_ids=self.end_ids, **draws)


def load_published(
    folder: str | Path, *, as_published: bool = False, dtype: torch.dtype = torch.float32
) -> PublishedModel:
    """Open a checkpoint in the published layout.

    Args:
        folder: holds `config.json` and `*.safetensors`; may hold a tokenizer and the configurations of the
            speech encoder and of the generator's backbone, each in the folder that `config.json` names.
        as_published: repeat what we hold to be mistakes (see `published_quirks`), to compare with recordings.
        dtype: what to run in.
    Raises:
        CheckpointError: a file is missing or unreadable, or a key is missing, surplus or misshapen.
    """
    folder = Path(folder)
    fields = _read_json(folder / "config.json")
    tensors = normalise_keys(read_weights(folder))
    config = omni_config(fields, folder, tensors)
    if as_published:
        config = published_quirks(config)
    with torch.device("meta"):
        omni = Omni(config).to(dtype)
    optional = optional_generator_keys(omni.unit_generator, "model.speech_generator.")
    optional |= optional_decoder_keys(omni.blendshape_decoder, "model.blendshape_generator.")
    load_strictly(omni, tensors, OMNI, optional, tied=_tied_keys(config))
    omni.language_model.restore_tables()
    return PublishedModel(omni.requires_grad_(False).eval(), _read_tokenizer(folder), _end_ids(folder, fields))


def published_quirks(config: OmniConfig) -> OmniConfig:
    """The configuration that repeats the published code's mistakes: lost units and frames, odd sampling."""
    generator, face = config.unit_generator, config.blendshape_decoder
    pace = generator.pace.model_copy(update={"special_units": "refed", "early_end": "redrawn"})
    return config.model_copy(
        update={
            "unit_generator": generator.model_copy(update={"pace": pace}),
            "blendshape_decoder": face.model_copy(update={"frame_count": "published"}),
            "dropped_text_token": "last",
        }
    )


def normalise_keys(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """One name for each key of an added module, which may begin `model.model.X.`, `model.X.` or `X.`.

    The unused half of Whisper is left out.
    """
    named: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        bare = key
        while bare.startswith("model."):
            bare = bare.removeprefix("model.")
        name = f"model.{bare}" if bare.split(".")[0] in ADDED_MODULES else key
        if name in named:
            raise CheckpointError(f"the checkpoint holds {name} twice, the second time as {key}")
        if not name.startswith(UNUSED):
            named[name] = tensor
    return named


def omni_config(fields: Fields, folder: Path, tensors: Mapping[str, Tensor]) -> OmniConfig:
    """Our configuration of a published checkpoint.

    Args:
        fields: its `config.json`.
        folder: where the configurations lie that `config.json` names.
        tensors: its weights by normalised key; sizes that no field gives are read from their shapes.
    Raises:
        CheckpointError: a field is missing or has no sensible value.
    """
    try:
        generator = qwen3_fields(tensors, "model.speech_generator.llm.model.model.")
        generator |= _named_config(folder, fields.get("pretrain_speech_generator_weights"))
        whisper = _named_config(folder, fields.get("pretrain_speech_encoder_weights"))
        return OmniConfig(
            speech_encoder=_speech_encoder_config(whisper, tensors),
            speech_projector=SpeechProjectorConfig(
                stack_frames=fields["speech_encoder_ds_rate"],
                d_hidden=len(tensors["model.speech_projector.linear1.weight"]),
            ),
            language_model=_language_model_config(fields),
            unit_generator=unit_generator_config(fields["hidden_size"], fields["unit_vocab_size"], generator),
            blendshape_decoder=blendshape_decoder_config(
                {**fields, "speech_gen_hidden_size": generator["hidden_size"]}
            ),
            speech_decoder="flow_matching",
        )
    except KeyError as error:
        raise CheckpointError(f"the checkpoint's configuration or weights lack {error}") from error
    except (TypeError, ValueError) as error:  # pydantic's own errors are ValueErrors
        raise CheckpointError(f"the checkpoint's configuration makes no sense: {error}") from error


def unit_generator_config(d_llm: int, n_units: int, qwen3: Fields) -> UnitGeneratorConfig:
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
        rope_theta=_rope_theta(qwen3),
        norm_eps=qwen3.get("rms_norm_eps", QWEN3_NORM_EPS),
    )
    return UnitGeneratorConfig(
        d_llm=d_llm, n_units=n_units, fusion=GENERATOR_FUSION, backbone=backbone, pace=FreePace(kind="free")
    )


def blendshape_decoder_config(fields: Fields) -> BlendshapeDecoderConfig:
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


def qwen3_fields(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, int]:
    """Every size of a Qwen3 network that its weights' shapes give away, under `transformers`' names."""
    layer = f"{prefix}layers.0."
    head_dim = len(tensors[f"{layer}self_attn.q_norm.weight"])
    vocab_size, hidden_size = tensors[f"{prefix}embed_tokens.weight"].shape
    return {
        "vocab_size": vocab_size,
        "hidden_size": hidden_size,
        "num_hidden_layers": _count_layers(tensors, f"{prefix}layers."),
        "num_attention_heads": len(tensors[f"{layer}self_attn.q_proj.weight"]) // head_dim,
        "num_key_value_heads": len(tensors[f"{layer}self_attn.k_proj.weight"]) // head_dim,
        "head_dim": head_dim,
        "intermediate_size": len(tensors[f"{layer}mlp.gate_proj.weight"]),
    }


def _speech_encoder_config(whisper: Fields, tensors: Mapping[str, Tensor]) -> SpeechEncoderConfig:
    prefix = "model.speech_encoder.model.encoder."
    d_model, n_mels, _ = tensors[f"{prefix}conv1.weight"].shape
    return SpeechEncoderConfig(
        n_mels=n_mels,
        d_model=d_model,
        n_layers=_count_layers(tensors, f"{prefix}layers."),
        n_heads=_whisper_heads(whisper, d_model),
        d_ff=len(tensors[f"{prefix}layers.0.fc1.weight"]),
        max_frames=len(tensors[f"{prefix}embed_positions.weight"]),
    )


def _whisper_heads(whisper: Fields, d_model: int) -> int:
    """Heads do not show in shapes: the encoder's own configuration says, or its width if it is a release."""
    if "encoder_attention_heads" in whisper:
        return whisper["encoder_attention_heads"]
    if d_model % WHISPER_HEAD_DIM:
        raise CheckpointError(
            f"a speech encoder of width {d_model} is no released Whisper: its config.json is needed, in the folder "
            "that `pretrain_speech_encoder_weights` names"
        )
    return d_model // WHISPER_HEAD_DIM


def _language_model_config(fields: Fields) -> LanguageModelConfig:
    return LanguageModelConfig(
        architecture="qwen3",
        n_tokens=fields["vocab_size"],
        d_model=fields["hidden_size"],
        n_layers=fields["num_hidden_layers"],
        n_heads=fields["num_attention_heads"],
        n_kv_heads=fields["num_key_value_heads"],
        head_dim=fields.get("head_dim") or QWEN3_HEAD_DIM,
        d_ff=fields["intermediate_size"],
        max_positions=fields["max_position_embeddings"],
        rope_theta=_rope_theta(fields),
        norm_eps=fields.get("rms_norm_eps", QWEN3_NORM_EPS),
        tied_embeddings=fields.get("tie_word_embeddings", False),
    )


def _rope_theta(fields: Fields) -> float:
    """The rotary base of a `transformers` configuration, whichever version wrote it."""
    nested = fields.get("rope_parameters") or {}
    return float(fields.get("rope_theta") or nested.get("rope_theta") or QWEN3_ROPE_THETA)


def _count_layers(tensors: Mapping[str, Tensor], prefix: str) -> int:
    return 1 + max(int(key[len(prefix) :].split(".")[0]) for key in tensors if key.startswith(prefix))


def _tied_keys(config: OmniConfig) -> frozenset[str]:
    return frozenset({"language_model.model.lm_head.weight"} if config.language_model.tied_embeddings else ())


def _named_config(folder: Path, name: str | None) -> Fields:
    """The configuration of a part that the checkpoint names by folder, in it or beside it; empty if neither."""
    if not name:
        return {}
    files = (folder / name / "config.json", folder.parent / name / "config.json")
    return next((_read_json(file) for file in files if file.is_file()), {})


def _read_tokenizer(folder: Path) -> Any:
    if not any((folder / name).is_file() for name in ("vocab.json", "tokenizer.json")):
        return None
    from transformers import Qwen2Tokenizer

    return Qwen2Tokenizer.from_pretrained(folder, local_files_only=True)


def _end_ids(folder: Path, fields: Fields) -> frozenset[int]:
    file = folder / "generation_config.json"
    named = [fields.get("eos_token_id"), _read_json(file).get("eos_token_id") if file.is_file() else None]
    flat = [i for ids in named for i in (ids if isinstance(ids, list) else [ids])]
    return frozenset(i for i in flat if i is not None)


def _read_json(file: Path) -> dict[str, Any]:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{file} cannot be read: {error}") from error
