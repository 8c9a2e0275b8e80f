"""How quick it is: warm requests by part, and a fresh process from its start to its first reply."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np

from ..core.errors import ExomniError
from .systems import System

PARTS = ("llm_s", "units_s", "speech_s", "face_s")

FreshRun = Callable[[str, Sequence[str]], dict]
"""Function of a system's name and the questions: what `fresh.answer_all` returns, from a process of its own."""


def time_request(system: System, prompt: str, seed: int) -> dict:
    """Answer one question: its timings, the processor's seconds, and the seconds of speech that came."""
    before = time.process_time()
    spoken = system.respond(prompt, seed)
    cpu_s = time.process_time() - before
    return {"prompt": prompt, "duration_s": spoken.duration_s, "cpu_s": cpu_s, **spoken.timings}


def run_fresh(system: str, prompts: Sequence[str], weights: str | None) -> dict:
    """Answer questions in a new process.

    Args:
        system: name of the system.
        prompts: questions; the first one is answered cold.
        weights: folder of other weights.
    Raises:
        ExomniError: the process failed; the message is its own.
    """
    order = {"system": system, "prompts": list(prompts), "weights": weights, "began": time.time()}
    done = subprocess.run(
        [sys.executable, "-m", "exomni.evaluate.fresh"], input=json.dumps(order), stdout=subprocess.PIPE, text=True
    )
    if done.returncode:
        raise ExomniError(f"the fresh process of {system} failed with {done.returncode}; see above")
    return json.loads(done.stdout.splitlines()[-1])


def latency(systems: Sequence[str], prompts: Sequence[str], fresh: FreshRun) -> dict:
    """Time every system on every question, each system in a process of its own.

    Args:
        systems: names.
        prompts: questions. The first is asked again at the end, so that each counts once warm.
        fresh: runs a system in a new process.
    Returns:
        `table`, `rows` (each request).
    """
    table, rows = [], []
    for name in systems:
        run = fresh(name, [*prompts, prompts[0]])
        cold, *warm = run["requests"]
        table.append({"system": name, **_summary(warm), **_start(run)})
        rows += [{"system": name, "warm": r is not cold, **r} for r in run["requests"]]
    return {"table": table, "rows": rows}


def _summary(requests: Sequence[dict]) -> dict:
    """Means over warm requests; parts in milliseconds a second of speech."""
    speech_s = sum(r["duration_s"] for r in requests)
    first = np.array([r["first_audio_s"] for r in requests])
    return {
        "requests": len(requests), "speech s": speech_s,
        "RTF": sum(r["total_s"] for r in requests) / speech_s,
        "CPU s/s": sum(r["cpu_s"] for r in requests) / speech_s,
        "first audio s": float(np.median(first)), "worst": float(first.max()),
        "first face s": float(np.median([r["first_face_s"] for r in requests])),
        **{f"{part[:-2]} ms/s": 1000 * sum(r[part] for r in requests) / speech_s for part in PARTS},
    }  # fmt: skip


def _start(run: dict) -> dict:
    return {
        "load s": run["load_s"], "start to audio s": run["start_to_audio_s"],
        "start to reply s": run["start_to_reply_s"], "peak MB": run["peak_mb"],
    }  # fmt: skip
