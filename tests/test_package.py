"""What is offered by name, what is installed, and what is said where an extra is missing."""

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

import exomni
from exomni import cli
from exomni.cli.extras import distribution

ROOT = Path(__file__).parent.parent
SRC = ROOT / "src" / "exomni"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

UNDECLARED = {
    "distillmos": "installed without its dependencies, which do not go with ours (Makefile)",
    "huggingface_hub": "comes with transformers; a hub is asked only where it is there",
    "piper": "a voice for training; whoever builds such data installs it (exomni.data.voices)",
    "pydantic_core": "comes with pydantic, each version with its own",
}
"""Modules that are imported and stand in no list of dependencies, and why."""
UNIMPORTED = {
    "accelerate": "transformers reads a GGUF file with it",
    "python-multipart": "starlette reads forms with it",
    "import-linter": "a program",
    "pyright": "a program",
    "pytest-cov": "a plugin",
    "pytest-xdist": "a plugin",
    "playwright": "the page's tests import it where it is there",
    "ruff": "a program",
}
"""Packages that are declared and imported nowhere, and why."""
OURS = {"exomni", "tests", "tools"}
DIFFERING = {"yaml": "pyyaml", "hibari": "hibari-tts", "nvidia_audio2face_3d": "nvidia-audio2face-3d",
             "pythonosc": "python-osc"}  # fmt: skip
"""Packages that are named otherwise than their module, beside those that the command line knows."""
EXTRAS = {
    "cli": {"export", "data"},  # its commands show progress
    "face": {"export"},  # its pictures; measures need nothing
    "export": {"export", "sound"},
    "data": {"data", "teachers-nvidia"},
    "serve": {"serve"},
    "train": {"train"},
    "evaluate": {"evaluate"},
}
"""Extras whose packages the modules of a room may import; the others do with what is always installed."""
LATE = {("model/adapters.py", "peft"): "only training puts adapters in"}
"""Imports that go beyond that, and why."""

TALK = """
import sys
for name in sys.argv[1].split(","):
    sys.modules[name] = None
import exomni.pipeline.exomni
from exomni.cli import main
sys.argv = ["exomni", *sys.argv[2:]]
main()
"""


@cache
def _imports(folder: Path) -> dict[str, set[str]]:
    """Top-level modules from elsewhere, each with the files that import it."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            for name in {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names) - OURS:
                found[name].add(path.relative_to(folder).as_posix())
    return found


def _package(module: str) -> str:
    return DIFFERING.get(module) or distribution(module)


def _declared() -> dict[str, set[str]]:
    """Packages of each extra with what it is made of; those that are always installed under ""."""
    rows = {"": PROJECT["dependencies"], **PROJECT["optional-dependencies"]}

    def packages(extra: str) -> set[str]:
        found = set()
        for row in rows[extra]:
            name, parts = re.fullmatch(r"([\w.-]+)(?:\[(.+?)\])?.*", row).groups()
            found |= set().union(*map(packages, parts.split(","))) if name == "exomni" else {distribution(name)}
        return found

    return {extra: packages(extra) for extra in rows}


def test_public_names_come_when_they_are_asked_for():
    from exomni import ExOmni, ExomniError, Reply, load_published
    from exomni.core import errors
    from exomni.pipeline.exomni import ExOmni as Home

    assert set(exomni.__all__) == {"ExOmni", "ExomniError", "Reply", "load_published"}
    assert ExOmni is Home
    assert ExomniError is errors.ExomniError
    assert Reply.__module__ == "exomni.pipeline.results"
    assert callable(load_published)


def test_other_names_are_not_there():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        exomni.nothing  # noqa: B018
    with pytest.raises(ImportError):
        importlib.import_module("exomni.nothing")


def test_every_import_is_declared():
    known = set().union(*(packages for extra, packages in _declared().items() if extra != "dev"))
    missing = {name: files for name, files in _imports(SRC).items() if _package(name) not in known}
    assert set(missing) == set(UNDECLARED), missing


def test_every_declared_package_is_imported():
    of_src = set(map(_package, _imports(SRC)))
    of_all = of_src.union(*(map(_package, _imports(ROOT / name)) for name in ("tests", "tools", "benchmarks")))
    for extra, packages in _declared().items():
        unused = packages - (of_all if extra == "dev" else of_src) - set(UNIMPORTED)
        assert not unused, (extra, unused)


def test_a_room_imports_what_its_extras_bring():
    declared = _declared()
    for module, files in _imports(SRC).items():
        for file in files - {file for file, name in LATE if name == module}:
            allowed = declared[""].union(*(declared[extra] for extra in EXTRAS.get(file.partition("/")[0], ())))
            assert module in UNDECLARED or _package(module) in allowed, (file, module)


def test_every_file_is_shipped():
    setup = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
    shipped = {path for pattern in setup["package-data"]["exomni"] for path in SRC.glob(pattern)}
    files = {p for p in SRC.rglob("*") if p.is_file() and p.suffix != ".py" and "__pycache__" not in p.parts}
    assert files <= shipped
    assert SRC / "py.typed" in shipped


@pytest.mark.slow
@pytest.mark.skipif(not (SRC / "weights" / "nano").is_dir(), reason="the weights of nano are not here")
@pytest.mark.parametrize("command", ["talk", "animate"])
def test_talking_needs_no_extra(command, tmp_path, speechlike):
    from exomni.pipeline.results import wav_bytes

    declared = _declared()
    (tmp_path / "me.wav").write_bytes(wav_bytes(speechlike(1.0, 16_000), 16_000))
    # What others that are always installed bring along is there too.
    brought = {"h11", "scipy", "tqdm"}
    blocked = {name for name in _imports(SRC) if _package(name) not in declared[""]} - set(UNDECLARED) - brought
    assert {"PIL", "fastapi", "numba", "pyarrow"} <= blocked
    said = {"animate": "me.wav"}.get(command, "Hello there.")
    done = subprocess.run(
        [sys.executable, "-c", TALK, ",".join(blocked | {"accelerate"}), command, "-o", "out", said],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "face.json").is_file()


@pytest.fixture
def ends(monkeypatch, capsys):
    """Function that lets a module of exomni miss another while a command runs, and gives the code and what is said."""
    rows = [f'{row}; extra == "{extra}"' for extra, rows in PROJECT["optional-dependencies"].items() for row in rows]
    monkeypatch.setattr("exomni.cli.extras.requires", lambda _: [*PROJECT["dependencies"], *rows])

    def go(importer: str, missing: str):
        scope = {"__name__": f"exomni.{importer}", "missing": missing}
        exec("def run(): raise ModuleNotFoundError('No module named ' + missing, name=missing)", scope)
        monkeypatch.setattr("exomni.cli.app", scope["run"])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code, capsys.readouterr().err

    return go


@pytest.mark.parametrize(
    ("importer", "missing", "extra"),
    [
        ("serve.backend", "fastapi", "serve"),
        ("serve.downloads", "PIL.Image", "serve"),
        ("face.kernels", "numba", "export"),
        ("export.tables", "pyarrow", "export"),
        ("data.store", "pyarrow", "data"),
        ("train.joint", "peft", "train"),
        ("evaluate.judges", "faster_whisper", "evaluate"),
        ("data.teachers.audio2face3d", "grpc", "teachers-nvidia"),
        ("export.live.sound", "sounddevice", "sound"),
    ],
)
def test_a_missing_extra_is_named(ends, importer, missing, extra):
    package = missing.partition(".")[0]
    assert ends(importer, missing) == (2, f"exomni: this needs the package {package}: pip install 'exomni[{extra}]'\n")


@pytest.mark.slow
def test_the_server_without_its_extra_says_so():
    blocked = "fastapi,starlette,uvicorn,prometheus_client"
    done = subprocess.run([sys.executable, "-c", TALK, blocked, "serve"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert re.fullmatch(r"exomni: this needs the package \w+: pip install 'exomni\[serve\]'\n", done.stderr)


def test_a_module_that_no_extra_brings_is_a_fault_of_ours(monkeypatch):
    def fail():
        raise ModuleNotFoundError("No module named 'nobody_knows'", name="nobody_knows")

    monkeypatch.setattr("exomni.cli.app", fail)
    with pytest.raises(ModuleNotFoundError, match="nobody_knows"):
        cli.main()
