"""The committed build is what the sources give, and the client passes its own tests."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from .mock_server import WEB

SOURCES = Path(__file__).parents[3] / "web"

pytestmark = pytest.mark.skipif(shutil.which("npm") is None, reason="node and npm are not installed")


@pytest.fixture(scope="module")
def npm():
    """Runs npm in the sources, with what the lock file names installed."""

    def run(*arguments: str, **environment: str) -> None:
        done = subprocess.run(
            ["npm", *arguments], cwd=SOURCES, env=os.environ | environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stdout + done.stderr

    lock, installed = SOURCES / "package-lock.json", SOURCES / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        run("ci", "--ignore-scripts", "--no-audit", "--no-fund")
    return run


def test_the_committed_build_is_that_of_the_sources(npm, tmp_path):
    npm("run", "build", OUT_DIR=str(tmp_path))
    assert contents(tmp_path) == {name: data for name, data in contents(WEB).items() if not name.startswith("heads/")}


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_types_fit(npm):
    npm("run", "check")


def test_the_client_passes_its_own_tests(npm):
    npm("test")
