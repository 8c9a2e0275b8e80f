"""The examples of docs/exports.md, run as they stand."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from exomni.cli import app
from exomni.export import FORMATS, Profile, load_profile, save_profile
from exomni.export.a2f import write_a2f
from exomni.export.audio_files import write_wav
from exomni.export.live import DESTINATIONS

DOC = (Path(__file__).parents[2] / "docs" / "exports.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^#{1,3} (.+?)\n(.*?)(?=^#{1,3} |\Z)", DOC, re.MULTILINE | re.DOTALL))


@pytest.fixture
def reply(track, tmp_path, monkeypatch):
    """The folder that the examples begin with, in the current one."""
    short = track.replace(frames=track.frames[:30] * 0.6, head=None, eyes=None, audio=track.audio[:24_000])
    write_a2f(short, tmp_path / "reply" / "face.json", "speech.wav")
    write_wav(short, tmp_path / "reply" / "speech.wav")
    (tmp_path / "reply" / "reply.json").write_text(json.dumps({"text": track.text}))
    monkeypatch.chdir(tmp_path)


def examples(language):
    return [
        pytest.param(code, id=f"{title}-{i}")
        for title, body in SECTIONS.items()
        for i, code in enumerate(re.findall(rf"```{language}\n(.*?)```", body, re.DOTALL))
    ]


@pytest.mark.usefixtures("reply")
@pytest.mark.parametrize("code", examples("python"))
def test_an_example_runs(code):
    exec(compile(code, "docs/exports.md", "exec"), {"numpy": np})


@pytest.mark.usefixtures("reply")
@pytest.mark.parametrize("code", examples("console"))
def test_a_command_runs(code):
    save_profile(Profile(), "anna.yaml")
    for line in code.splitlines():
        prompt, _, command = line.partition("$ exomni ")
        assert not prompt
        done = CliRunner().invoke(app, shlex.split(command))
        assert done.exit_code == 0, done.output


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_has_a_section_with_an_example(name):
    body = SECTIONS[f"`{name}`"]
    assert re.search(rf"```python\n.*\b({name}|{FORMATS[name].suffix[1:]})\b.*```", body, re.DOTALL)
    if name not in ("plot", "wav"):
        assert f"`{name}`" in SECTIONS["Which program reads which file"]


def test_no_section_is_about_a_format_that_is_not_there():
    assert {title.strip("`") for title in SECTIONS if title.startswith("`")} == set(FORMATS)


def test_the_profile_in_the_text_is_one(tmp_path):
    (code,) = re.findall(r"```yaml\n(.*?)```", DOC, re.DOTALL)
    (tmp_path / "anna.yaml").write_text(code, "utf-8")
    profile = load_profile(tmp_path / "anna.yaml")
    assert profile.shapes["jawOpen"].smoothing is False
    assert profile.reroute["tongueOut"] == {}


def test_each_destination_is_told():
    for url in DESTINATIONS:
        assert f"`{url.split(':')[0]}://" in SECTIONS["Live"]
