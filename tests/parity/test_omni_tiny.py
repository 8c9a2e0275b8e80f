"""The whole published model, from a checkpoint folder to a face.

A folder that stores no weights gets those that the recipe of the other fixtures draws, under full key names,
with two changes that make its cases what they are: special units are never likely, and the text ends where
the case `text_eos` ends. That reproduces the recorded replies. The tensors of `io.npz` are compared where a
folder has them.
"""

import json
import re
import warnings

import pytest
import torch

from exomni.core.errors import CheckpointError
from exomni.model.config import SamplingConfig
from exomni.model.omni import OmniReply
from exomni.model.prompt import SYSTEM_TEXT, ChatMessage, assemble, prompt_ids
from exomni.model.sampling import UnitSampler
from exomni.model.speech_projector import encoder_frames
from exomni.model.tokens import SPEECH_MARKER
from exomni.parts.published.checkpoint import PublishedModel, load_published
from exomni.train.losses import token_loss

from .conftest import TOLERANCE, close, needs, needs_tensor, recipe_tensor

KIND = "omni_tiny"
END, TEXT_EOS_RIVAL = 257, 90
CLIP_MEL_FRAMES = (101, 60)
"""Lengths of the two clips of the prompt-assembly cases."""


def read(fixture, name: str):
    return json.loads((fixture.folder / name).read_text())


def stores_weights(fixture) -> bool:
    return any(fixture.folder.glob("*.safetensors"))


def recipe_checkpoint(fixture, folder):
    """A checkpoint folder with drawn weights."""
    from safetensors.torch import save_file

    salt = read(fixture, "cases.json")["weight_salt"]
    weights = {}
    for key, (shape, _) in read(fixture, "keys.json").items():
        if key.endswith("inv_freq"):
            weights[key] = 10_000.0 ** -(torch.arange(shape[0]) / shape[0])
        else:
            weights[key] = recipe_tensor(salt, key, shape)
    generator = "model.speech_generator.llm.model."
    weights[f"{generator}lm_head.weight"] = weights[f"{generator}model.embed_tokens.weight"].clone()
    weights["model.speech_generator.llm_decoder.bias"][-3:] = -10.0
    weights["lm_head.weight"][END] = 1.2 * weights["lm_head.weight"][TEXT_EOS_RIVAL]
    save_file(weights, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(fixture.config))
    encoder = folder / fixture.config["pretrain_speech_encoder_weights"]
    encoder.mkdir()
    (encoder / "config.json").write_text('{"encoder_attention_heads": 2}')
    return folder


@pytest.fixture
def model(fixture, tmp_path) -> PublishedModel:
    folder = fixture.folder if stores_weights(fixture) else recipe_checkpoint(fixture, tmp_path)
    return load_published(folder, as_published=True)


def byte_tokens(text: str) -> list[int]:
    """The fixture's tokenizer: bytes, and the two tokens of the chat format."""
    special = {"<|im_start|>": 258, "<|im_end|>": END}
    parts = re.split(r"(<\|im_start\|>|<\|im_end\|>)", text)
    return [i for part in parts for i in ([special[part]] if part in special else part.encode())]


def message(role: str, content: str) -> ChatMessage:
    has_speech = content.startswith("<speech>")
    return ChatMessage(role, content.removeprefix("<speech>").removeprefix("\n") if has_speech else content, has_speech)


class Margins(UnitSampler):
    """Greedy, and remembers how narrow its choices were."""

    def __init__(self) -> None:
        super().__init__(SamplingConfig(temperature=0), seed=0)
        self.least = float("inf")

    def __call__(self, logits, recent):
        best, second = logits.topk(2).values.tolist()
        self.least = min(self.least, best - second)
        return super().__call__(logits, recent)


def test_prompts_as_published(fixture):
    for prompt in read(fixture, "prompts.json"):
        messages = [message(m["role"], m["content"]) for m in prompt["messages"]]
        assert prompt_ids(messages, byte_tokens) == prompt["ids_with_speech_index"]


@needs(lambda fixture: (fixture.folder / "vocab.json").exists())
def test_tokenizer_of_the_folder(fixture, model):
    for prompt in read(fixture, "prompts.json"):
        messages = [message(m["role"], m["content"]) for m in prompt["messages"]]
        assert model.prompt_ids(messages) == prompt["ids_with_speech_index"]


def case_prompt(fixture, model, name: str) -> list[int] | None:
    """Prompt of an end-to-end case; None where it takes a recording that this folder has not."""
    case = read(fixture, "cases.json")["e2e"][name]
    if stores_weights(fixture):
        return one(fixture.io, f"e2e.{name}.", r"input_ids").flatten().tolist()
    if case["speech_file"]:
        return None
    ids = prompt_ids([ChatMessage("system", SYSTEM_TEXT), ChatMessage("user", case["user_text"])], byte_tokens)
    marker = list(b"<speech>")  # the published code reads a typed marker as speech, here all silence
    places = [i for i in range(len(ids)) if ids[i : i + len(marker)] == marker]
    for place in places:
        ids[place : place + len(marker)] = [SPEECH_MARKER]
    return ids


def answer(fixture, model, name: str, ids: list[int]) -> tuple[OmniReply, Margins, Margins]:
    text, units = Margins(), Margins()
    clips = []
    if SPEECH_MARKER in ids:
        case = read(fixture, "cases.json")["e2e"][name]
        if case["speech_file"]:
            clips = model.listen([one(fixture.io, "e2e.", r"wav").flatten().numpy()])
        else:
            silence = torch.zeros(case["speech_shape"])
            with torch.inference_mode():
                clips = model.omni.encode_speech(silence, case["speech_lengths"])
    kwargs = read(fixture, "cases.json")["e2e"][name]["generate_kwargs"]
    reply = model.omni.respond(
        ids, clips, text_sampler=text, unit_sampler=units,
        max_tokens=int(kwargs["max_new_tokens"]), end_ids=model.end_ids,
    )  # fmt: skip
    return reply, text, units


def test_replies_as_published(fixture, model):
    answered = 0
    for name, case in read(fixture, "cases.json")["e2e"].items():
        ids = case_prompt(fixture, model, name)
        if ids is None:
            continue
        reply, text, units = answer(fixture, model, name, ids)
        assert list(reply.prompt_embeds.shape) == case["inputs_embeds_shape"][1:], name
        assert reply.text_ids.tolist() == case["text_tokens"], name
        assert len(reply.text_states) == case["n_gen_hidden"], name
        assert len(reply.units) == case["units_n"], name
        assert len(reply.unit_states) == case["unit_hidden_n"], name
        assert int((reply.units == 0).sum()) == case["zero_unit_ids"], name
        assert list(reply.blendshapes.shape) == case["blendshape_shape"][1:], name
        assert text.least == pytest.approx(case["text_min_top1_top2_margin"], abs=1e-4), name
        assert units.least == pytest.approx(case["unit_min_margin"], abs=1e-4), name
        answered += 1
    assert answered >= 3


def test_mended_replies_lose_nothing(fixture, tmp_path):
    """Unit 0 counts: the face of `text_eos` lasts as long as its speech."""
    folder = fixture.folder if stores_weights(fixture) else recipe_checkpoint(fixture, tmp_path)
    model = load_published(folder)
    case = read(fixture, "cases.json")["e2e"]["text_eos"]
    reply, _, _ = answer(fixture, model, "text_eos", case_prompt(fixture, model, "text_eos"))
    assert reply.text_ids.tolist() == case["text_tokens"]
    assert len(reply.blendshapes) == len(reply.units) * 12 // 5 > case["blendshape_shape"][1]


@needs(lambda fixture: not stores_weights(fixture))
def test_faulty_checkpoints_are_named(fixture, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = recipe_checkpoint(fixture, tmp_path)
    weights = load_file(folder / "model.safetensors")
    head = weights.pop("model.speech_generator.llm_decoder.weight")
    weights["model.speech_projector.linear1.bias"] = weights["model.speech_projector.linear1.bias"][:-1]
    weights["model.speech_generator.spare.weight"] = head
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(CheckpointError) as caught:
        load_published(folder)
    for fault in (
        "missing: model.speech_generator.llm_decoder.weight",
        "spare.weight",
        "linear1.bias is [2047]",
    ):
        assert fault in str(caught.value)
    with pytest.raises(CheckpointError, match=r"config\.json"):
        load_published(tmp_path / "nowhere")
    for field, value in (("nhead", 0), ("hidden_size", "wide"), ("rope_theta", [1])):
        (folder / "config.json").write_text(json.dumps({**fixture.config, field: value}))
        with pytest.raises(CheckpointError, match="makes no sense"):
            load_published(folder)


@needs(lambda fixture: not stores_weights(fixture))
def test_tolerated_keys_and_prefixes(fixture, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = recipe_checkpoint(fixture, tmp_path)
    weights = load_file(folder / "model.safetensors")
    for key in [k for k in weights if k.endswith("inv_freq") or k.startswith("model.speech_encoder.model.decoder")]:
        del weights[key]
    del weights["model.speech_generator.llm.model.lm_head.weight"]
    bare = {k.removeprefix("model.") if "blendshape_generator" in k else k: v for k, v in weights.items()}
    twice = {f"model.{k}" if "model.speech_projector" in k else k: v for k, v in bare.items()}
    save_file(twice, folder / "model.safetensors")
    assert load_published(folder).omni.blendshape_decoder.config.n_channels == fixture.config["out_dim"]


def one(io: dict, prefix: str, pattern: str) -> torch.Tensor:
    """The recorded tensor whose name begins and matches so."""
    found = [key for key in sorted(io) if key.startswith(prefix) and re.search(pattern, key[len(prefix) :])]
    assert found, f"no tensor {prefix}*{pattern} among {sorted(io)}"
    return io[found[0]]


def close_where_recorded(ours: torch.Tensor, recorded: torch.Tensor, name: str) -> None:
    """Compare with a recording that may have a batch axis of one and may hold every n-th row only."""
    recorded = recorded.float().reshape(
        recorded.shape[-ours.dim() :] if recorded.dim() > ours.dim() else recorded.shape
    )
    strides = [s for s in range(1, 51) if len(range(0, len(ours), s)) == len(recorded)]
    assert strides, f"{name}: {tuple(recorded.shape)} against {tuple(ours.shape)}"
    errors = [(ours[::s].float() - recorded).abs() - TOLERANCE["rtol"] * recorded.abs() for s in strides]
    assert min(float(e.max()) for e in errors) <= TOLERANCE["atol"], name


RECORDED = (
    (r"wav|speech_feat|mel", None),
    (r"input_ids", None),
    (r"embed", lambda r: r.prompt_embeds),
    (r"logit", lambda r: r.text_logits),
    (r"unit.*(hidden|state)|(hidden|state).*unit", lambda r: r.unit_states),
    (r"unit", lambda r: r.units),
    (r"clip|weight|export", lambda r: r.blendshapes.clamp(0, 1)),
    (r"blend|bs|raw|pred", lambda r: r.blendshapes),
    (r"hidden|state", lambda r: r.text_states),
    (r"ids|token|text|sequences", lambda r: r.text_ids),
)
"""Which part of a reply a recorded tensor shows, by its name; the first that matches. None is an input."""


@needs_tensor("enc.input_features")
def test_recorded_tensors_of_replies(fixture, model):
    for name in read(fixture, "cases.json")["e2e"]:
        ids = case_prompt(fixture, model, name)
        reply, _, _ = answer(fixture, model, name, ids)
        shown = 0
        for key in [k for k in fixture.io if k.startswith(f"e2e.{name}.")]:
            part = next((get for pattern, get in RECORDED if re.search(pattern, key[len(f"e2e.{name}.") :])), None)
            if part is None:
                warnings.warn(f"{key} is not compared", stacklevel=1)
                continue
            close_where_recorded(part(reply), fixture.io[key], key)
            shown += 1
        assert shown >= 3, name


def clip_lengths(io: dict, case: str) -> list[int]:
    given = [io[k] for k in io if k.startswith(f"asm.{case}.in.") and "length" in k]
    return [int(n) for n in given[0].flatten()] if given else list(CLIP_MEL_FRAMES)


def assembly_cases(fixture) -> dict[str, dict]:
    info = read(fixture, "cases.json")["info"]
    return {k.removeprefix("asm."): v for k, v in info.items() if k.startswith("asm.") and isinstance(v, dict)}


@torch.inference_mode()
def assembled(fixture, model, name: str, case: dict):
    io, prefix = fixture.io, f"asm.{name}.in."
    ids = one(io, prefix, r"input_ids|ids")
    given = {k[len(prefix) :]: io[k] for k in io if k.startswith(prefix)}
    mask = next((v for k, v in given.items() if "mask" in k), None)
    labels = next((v for k, v in given.items() if "label" in k), None)
    lengths = clip_lengths(io, name)
    clips = model.omni.encode_speech(io["enc.input_features"][: len(lengths)], lengths)
    kept = ids if mask is None else ids.masked_fill(~mask.bool(), 0)
    overrides = case["config_overrides"]
    return assemble(
        ids,
        clips[: int((kept == SPEECH_MARKER).sum())],
        model.omni.language_model.embed,
        attention_mask=mask,
        labels=labels,
        max_length=overrides.get("tokenizer_model_max_length"),
        padding_side=overrides.get("tokenizer_padding_side", "right"),
    )


@needs_tensor("enc.input_features")
def test_recorded_prompt_assembly(fixture, model):
    compared = 0
    for name, case in assembly_cases(fixture).items():
        outputs = {k for k, shape in case["outputs"].items() if shape and k != "input_ids"}
        if not outputs:
            continue
        prompt = assembled(fixture, model, name, case)
        for part in outputs:
            recorded, ours = one(fixture.io, f"asm.{name}.out.", part), getattr(prompt, part)
            assert list(ours.shape) == case["outputs"][part], f"{name} {part}"
            close(ours.float(), recorded.float())
            compared += 1
    assert compared


@needs_tensor("enc.input_features")
@torch.inference_mode()
def test_recorded_language_model(fixture, model):
    cases = assembly_cases(fixture)
    prompt = assembled(fixture, model, "one_speech", cases["one_speech"])
    out = model.omni.language_model(prompt.inputs_embeds, prompt.attention_mask, prompt.position_ids)
    close(out.logits, fixture.io["lm.one_speech.logits"])
    close(out.hidden_states, fixture.io["lm.one_speech.last_hidden"])
    prompt = assembled(fixture, model, "batch2_right", cases["batch2_right"])
    out = model.omni.language_model(prompt.inputs_embeds, prompt.attention_mask, prompt.position_ids)
    close(token_loss(out.logits[:, :-1], prompt.labels[:, 1:]), fixture.io["lm.batch2_forward.loss"])


@needs_tensor("enc.input_features")
@torch.inference_mode()
def test_recorded_speech_encoder(fixture, model):
    frames = model.omni.speech_encoder(fixture.io["enc.input_features"])
    recorded = [v for k, v in fixture.io.items() if k.startswith("enc.") and k != "enc.input_features" and v.dim() == 3]
    assert recorded
    for tensor in recorded:
        close(frames[:, ::25], tensor)


def test_clip_lengths_as_published(fixture, model):
    """Nine mel frames are five encoder frames and one token; eight are four, and none."""
    projector = model.omni.speech_projector
    wanted = read(fixture, "cases.json")["info"]["encode_speech_lengths_9_8"]
    assert [projector.n_tokens(9), projector.n_tokens(8)] == wanted
    assert projector.n_tokens(3000) == 300
    clips = model.omni.encode_speech(torch.zeros(2, model.omni.config.speech_encoder.n_mels, 3000), [9, 8])
    assert [len(clip) for clip in clips] == wanted


@needs_tensor("lengths.mel_frames")
def test_recorded_lengths(fixture, model):
    tables = [fixture.io[f"lengths.{name}"].tolist() for name in ("mel_frames", "encoder_frames", "llm_tokens")]
    for n_mel, n_encoder, n_tokens in zip(*tables, strict=True):
        assert encoder_frames(n_mel) == n_encoder
        assert model.omni.speech_projector.n_tokens(n_mel) == n_tokens


@needs_tensor("encode_speech.lengths")
@torch.inference_mode()
def test_recorded_speech_tokens(fixture, model):
    clips = model.omni.encode_speech(fixture.io["enc.input_features"], fixture.io["encode_speech.lengths"].tolist())
    assert [len(clip) for clip in clips] == fixture.io["encode_speech.n_tokens"].tolist()
    close(clips[0][::10], fixture.io["encode_speech.feat0_every_10th"])
    close(clips[1], fixture.io["encode_speech.feat1"])
