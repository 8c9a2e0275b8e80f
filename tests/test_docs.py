"""The documentation's snippets run as they stand."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
WEIGHTS = ROOT / "src" / "exomni" / "weights" / "nano"
SNIPPET = re.compile(r"^```python\n(.*?)^```", re.S | re.M)

pytestmark = pytest.mark.skipif(not WEIGHTS.is_dir(), reason="the weights of nano are not here")


def test_readme_python_runs(tmp_path):
    snippets = SNIPPET.findall((ROOT / "README.md").read_text("utf-8"))
    assert snippets
    code = "\n".join(snippets)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"speech.wav", "face.json", "face.csv", "reply.json"}
    assert "SpeechEvent" in done.stdout


def test_readme_names_only_commands_that_exist():
    text = (ROOT / "README.md").read_text("utf-8")
    commands = {shlex.split(m)[0] for m in re.findall(r"`exomni ([^`]+)`", text)}
    assert {"talk", "speak", "animate", "evaluate"} <= commands
    for command in commands:
        done = subprocess.run(
            [sys.executable, "-c", "from exomni.cli import main; main()", command, "--help"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, command
