"""Weights into modules, strictly: the published key layout mapped onto our modules.

A missing, surplus or misshapen key is an error that names it. Nothing is loaded in part.
"""

from collections.abc import Collection, Mapping
from pathlib import Path

from torch import Tensor, nn

from ..core.errors import CheckpointError
from .blendshape_decoder import BlendshapeDecoder
from .unit_generator import UnitGeneratorBase

Rules = tuple[tuple[str, str], ...]
"""Pairs of (part of our key, part of the published key); `*` stands for one layer index."""

FUSION: Rules = (
    ("fuse.layers.*.attention.gate.", "layers.*.0.gate_proj."),
    ("fuse.layers.*.attention.", "layers.*.0."),
    ("fuse.layers.*.feed_forward.", "layers.*.1."),
    ("fuse.norm.", "norm."),
)
UNIT_GENERATOR: Rules = (
    ("context_projection.", "input_proj."),
    *((f"fusion.{ours}", f"tqgf.{theirs}") for ours, theirs in FUSION),
    ("backbone.", "llm.model.model."),
    ("unit_embedding.", "speech_embedding."),
    ("unit_head.", "llm_decoder."),
    ("prompt_embedding.", "llm_embedding."),
)
_ENCODER = "transformer_encoder.transformer_encoder.layers.*."
BLENDSHAPE_DECODER: Rules = (
    ("context_projection.", "speech_gen_projection."),
    ("unit_embedding.", "speech_token_embedding."),
    ("unit_projection.", "speech_token_projection."),
    *((f"fusion.{ours}", f"tqgf.{theirs}") for ours, theirs in FUSION),
    ("layers.*.qkv.", f"{_ENCODER}self_attn.in_proj_"),
    ("layers.*.out.", f"{_ENCODER}self_attn.out_proj."),
    ("layers.*.expand.", f"{_ENCODER}linear1."),
    ("layers.*.contract.", f"{_ENCODER}linear2."),
    ("layers.*.norm_attention.", f"{_ENCODER}norm1."),
    ("layers.*.norm_ff.", f"{_ENCODER}norm2."),
    ("head.", "out_head."),
)
SPEECH_PROJECTOR: Rules = (("expand.", "linear1."), ("contract.", "linear2."))
OMNI: Rules = (
    ("language_model.model.lm_head.", "lm_head."),
    ("language_model.model.model.", "model."),
    ("speech_encoder.encoder.", "model.speech_encoder.model.encoder."),
    *((f"speech_projector.{a}", f"model.speech_projector.{b}") for a, b in SPEECH_PROJECTOR),
    *((f"unit_generator.{a}", f"model.speech_generator.{b}") for a, b in UNIT_GENERATOR),
    *((f"blendshape_decoder.{a}", f"model.blendshape_generator.{b}") for a, b in BLENDSHAPE_DECODER),
)


def published_key(key: str, rules: Rules) -> str:
    """The published name of one of our keys.

    Raises:
        CheckpointError: the published layout has no such part.
    """
    for ours, theirs in rules:
        before, star, after = ours.partition("*")
        if not key.startswith(before):
            continue
        index, remainder = "", key[len(before) :]
        if star:
            index, dot, remainder = remainder.partition(".")
            remainder = dot + remainder
            if not remainder.startswith(after):
                continue
            remainder = remainder[len(after) :]
        return theirs.replace("*", index) + remainder
    raise CheckpointError(f"the published layout has no counterpart of '{key}'")


def optional_generator_keys(module: UnitGeneratorBase, prefix: str = "") -> dict[str, tuple[int, ...]]:
    """Keys of a published unit generator that may be there and are not used: its tied, idle text head."""
    table = module.backbone.embed_tokens.weight
    return {f"{prefix}llm.model.lm_head.weight": tuple(table.shape)}


def optional_decoder_keys(module: BlendshapeDecoder, prefix: str = "") -> dict[str, tuple[int, ...]]:
    """Keys of a published blendshape decoder that may be there and are recomputed: one table, two names."""
    shape = (module.config.d_model // 2,)
    return {f"{prefix}{part}rope.inv_freq": shape for part in ("", "transformer_encoder.")}


def load_strictly(
    module: nn.Module,
    tensors: Mapping[str, Tensor],
    rules: Rules,
    optional: Mapping[str, tuple[int, ...]] | None = None,
    tied: Collection[str] = (),
) -> None:
    """Fill a module from tensors under published names, cast to the module's own types.

    Args:
        module: what to fill; parameters on the meta device are replaced by real ones.
        tensors: by published key.
        rules: from our keys to published ones.
        optional: published keys that may be there, and their shapes; they are checked and not used.
        tied: our keys that share another's weight: they may be missing, and the caller ties them again.
    Raises:
        CheckpointError: names every missing, surplus and misshapen key.
    """
    wanted = module.state_dict()
    names = {published_key(key, rules): key for key in wanted if key not in tied}
    shapes = {name: tuple(wanted[key].shape) for name, key in names.items()} | dict(optional or {})
    shapes |= {published_key(key, rules): tuple(wanted[key].shape) for key in tied}
    faults = [f"missing: {name}" for name in names if name not in tensors]
    faults += [f"surplus: {name}" for name in tensors if name not in shapes]
    faults += [
        f"misshapen: {name} is {list(tensors[name].shape)} and should be {list(shape)}"
        for name, shape in shapes.items()
        if name in tensors and tuple(tensors[name].shape) != shape
    ]
    if faults:
        raise CheckpointError(f"the weights do not fit {type(module).__name__}: " + "; ".join(faults))
    state = {key: tensors[name].to(wanted[key].dtype) for name, key in names.items()}
    module.load_state_dict(state, strict=not tied, assign=True)


def read_weights(folder: Path) -> dict[str, Tensor]:
    """Every tensor of every safetensors file of a folder, in order of file name.

    Raises:
        CheckpointError: there is none, one cannot be read, or two files hold the same key.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise CheckpointError(f"{folder} holds no *.safetensors file")
    tensors: dict[str, Tensor] = {}
    for file in files:
        try:
            shard = load_file(file)
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{file} cannot be read: {error}") from error
        twice = tensors.keys() & shard.keys()
        if twice:
            raise CheckpointError(f"{file} repeats {', '.join(sorted(twice))}")
        tensors |= shard
    return tensors
