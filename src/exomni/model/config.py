"""Strict configuration of the model: one frozen section for each part, and the presets as YAML.

Where published weights depend on a quirk, it is a named field here; its default is what we would choose ourselves.
"""

import math
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ..core.arkit import K
from ..core.configuration import StrictConfig, as_config, read_yaml
from ..core.errors import ConfigError

Size = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class FusionConfig(StrictConfig):
    """How meaning is injected into a clock (paper, TQGF).

    `rotary` gives attention the real-valued times of queries and context; `window` limits it to context
    rows at most that many steps of the time axis away.
    """

    mode: Literal["tqgf", "units_only", "hidden_only", "concat"] = "tqgf"
    n_layers: Size = 2
    n_heads: Size = 8
    head_dim: Size = 64
    ff_mult: Size = 4
    rotary: bool = False
    rotary_base: float = Field(default=10_000.0, gt=1.0)
    window: float | None = Field(default=None, gt=0.0)

    @model_validator(mode="after")
    def _rotary_needs_pairs(self):
        if self.rotary and self.head_dim % 4:
            raise ValueError("head_dim must be a multiple of 4 with rotary: half of it rotates, in pairs")
        return self


class _CausalTransformerConfig(StrictConfig):
    n_tokens: Size
    d_model: Size
    n_layers: Size
    n_heads: Size
    n_kv_heads: Size
    head_dim: Size
    d_ff: Size


class BackboneConfig(_CausalTransformerConfig):
    """A causal Transformer with Qwen3's mathematics."""

    rope_theta: float = Field(default=1_000_000.0, gt=1.0)
    norm_eps: float = Field(default=1e-6, gt=0.0)

    @model_validator(mode="after")
    def _heads_divide(self):
        if self.n_heads % self.n_kv_heads:
            raise ValueError("n_heads must be a multiple of n_kv_heads")
        if self.head_dim % 2:
            raise ValueError("head_dim must be even: it rotates in pairs")
        return self


class SamplingConfig(StrictConfig):
    """How a unit is drawn (paper, repetition-aware sampling). `temperature` 0 is greedy; `top_k` 0 is off.

    A drawn unit that fills at least `repetition_share` of the last `repetition_window` units is drawn again
    from the full distribution; a window of 0 turns this off.
    """

    temperature: float = Field(default=1.0, ge=0.0)
    top_p: float = Field(default=0.8, gt=0.0, le=1.0)
    top_k: int = Field(default=25, ge=0)
    repetition_window: int = Field(default=10, ge=0)
    repetition_share: float = Field(default=0.1, gt=0.0, le=1.0)


class FreePace(StrictConfig):
    """The model decides itself how many units a text takes, as published.

    `special_units`: ids above the end unit are `masked`, or as the published code has it `refed` (no unit,
    but the state stays and the previous input goes in again). `early_end`: before the least length the end
    unit is `masked`, or as published `redrawn` from the same distribution.
    """

    kind: Literal["free"]
    min_units_per_token: float = Field(default=2.0, ge=0.0)
    max_units_per_token: float = Field(default=20.0, gt=0.0)
    special_units: Literal["masked", "refed"] = "masked"
    early_end: Literal["masked", "redrawn"] = "masked"


class DurationPace(StrictConfig):
    """Predicted durations pace the units: nothing can be skipped or said twice."""

    kind: Literal["durations"]
    n_text_layers: Size
    text_ff_mult: Size = 2
    lookahead_units: int = Field(default=2, ge=0)
    unit_dropout: Share = 0.2
    dropout: Share = 0.0


class UnitGeneratorConfig(StrictConfig):
    """The speech unit generator: `d_llm` wide states and text in, units and their states out.

    `null_context` adds one learned row that stands for missing states of the language model. `unit_levels` (those
    of the tokenizer's quantiser) lets units that share digits of their code learn from each other; paced only.
    """

    d_llm: Size
    n_units: Size
    unit_levels: tuple[Size, ...] | None = None
    context_expansion: Size = 4
    null_context: bool = False
    fusion: FusionConfig
    backbone: BackboneConfig
    pace: FreePace | DurationPace = Field(discriminator="kind")
    sampling: SamplingConfig = SamplingConfig()


class BlendshapeDecoderConfig(StrictConfig):
    """The non-autoregressive face decoder.

    `frame_count`: `exact` integer arithmetic for each row, or `published` (ids above 0 only, summed over the
    batch, floored in floating point, and the padded batch stretched as a whole). `resampling`: units are
    stretched to the number of frames, or read at each frame's own time (`clock`), which is what makes a
    chunk equal to the same frames of the whole. `window_frames` limits self-attention to that many frames on
    each side. `d_llm`: width of the language model's states, where an emotion that nobody gave is read from them.
    """

    d_generator: Size
    d_llm: Size | None = None
    n_units: Size
    unit_levels: tuple[Size, ...] | None = None
    d_unit: Size
    d_model: Size
    n_layers: Size
    n_heads: Size
    ff_mult: Size = 2
    n_channels: Size = K
    n_emotions: int = Field(default=0, ge=0)
    null_context: bool = False
    fusion: FusionConfig = FusionConfig()
    causal: bool = True
    window_frames: int | None = Field(default=None, gt=0)
    norm_first: bool = False
    activation: Literal["relu", "gelu"] = "relu"
    rotary_attention: bool = False
    period_frames: int | None = Field(default=30, gt=0)
    frame_count: Literal["exact", "published"] = "exact"
    resampling: Literal["stretch", "clock"] = "stretch"
    dropout: Share = 0.1

    @model_validator(mode="after")
    def _heads_divide(self):
        if self.d_model % self.n_heads:
            raise ValueError("d_model must be a multiple of n_heads")
        if self.period_frames and self.d_model % 2:
            raise ValueError("d_model must be even: the periodic rotary position turns pairs")
        if self.d_llm and not self.n_emotions:
            raise ValueError("d_llm is what emotions are read from; n_emotions must not be 0 with it")
        if self.rotary_attention and self.d_model // self.n_heads % 2:
            raise ValueError("d_model / n_heads must be even with rotary_attention")
        return self


class SpeechEncoderConfig(StrictConfig):
    """A frozen Whisper encoder; 50 frames a second."""

    n_mels: Size
    d_model: Size
    n_layers: Size
    n_heads: Size
    d_ff: Size
    max_frames: Size = 1500


class ContextLayersConfig(StrictConfig):
    """Transformer layers over the projected tokens of a clip, narrower than these, whose result is added to them."""

    d_model: Size = 256
    n_layers: Size = 3
    n_heads: Size = 4
    ff_mult: Size = 4
    dropout: Share = 0.1

    @model_validator(mode="after")
    def _heads_divide(self):
        if self.d_model % (2 * self.n_heads):
            raise ValueError("d_model / n_heads must be a whole, even number: rotary positions turn pairs")
        return self


class SpeechProjectorConfig(StrictConfig):
    """Speech-encoder frames to the language model's embedding space; `stack_frames` become one token.

    `context` lets tokens attend to each other before the language model does (our choice; the paper has none).
    """

    stack_frames: Size = 5
    d_hidden: Size = 2048
    context: ContextLayersConfig | None = None


class LanguageModelConfig(_CausalTransformerConfig):
    """The language model, by the `transformers` architecture that runs it."""

    architecture: Literal["qwen3", "llama"]
    max_positions: Size
    rope_theta: float = Field(gt=1.0)
    norm_eps: float = Field(gt=0.0)
    tied_embeddings: bool


class UnitTokenizerConfig(StrictConfig):
    """Speech-encoder features to units: `levels` of the scalar quantiser, whose product is the codebook."""

    d_features: Size
    frames_per_unit: Size = 4
    d_model: Size = 384
    n_layers: int = Field(default=2, ge=0)
    kernel: Size = 3
    levels: tuple[Size, ...]


class SpeechDecoderConfig(StrictConfig):
    """Units to the acoustic channels of the voice's vocoder, at the units' clock and then at its ticks (40 Hz)."""

    d_unit: Size = 320
    n_unit_layers: Size = 6
    d_tick: Size = 192
    n_tick_layers: Size = 4
    kernel: Size = 7
    n_phonemes: Size = 178


class OmniConfig(StrictConfig):
    """Every part of one preset. Sizes that two parts share must agree.

    `speech_decoder`: sizes of the decoder to the embedded voice's vocoder, or the published flow matching and
    HiFT, whose units come from a tokenizer of its own (`unit_tokenizer` is None).
    `dropped_text_token`: the reply's last token is dropped before speech only if it ends the reply
    (`end`), or `last` as published, whatever it is.
    """

    speech_encoder: SpeechEncoderConfig
    speech_projector: SpeechProjectorConfig
    language_model: LanguageModelConfig
    unit_generator: UnitGeneratorConfig
    blendshape_decoder: BlendshapeDecoderConfig
    speech_decoder: Literal["flow_matching"] | SpeechDecoderConfig
    unit_tokenizer: UnitTokenizerConfig | None = None
    dropped_text_token: Literal["end", "last"] = "end"

    @model_validator(mode="after")
    def _parts_fit(self):
        generator, face = self.unit_generator, self.blendshape_decoder
        if generator.d_llm != self.language_model.d_model:
            raise ValueError("unit_generator.d_llm must equal language_model.d_model")
        if face.d_llm not in (None, self.language_model.d_model):
            raise ValueError("blendshape_decoder.d_llm must equal language_model.d_model, or be left out")
        if face.d_generator != generator.backbone.d_model:
            raise ValueError("blendshape_decoder.d_generator must equal unit_generator.backbone.d_model")
        if face.n_units < generator.n_units:
            raise ValueError("blendshape_decoder.n_units must not be below unit_generator.n_units")
        if isinstance(self.speech_decoder, SpeechDecoderConfig):
            levels = self.unit_tokenizer.levels if self.unit_tokenizer else ()
            if not levels:
                raise ValueError("a speech_decoder of ours needs the unit_tokenizer whose units it speaks")
            if math.prod(levels) != generator.n_units:
                raise ValueError("unit_generator.n_units must be the product of unit_tokenizer.levels")
        return self


def read_preset(source: str | Path) -> dict[str, Any]:
    """The mapping in a preset by name (`nano`, `paper`) or in a YAML file by path.

    Raises:
        ConfigError: no such preset or file, not YAML, or not a mapping.
    """
    presets = resources.files("exomni") / "configs"
    names = sorted(p.name.removesuffix(".yaml") for p in presets.iterdir() if p.name.endswith(".yaml"))
    values = read_yaml(source, "configs", f"a preset ({', '.join(names)})")
    if not isinstance(values, dict):
        raise ConfigError(f"{source}: a preset is a mapping of sections")
    return values


def load_config(source: str | Path) -> OmniConfig:
    """The networks of a preset by name (`nano`, `paper`) or of a YAML file by path.

    The section `parts`, which names what a pipeline is put together from, is read by `exomni.parts.loading`.

    Raises:
        ConfigError: no such preset or file, not YAML, or not a valid configuration; says which field.
    """
    values = {name: section for name, section in read_preset(source).items() if name != "parts"}
    return as_config(values, OmniConfig, source)


def with_fusion(config: OmniConfig, mode: str) -> OmniConfig:
    """The same configuration with another fusion in the blendshape decoder, for ablations.

    Raises:
        ConfigError: no such mode.
    """
    values = config.model_dump()
    values["blendshape_decoder"]["fusion"]["mode"] = mode
    return as_config(values, OmniConfig, f"fusion {mode!r}")
