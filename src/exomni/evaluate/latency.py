"""How quick it is: warm requests by part, and a fresh process (`main`) from its start to its first reply."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ..core.errors import ExomniError
from .metric import Goal, Metric, by_key, line
from .systems import System, build_system

FreshRun = Callable[[str, Sequence[str]], dict]
"""Function of a system's name and the questions: what `answer_all` returns, from a process of its own."""


def _warm(run: dict, name: str) -> np.ndarray:
    """A time of every request but the first, which is cold."""
    return np.array([request[name] for request in run["requests"][1:]])


def _per_speech_s(name: str) -> Callable[[dict], float]:
    """Computes seconds spent for a second of speech."""
    return lambda run: float(_warm(run, name).sum() / _warm(run, "duration_s").sum())


def _goal(what: str, bound: float) -> tuple[Goal, ...]:
    return (Goal(what, "at most", bound, {"system": "exomni"}),)


METRICS = by_key(
    Metric("requests", "requests", lambda run: len(run["requests"]) - 1),
    Metric("speech_s", "speech s", lambda run: float(_warm(run, "duration_s").sum())),
    Metric("rtf", "RTF", _per_speech_s("total_s"), goals=_goal("real-time factor", 0.35)),
    Metric("cpu", "CPU s/s", _per_speech_s("cpu_s")),
    Metric(
        "first_audio_s", "first audio s", lambda run: float(np.median(_warm(run, "first_audio_s"))),
        goals=_goal("first audio, warm, s", 0.6),
    ),
    Metric("worst_s", "worst", lambda run: float(_warm(run, "first_audio_s").max())),
    Metric("first_face_s", "first face s", lambda run: float(np.median(_warm(run, "first_face_s")))),
    Metric("llm", "llm ms/s", _per_speech_s("llm_s"), scale=1000),
    Metric("units", "units ms/s", _per_speech_s("units_s"), scale=1000),
    Metric("speech", "speech ms/s", _per_speech_s("speech_s"), scale=1000),
    Metric("face", "face ms/s", _per_speech_s("face_s"), scale=1000, goals=_goal("face, ms a second of speech", 10.0)),
    Metric("load_s", "load s", lambda run: run["load_s"]),
    Metric("start_to_audio_s", "start to audio s", lambda run: run["start_to_audio_s"]),
    Metric(
        "start_to_reply_s", "start to reply s", lambda run: run["start_to_reply_s"],
        goals=_goal("start to first reply, s", 6.0),
    ),
    Metric("peak_mb", "peak MB", lambda run: run["peak_mb"]),
)  # fmt: skip
"""Each is computed from what `answer_all` returns, over the warm requests."""
PARTS = ("llm", "units", "speech", "face")
"""Metrics that tell where the time goes, in milliseconds a second of speech."""


def time_request(system: System, prompt: str, seed: int) -> dict:
    """Answer one question: its timings, the processor's seconds, and the seconds of speech that came."""
    before = time.process_time()
    spoken = system.respond(prompt, seed)
    cpu_s = time.process_time() - before
    return {"prompt": prompt, "duration_s": spoken.duration_s, "cpu_s": cpu_s, **spoken.timings}


def run_fresh(system: str, prompts: Sequence[str], weights: str | None) -> dict:
    """Answer questions in a new process, the first one cold.

    Raises:
        ExomniError: the process failed; the message is its own.
    """
    order = {"system": system, "prompts": list(prompts), "weights": weights, "began": time.time()}
    done = subprocess.run(
        [sys.executable, "-c", "from exomni.evaluate.latency import main; main()"],
        input=json.dumps(order), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    if done.returncode:
        raise ExomniError(f"the fresh process of {system} failed with {done.returncode}; see above")
    return json.loads(done.stdout.splitlines()[-1])


def latency(systems: Sequence[str], prompts: Sequence[str], fresh: FreshRun) -> dict:
    """Time every system on every question, each system in a process of its own, which `fresh` runs.

    The first question is asked again at the end, so that each counts once warm. Gives `table` and `rows` (of requests).
    """
    table, rows = [], []
    for name in systems:
        run = fresh(name, [*prompts, prompts[0]])
        table.append({"system": name, **line(METRICS, run)})
        rows += [{"system": name, "warm": i > 0, **request} for i, request in enumerate(run["requests"])]
    return {"table": table, "rows": rows}


def peak_memory_mb() -> float:
    """Most memory that this process has held, in MB; not a number where the system does not tell."""
    status = Path("/proc/self/status")
    if status.is_file():
        # Not getrusage: on Linux its peak may be that of the process that started this one.
        return next(int(s.split()[1]) / 1024 for s in status.read_text().splitlines() if s.startswith("VmHWM"))
    try:
        import resource
    except ImportError:
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def answer_all(build: Callable[[], System], prompts: Sequence[str], began: float, progress=iter) -> dict:
    """Build a system and answer questions, the first one cold, in a process that `began` at that `time.time()`."""
    before = time.time()
    system = build()
    system.prepare()
    load_s = time.time() - before
    requests, start_to_audio_s, start_to_reply_s = [], 0.0, 0.0
    for i, prompt in enumerate(progress(prompts)):
        asked = time.time()
        requests.append(time_request(system, prompt, seed=i))
        if i == 0:
            start_to_audio_s = asked - began + requests[0]["first_audio_s"]
            start_to_reply_s = time.time() - began
    return {"requests": requests, "load_s": load_s, "start_to_audio_s": start_to_audio_s,
            "start_to_reply_s": start_to_reply_s, "peak_mb": peak_memory_mb()}  # fmt: skip


def main() -> None:
    """Read an order from standard input, write the times to standard output."""
    order = json.load(sys.stdin)
    weights = Path(order["weights"]) if order["weights"] else None
    bar = lambda prompts: tqdm(prompts, f"latency of {order['system']}", file=sys.stderr)  # noqa: E731
    try:
        times = answer_all(lambda: build_system(order["system"], weights), order["prompts"], order["began"], bar)
    except ExomniError as error:
        sys.exit(f"exomni: {error}")
    print(json.dumps(times))
