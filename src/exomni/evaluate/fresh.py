"""A process of its own for one system: `latency` starts it, gives it questions, and reads its times."""

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tqdm import tqdm

from ..core.errors import ExomniError
from .latency import time_request
from .systems import System, build_system


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
    """Build a system and answer questions; the first one is cold.

    Args:
        build: makes the system.
        prompts: questions.
        began: when the process was started, `time.time()`.
        progress: wraps the questions.
    """
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


if __name__ == "__main__":
    main()
