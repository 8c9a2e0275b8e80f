"""First audio and real-time factor of this checkout beside those of another one, in turns, each in fresh processes.

    git worktree add ../before COMMIT
    python benchmarks/two_checkouts.py ../before

Says whether the replies are the same bit for bit, too.
"""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

QUESTIONS = ("What is the capital of France?", "Tell me a story about a dragon.", "How do planes fly?")
ROUNDS = 5
TALK = f"""
import hashlib, json
from exomni import ExOmni
omni = ExOmni.load("nano")
omni.respond("Hello.", max_new_tokens=8)
found = []
for question in {QUESTIONS!r}:
    reply = omni.respond(question, max_new_tokens=60)
    made = reply.text.encode() + reply.samples.tobytes() + reply.frames.tobytes() + reply.units.tobytes()
    times = reply.timings
    found.append([times.first_audio_s, times.real_time_factor, hashlib.sha256(made).hexdigest()])
print(json.dumps(found))
"""


def talk(checkout: Path) -> list[list]:
    """First audio in seconds, real-time factor and a hash of each reply, by the code of a checkout."""
    environment = os.environ | {"PYTHONPATH": str(checkout / "src")}
    done = subprocess.run([sys.executable, "-c", TALK], env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def main() -> None:
    """Print medians of both, and the median of the ratios pair by pair."""
    before, now = Path(sys.argv[1]).resolve(), Path(__file__).resolve().parents[1]
    rounds = [(talk(before), talk(now)) for _ in range(ROUNDS)]
    pairs = [pair for old, new in rounds for pair in zip(old, new, strict=True)]
    for column, name in enumerate(("first audio", "real-time factor")):
        old, new = ([pair[side][column] for pair in pairs] for side in (0, 1))
        ratio = statistics.median(b / a for a, b in zip(old, new, strict=True))
        print(f"{name}: before {statistics.median(old):.3f}, now {statistics.median(new):.3f}, ratio {ratio:.3f}")
    same = sum(old[2] == new[2] for old, new in pairs)
    print(f"replies alike bit for bit: {same} of {len(pairs)}")


if __name__ == "__main__":
    main()
