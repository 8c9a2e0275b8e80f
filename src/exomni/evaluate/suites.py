"""The suites by name, and the one function that runs them."""

import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path

from tqdm import tqdm

from ..core.errors import ConfigError, InputError
from ..pipeline.results import check_folder
from .goals import check_goals
from .report import format_result, write_report
from .systems import ExOmniSystem, System
from .texts import held_out_prompts, held_out_texts

SUITES: tuple[str, ...] = ("consistency", "face", "latency")
SPEECH_INPUT = "speech-input"
"""A suite of its own: it needs the data set of hearing, and the cascade cannot hear."""
ALL = "all"
"""Stands for every suite of `SUITES`, one after the other."""
SYSTEMS: tuple[str, ...] = ("exomni", "cascade")
TEACHER = "openfacefx"


def build_system(name: str, weights: Path | None = None) -> System:
    """Make a system ready, its LLM excepted, which is loaded for its first answer.

    Args:
        name: one of `SYSTEMS`.
        weights: folder of weights for exomni in place of the shipped ones.
    Raises:
        ConfigError: no such system.
        AssetError: a part is missing.
    """
    if name == "exomni":
        from ..pipeline.exomni import ExOmni

        return ExOmniSystem(ExOmni.load("nano", weights=weights))
    if name == "cascade":
        return _build_cascade()
    raise ConfigError(f"'{name}' is not a system; there are {', '.join(SYSTEMS)} and both")


def _build_cascade() -> System:
    from functools import cache

    from ..data.teachers import get_teacher
    from ..parts.hibari.conversion import VOICE
    from ..parts.hibari.voice import Phonemizer, Vocoder, VoiceFront
    from ..parts.smollm.chat import ChatModel
    from ..parts.smollm.conversion import LLM
    from .cascade import CascadeSystem

    voice = VOICE.folder()
    chat = cache(lambda: ChatModel(LLM.folder()))
    return CascadeSystem(
        chat, Phonemizer(), VoiceFront(voice / "front.onnx"), Vocoder(voice / "back.onnx"), get_teacher(TEACHER)
    )


def run(
    suite: str, system: str = "exomni", limit: int = 0, out: Path | None = None, weights: Path | None = None,
    recordings: Path | None = None,
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
    Returns:
        `suite`, `machine`, `systems` (their facts), `table`, `rows`, `goals` and what else the suite has; of "all",
        these by suite.
    Raises:
        ConfigError: no such suite or system, or a negative limit.
        InputError: `recordings` is no folder, or is given to another suite.
        OutputError: `out` cannot be written; found out before the work.
    """
    names = _checked(suite, system, limit, recordings)
    if out is not None:
        check_folder(out)
    wanted = SUITES if suite == ALL else (suite,)
    results = {s: _run_one(s, names, limit, out, weights, recordings) for s in wanted}
    return results if suite == ALL else results[suite]


def _run_one(
    suite: str, names: tuple[str, ...], limit: int, out: Path | None, weights: Path | None, recordings: Path | None
) -> dict:
    """One suite, its table and its report."""
    machine, faces = machine_facts(), None
    if suite == "consistency":
        result = _consistency(names, limit, weights)
    elif suite == "face":
        result, faces = _face(names, limit, weights, recordings)
    elif suite == SPEECH_INPUT:
        result = _speech_input(limit, weights, recordings)
    else:
        result = _latency(names, limit, weights)
    result = {"suite": suite, "machine": machine, **result}
    result["goals"] = check_goals(result)
    print(f"{suite}\n\n{format_result(result)}", flush=True)
    if out is not None:
        files = write_report(result, out, faces)
        print(f"{len(files)} files in {out}/", file=sys.stderr)
    return result


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


def _consistency(names: tuple[str, ...], limit: int, weights: Path | None) -> dict:
    from .consistency import consistency
    from .judges import OpinionScore, Transcriber

    transcribe, score = Transcriber(), OpinionScore()
    systems = [build_system(name, weights) for name in names]
    result = consistency(systems, held_out_texts(limit), transcribe, score, _bar("texts"))
    return {"systems": {s.name: s.facts() for s in systems}, **result}


def _face(names: tuple[str, ...], limit: int, weights: Path | None, recordings: Path | None) -> tuple[dict, dict]:
    from ..data.teachers import get_teacher
    from .facial import facial

    systems = [build_system(name, weights) for name in names]
    result, faces = facial(systems, get_teacher(TEACHER), held_out_texts(limit), recordings, _bar("faces"))
    return {"systems": {s.name: s.facts() for s in systems}, **result}, faces


def _latency(names: tuple[str, ...], limit: int, weights: Path | None) -> dict:
    from .latency import latency, run_fresh

    given = None if weights is None else str(weights)
    return latency(names, held_out_prompts(limit), lambda name, prompts: run_fresh(name, prompts, given))


def _speech_input(limit: int, weights: Path | None, recordings: Path | None) -> dict:
    from ..assets.table import cache_folder
    from ..parts.smollm.chat import Turn
    from ..pipeline.exomni import ExOmni
    from ..pipeline.spoken_prompts import LISTEN
    from .speech_input import REPLY_TOKENS, OmniHearer, held_out_clips, read_questions, speech_input

    spoken = read_questions(recordings) if recordings else []
    clips = held_out_clips(cache_folder() / "data" / "hearing", limit)
    omni = ExOmni.load("nano", weights=weights)
    hearers = [OmniHearer(omni, way) for way in LISTEN]

    def typed(question: str) -> str:
        return "".join(t.text for t in omni.chat.reply([Turn("user", question)], max_new_tokens=REPLY_TOKENS))

    return {
        "systems": {"exomni": ExOmniSystem(omni).facts()},
        **speech_input(hearers, typed, clips, spoken, _bar("clips")),
    }


def machine_facts() -> dict:
    """What the figures are measured on, and how busy it is."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    return {
        "exomni": version("exomni"), "torch": version("torch"), "python": platform.python_version(),
        "platform": platform.platform(), "cores": os.cpu_count(), "load_average": load,
    }  # fmt: skip
