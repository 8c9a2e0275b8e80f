"""The suites by name, the held-out texts (`texts.yaml`), and the one function that runs suites on them."""

import os
import platform
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from tqdm import tqdm

from ..core.errors import ConfigError, InputError
from ..data.teachers import FaceTeacher, get_teacher
from ..pipeline.results import check_folder
from . import metric
from .suite_report import format_result, write_report
from .systems import SYSTEMS, ExOmniSystem, build_system, load_omni

SUITES: tuple[str, ...] = ("consistency", "face", "latency")
SPEECH_INPUT = "speech-input"
"""A suite of its own: it needs the data set of many voices, and the cascade takes no speech."""
ALL = "all"
"""Stands for every suite of `SUITES`, one after the other."""
TEACHER = "openfacefx"
"""The face teacher that faces are measured against unless another one is asked for."""
_PROMPTS = "prompts"
"""The group of questions in `texts.yaml`; all the others are texts to be spoken."""


@dataclass(frozen=True)
class Order:
    """What a suite is to measure; the fields are the arguments of `run`, checked."""

    systems: tuple[str, ...]
    limit: int
    weights: Path | None
    recordings: Path | None
    teacher: FaceTeacher


def run(
    suite: str, system: str = "exomni", limit: int = 0, out: Path | None = None, weights: Path | None = None,
    recordings: Path | None = None, teacher: str | FaceTeacher = TEACHER,
) -> dict:  # fmt: skip
    """Run a suite, print its table, and write a report.

    Args:
        suite: one of `SUITES`, "speech-input", or "all".
        system: one of `SYSTEMS`, or "both" in the same run.
        limit: most texts (or questions); 0 takes all.
        out: folder for JSON, plots and contact sheets; nothing is written without it.
        weights: folder of weights for exomni in place of the shipped ones.
        recordings: folder of recordings for the suite `face`, see `facial.recorded_faces`; for `speech-input` of spoken
            questions, see `speech_input.read_questions`.
        teacher: the reference of the suite `face`, one of `data.teachers.TEACHERS` or one made by `get_teacher`.
    Returns:
        `suite`, `machine`, `systems` (their facts), `table`, `rows`, `goals` and what else the suite has; of "all",
        these by suite.
    Raises:
        ConfigError: no such suite, system or teacher, or a negative limit.
        InputError: `recordings` is no folder, or is given to another suite.
        OutputError: `out` cannot be written; found out before the work.
    """
    names = _checked(suite, system, limit, recordings)
    reference = get_teacher(teacher) if isinstance(teacher, str) else teacher
    if out is not None:
        check_folder(out)
    order = Order(names, limit, weights, recordings, reference)
    results = {s: _run_one(s, order, out) for s in (SUITES if suite == ALL else (suite,))}
    return results if suite == ALL else results[suite]


def _run_one(suite: str, order: Order, out: Path | None) -> dict:
    """One suite, its table and its report."""
    machine = machine_facts()
    measured, faces = _RUNS[suite](order)
    result = {"suite": suite, "machine": machine, **measured}
    result["goals"] = check_goals(result)
    print(f"{suite}\n\n{format_result(result)}", flush=True)
    if out is not None:
        files = write_report(result, out, faces)
        print(f"{len(files)} files in {out}/", file=sys.stderr)
    return result


def check_goals(result: Mapping) -> list[dict]:
    """The goals of a suite that its result has a figure for: rows with `goal`, `bound`, `reached` and `met`."""
    # Here and not above: a fresh process of `latency` must not spend its time on what speech-input needs.
    from . import consistency, facial, latency, speech_input

    modules = {"consistency": consistency, "face": facial, "latency": latency, SPEECH_INPUT: speech_input}
    return metric.check_goals(modules[result["suite"]].METRICS, result["table"])


def _checked(suite: str, system: str, limit: int, recordings: Path | None) -> tuple[str, ...]:
    if suite not in (*SUITES, SPEECH_INPUT, ALL):
        raise ConfigError(f"'{suite}' is not a suite; there are {', '.join(SUITES)}, {SPEECH_INPUT} and {ALL}")
    names = SYSTEMS if system == "both" else (system,)
    if not set(names) <= set(SYSTEMS):
        raise ConfigError(f"'{system}' is not a system; there are {', '.join(SYSTEMS)} and both")
    if limit < 0:
        raise ConfigError(f"a limit of {limit} texts is below 0")
    if recordings is not None and suite not in ("face", SPEECH_INPUT, ALL):
        raise InputError(f"recordings are for the suites face and {SPEECH_INPUT}, not {suite}")
    if recordings is not None and not recordings.is_dir():
        raise InputError(f"{recordings} is not a folder of recordings")
    return names


def _bar(what: str):
    return lambda items: tqdm(items, what, file=sys.stderr)


def _built(order: Order) -> tuple[list, dict]:
    """The systems, and their facts."""
    systems = [build_system(name, order.weights) for name in order.systems]
    return systems, {"systems": {s.name: s.facts() for s in systems}}


def _consistency(order: Order) -> tuple[dict, None]:
    from ..data.whisper_judge import WhisperJudge
    from .consistency import consistency
    from .judges import OpinionScore

    transcribe, score = WhisperJudge(), OpinionScore()
    systems, facts = _built(order)
    return {**facts, **consistency(systems, held_out_texts(order.limit), transcribe, score, _bar("texts"))}, None


def _face(order: Order) -> tuple[dict, dict]:
    from .facial import facial

    systems, facts = _built(order)
    result, faces = facial(systems, order.teacher, held_out_texts(order.limit), order.recordings, _bar("faces"))
    return {**facts, **result}, faces


def _latency(order: Order) -> tuple[dict, None]:
    from .latency import latency, run_fresh

    given = None if order.weights is None else str(order.weights)
    prompts = held_out_prompts(order.limit)
    return latency(order.systems, prompts, lambda name, asked: run_fresh(name, asked, given)), None


def _speech_input(order: Order) -> tuple[dict, None]:
    from ..assets.table import cache_folder
    from ..core.turns import Turn
    from ..pipeline.spoken_prompts import LISTEN
    from .speech_input import REPLY_TOKENS, ListenWay, held_out_clips, read_questions, speech_input

    questions = read_questions(order.recordings) if order.recordings else []
    clips = held_out_clips(cache_folder() / "data" / "hearing", order.limit)
    omni = load_omni(order.weights)
    ways = [ListenWay(omni, way) for way in LISTEN]

    def typed(question: str) -> str:
        return "".join(t.text for t in omni.parts.writer.write([Turn("user", question)], max_new_tokens=REPLY_TOKENS))

    facts = {"systems": {"exomni": ExOmniSystem(omni).facts()}}
    return {**facts, **speech_input(ways, typed, clips, questions, _bar("clips"))}, None


_RUNS: dict[str, Callable[[Order], tuple[dict, Any]]] = {
    "consistency": _consistency, "face": _face, "latency": _latency, SPEECH_INPUT: _speech_input,
}  # fmt: skip
"""What runs each suite: gives its result, and the measured faces by system for contact sheets or None."""


@cache
def text_groups() -> dict[str, tuple[str, ...]]:
    """Every group by name, in the file's order."""
    raw = yaml.safe_load((resources.files("exomni.evaluate") / "texts.yaml").read_text("utf-8"))
    return {name: tuple(" ".join(text.split()) for text in texts) for name, texts in raw.items()}


def held_out_texts(limit: int = 0) -> list[tuple[str, str]]:
    """Texts, at most `limit` (0: all), with their group; groups take turns, so that a few are a fair sample of all."""
    groups = {name: texts for name, texts in text_groups().items() if name != _PROMPTS}
    longest = max(map(len, groups.values()))
    turns = [(name, texts[i]) for i in range(longest) for name, texts in groups.items() if i < len(texts)]
    return turns[:limit] if limit else turns


def held_out_prompts(limit: int = 0) -> list[str]:
    """Questions; at most `limit` of them, 0 for all."""
    prompts = list(text_groups()[_PROMPTS])
    return prompts[:limit] if limit else prompts


def machine_facts() -> dict:
    """What the figures are measured on, and how busy it is."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    return {
        "exomni": version("exomni"), "torch": version("torch"), "python": platform.python_version(),
        "platform": platform.platform(), "cores": os.cpu_count(), "load_average": load,
    }  # fmt: skip
