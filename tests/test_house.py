"""How the code is laid out: rooms, names, sizes; every exception is listed with its reason."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
SRC = ROOT / "src" / "exomni"

MOST_LINES_OF_A_FILE = 400
MOST_LINES_OF_A_FUNCTION = 70
LONG_FILES: dict[str, str] = {}
"""Files that may be longer, each with its reason."""
LONG_FUNCTIONS: dict[str, str] = {}
"""Functions that may be longer, as `path:name`, each with its reason."""
REPEATED_MODULES = {
    "config": "the configuration of the room that it is in",
    "conversion": "of the part that it is in",
}
"""Names that several modules may have, each with its reason."""
FORBIDDEN = {
    "ear": "input audio",
    "hear": "transcribe, listen",
    "heard": "transcript, input audio",
    "hearing": "input audio, listening",
    "rather": "log-likelihood ratio",
    "rest": "idle, remainder",
    "somebody": "speaker",
    "somebodys": "speaker",
}
"""Words that are no names here, each with the field's words for it."""
ALLOWED_WORDS = {
    ("face/", "rest"): "the rest pose of a mesh",
    ("export/bones.py", "rest"): "the rest pose of a skeleton",
}
"""Where such a word is the field's own: path and word, each with its reason."""


@cache
def _modules() -> dict[str, ast.Module]:
    return {path.relative_to(SRC).as_posix(): ast.parse(path.read_text("utf-8")) for path in sorted(SRC.rglob("*.py"))}


def _several(found: dict[str, list[str]]) -> dict[str, list[str]]:
    return {name: places for name, places in found.items() if len(places) > 1}


def _words(name: str) -> set[str]:
    """`NoSpeechError` and `no_speech_error` as {no, speech, error}."""
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


def _names(tree: ast.Module) -> Iterator[str]:
    """Identifiers that the module gives: functions, classes, arguments, variables, attributes that are set."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name


def test_nothing_stands_beside_the_rooms():
    assert [path.name for path in SRC.glob("*.py")] == ["__init__.py"]


def test_no_two_classes_have_one_name():
    found = defaultdict(list)
    for path, tree in _modules().items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(path)
    assert not _several(found)


def test_no_two_modules_have_one_name():
    found = defaultdict(list)
    for path in _modules():
        name = Path(path).stem
        if name not in {"__init__", *REPEATED_MODULES}:
            found[name].append(path)
    repeated = _several(found)
    assert not repeated, "name each after what only it does, or give a reason in REPEATED_MODULES"


def test_files_and_functions_are_short():
    long_files, long_functions = {}, {}
    for path, tree in _modules().items():
        n_lines = len((SRC / path).read_text("utf-8").splitlines())
        if n_lines > MOST_LINES_OF_A_FILE and path not in LONG_FILES:
            long_files[path] = n_lines
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                n_lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if n_lines > MOST_LINES_OF_A_FUNCTION and f"{path}:{node.name}" not in LONG_FUNCTIONS:
                    long_functions[f"{path}:{node.name}"] = n_lines
    assert (long_files, long_functions) == ({}, {})


def test_names_are_the_fields_words():
    found = defaultdict(set)
    for path, tree in _modules().items():
        for name in [*_names(tree), *Path(path).with_suffix("").parts]:
            allowed = {word for (place, word) in ALLOWED_WORDS if path.startswith(place)}
            if _words(name) & FORBIDDEN.keys() - allowed:
                found[path].add(name)
    assert not found


def test_exceptions_are_still_needed():
    modules = _modules()
    stems = [Path(path).stem for path in modules]
    assert all(stems.count(name) > 1 for name in REPEATED_MODULES)
    assert LONG_FILES.keys() <= modules.keys()
    assert {place.partition(":")[0] for place in LONG_FUNCTIONS} <= modules.keys()
    for place, word in ALLOWED_WORDS:
        trees = [tree for path, tree in modules.items() if path.startswith(place)]
        assert any(word in _words(name) for tree in trees for name in _names(tree)), (place, word)
