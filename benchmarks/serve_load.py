"""How many people can talk with one server at once, and what happens with twice as many.

    exomni serve --port 8400 &
    python benchmarks/serve_load.py ws://127.0.0.1:8400/v1/realtime [--people 1,2,4] [--seconds 60] [--spoken FILE]

Everybody holds a conversation as people do: asks, listens to the whole reply at the speed of speech, thinks, and asks
again. A conversation runs in real time where replies begin soon and then never pause for want of speech. The people
are doubled from row to row until the server cannot hold them, and once more after that.
"""

import argparse
import asyncio
import base64
import json
import random
import time
from dataclasses import dataclass, field

import numpy as np
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from exomni.core.audio import read_audio
from exomni.core.timebase import SAMPLE_HZ
from exomni.serve.protocol.items import pack_pcm16

QUESTIONS = (
    "What is the capital of France?",
    "Tell me something about the sea.",
    "How do I make a cup of tea?",
    "Why is the sky blue?",
    "What should I read this weekend?",
    "Say something nice to my friend.",
)
FIRST_AUDIO_S = 2.0
"""A conversation is one while 95 of 100 replies begin within this."""
PAUSE_S = 0.1
"""A longer gap in the speech is heard as one."""
PIECE_SAMPLES = SAMPLE_HZ // 10


@dataclass
class Row:
    """What so many people went through.

    Attributes:
        first_audio_s: from the end of each question to the first speech.
        pauses_s: longest wait for more speech within each reply.
        busy: questions that were refused for want of a place.
        broken: conversations that ended, and replies that failed.
    """

    people: int
    first_audio_s: list[float] = field(default_factory=list)
    pauses_s: list[float] = field(default_factory=list)
    busy: int = 0
    broken: int = 0

    @property
    def held(self) -> bool:
        """Whether all of them talked in real time."""
        paused = np.mean(np.array(self.pauses_s) > PAUSE_S) if self.pauses_s else 1.0
        return bool(not self.broken and not self.busy and self.quantile(95) <= FIRST_AUDIO_S and paused <= 0.01)

    def quantile(self, percent: float) -> float:
        """Of the first audio; infinite where there was none."""
        return float(np.percentile(self.first_audio_s, percent)) if self.first_audio_s else float("inf")

    def facts(self) -> dict[str, object]:
        """For the table."""
        return {
            "people": self.people,
            "replies": len(self.first_audio_s),
            "first_audio_p50_s": round(self.quantile(50), 3),
            "first_audio_p95_s": round(self.quantile(95), 3),
            "paused_share": round(float(np.mean(np.array(self.pauses_s) > PAUSE_S)), 3) if self.pauses_s else None,
            "longest_pause_s": round(max(self.pauses_s, default=0.0), 2),
            "busy": self.busy,
            "broken": self.broken,
            "in_real_time": self.held,
        }


async def person(url: str, seconds: float, speech: np.ndarray | None, row: Row, draw: random.Random) -> None:
    """Talk for a while."""
    await asyncio.sleep(draw.uniform(0, 4))
    ends_at = time.monotonic() + seconds
    try:
        async with connect(url, max_size=None) as socket:
            if speech is not None:
                await say(socket, "session.update", session={"audio": {"input": {"turn_detection": None}}})
            while time.monotonic() < ends_at:
                await ask(socket, speech, draw)
                await listen(socket, row)
                await asyncio.sleep(draw.uniform(2, 6))
    except (ConnectionClosed, OSError, TimeoutError):
        row.broken += 1


async def say(socket, kind: str, **fields) -> None:
    """Send a message."""
    await socket.send(json.dumps({"type": kind, **fields}))


async def ask(socket, speech: np.ndarray | None, draw: random.Random) -> None:
    """Type a question, or say it at the speed of speech."""
    if speech is None:
        content = [{"type": "input_text", "text": draw.choice(QUESTIONS)}]
        await say(socket, "conversation.item.create", item={"type": "message", "role": "user", "content": content})
    else:
        for start in range(0, len(speech), PIECE_SAMPLES):
            piece = speech[start : start + PIECE_SAMPLES]
            await say(socket, "input_audio_buffer.append", audio=pack_pcm16(piece))
            await asyncio.sleep(len(piece) / SAMPLE_HZ)
        await say(socket, "input_audio_buffer.commit")
    await say(socket, "response.create")


async def listen(socket, row: Row) -> None:
    """Hear a reply to its end, as a loudspeaker plays it."""
    asked_at, first_at, heard_s, paused_s, longest_s = time.monotonic(), None, 0.0, 0.0, 0.0
    while True:
        event = json.loads(await asyncio.wait_for(socket.recv(), 120))
        now = time.monotonic()
        match event["type"]:
            case "response.output_audio.delta":
                if first_at is None:
                    first_at = now
                    row.first_audio_s.append(now - asked_at)
                waited_s = max(0.0, now - first_at - heard_s - paused_s)
                paused_s, longest_s = paused_s + waited_s, max(longest_s, waited_s)
                heard_s += len(base64.b64decode(event["delta"])) / 2 / SAMPLE_HZ
            case "error" if event["error"]["code"] in ("server_busy", "rate_limited"):
                row.busy += 1
                await asyncio.sleep(event["error"]["retry_after"])
                return
            case "response.done":
                row.broken += event["response"]["status"] == "failed"
                row.pauses_s.append(longest_s)
                if first_at is not None:
                    await asyncio.sleep(max(0.0, first_at + heard_s + paused_s - time.monotonic()))
                return


async def measure(url: str, people: int, seconds: float, speech: np.ndarray | None) -> Row:
    """One row of the table."""
    row = Row(people)
    await asyncio.gather(*(person(url, seconds, speech, row, random.Random(i)) for i in range(people)))
    return row


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--people", help="numbers to try, such as 1,2,4; doubled from 1 until too many without it")
    parser.add_argument("--seconds", type=float, default=60.0, help="that everybody talks")
    parser.add_argument("--spoken", help="a recorded question that everybody says, in place of typing")
    parser.add_argument("--json", help="file for the rows")
    given = parser.parse_args()
    speech = None if given.spoken is None else read_audio(given.spoken, SAMPLE_HZ)
    wanted = [int(n) for n in given.people.split(",")] if given.people else [2**i for i in range(10)]
    rows, failed = [], 0
    for people in wanted:
        rows.append(asyncio.run(measure(given.url, people, given.seconds, speech)))
        print(json.dumps(rows[-1].facts()), flush=True)
        failed += not rows[-1].held
        if not given.people and failed == 2:
            break
    best = max((row.people for row in rows if row.held), default=0)
    print(f"{best} conversations in real time (first audio within {FIRST_AUDIO_S} s for 95 of 100 replies)")
    if given.json:
        with open(given.json, "w") as file:
            json.dump([row.facts() for row in rows], file, indent=1)


if __name__ == "__main__":
    main()
