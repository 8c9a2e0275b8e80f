import pytest
import torch
import yaml
from pydantic import ValidationError

from exomni.core.errors import ConfigError
from exomni.model.config import OmniConfig, load_config
from exomni.model.omni import Omni

PRESETS = ["nano", "paper"]


def n_parameters(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_presets_name_every_section():
    for preset in PRESETS:
        config = load_config(preset)
        assert OmniConfig.model_validate(config.model_dump()) == config


def test_paper_has_the_published_sizes():
    """Figures of the paper and of the published checkpoint's layout."""
    with torch.device("meta"):
        omni = Omni(load_config("paper"))
    generator = omni.unit_generator
    assert n_parameters(generator) == pytest.approx(721.9e6, abs=0.05e6)
    assert n_parameters(generator.fusion) == pytest.approx(58.7e6, abs=0.05e6)
    assert n_parameters(omni.language_model) == pytest.approx(8.19e9, abs=0.01e9)
    assert n_parameters(omni.speech_encoder) == pytest.approx(637e6, abs=1e6)
    assert omni.speech_projector.expand.weight.shape == (2048, 5 * 1280)
    assert omni.speech_projector.contract.weight.shape == (4096, 2048)
    assert generator.unit_head.weight.shape == generator.unit_embedding.weight.shape == (16387, 1024)
    assert generator.context_projection[2].weight.shape == (4096, 4096)
    assert generator.fusion.fuse.layers[1]["attention"].to_kv.weight.shape == (8192, 1024)
    assert omni.blendshape_decoder.head[-1].out_features == 52
    assert all(p.is_meta for p in omni.parameters())


def test_nano_is_small():
    config = load_config("nano")
    with torch.device("meta"):
        omni = Omni(config)
    assert 5e6 < n_parameters(omni.unit_generator) < 15e6
    assert 2e6 < n_parameters(omni.blendshape_decoder) < 4e6
    assert n_parameters(omni.language_model) == pytest.approx(134.5e6, abs=0.1e6)


def changed(preset: str, path: str, value) -> dict:
    fields = load_config(preset).model_dump()
    inner = fields
    *parents, last = path.split(".")
    for name in parents:
        inner = inner[name]
    inner[last] = value
    return fields


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        ("unit_generator.spare", 1, "spare"),
        ("unit_generator.d_llm", 99, "d_llm"),
        ("unit_generator.backbone.n_kv_heads", 3, "n_kv_heads"),
        ("unit_generator.fusion.head_dim", 6, "head_dim"),
        ("unit_generator.fusion.mode", "magic", "mode"),
        ("blendshape_decoder.d_generator", 99, "d_generator"),
        ("blendshape_decoder.d_llm", 100, r"blendshape_decoder\.d_llm must equal"),
        ("blendshape_decoder.n_units", 5, "n_units"),
        ("blendshape_decoder.n_heads", 5, "n_heads"),
        ("unit_generator.pace.kind", "lively", "pace"),
        ("unit_tokenizer", None, "needs the unit_tokenizer"),
        ("unit_tokenizer.levels", [8, 5, 5, 5, 3], "product of unit_tokenizer.levels"),
    ],
)
def test_what_cannot_work_is_refused(path, value, complaint):
    with pytest.raises(ValidationError, match=complaint):
        OmniConfig.model_validate(changed("nano", path, value))


def test_files_and_their_faults(tmp_path):
    good = tmp_path / "mine.yaml"
    good.write_text(yaml.safe_dump(load_config("paper").model_dump(mode="json")))
    assert load_config(good) == load_config("paper")
    with pytest.raises(ConfigError, match="nano, paper"):
        load_config("large")
    for text in ("unit_generator: {", "d: 1"):
        good.write_text(text)
        with pytest.raises(ConfigError, match=r"mine\.yaml"):
            load_config(good)


def test_nothing_is_changed_after_loading():
    with pytest.raises(ValidationError):
        load_config("nano").unit_generator.n_units = 3
