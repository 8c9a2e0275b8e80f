"""Half an hour of conversation with a clock that is wound forward: nothing grows, nothing drifts."""

import asyncio
import gc
import json
import random

import numpy as np

from exomni.serve.config import Limits, ServerConfig
from exomni.serve.dialogue import Dialogue
from exomni.serve.hub import Hub
from exomni.serve.outbox import Outbox
from exomni.serve.protocol.items import pack_pcm16

from .dummies import DummyBackend, quiet, tone

MINUTES = 30
PIECE_S = 1.0
REPLY = " ".join(["one two three four five six seven eight"] * 3)


class Talk:
    """A session without a socket, whose clock is the audio that was sent."""

    def __init__(self) -> None:
        self.now_s = 0.0
        limits = Limits(items=32, kept_bytes=4 << 20)
        self.backend = DummyBackend(REPLY)
        self.hub = Hub(ServerConfig(limits=limits), self.backend, lambda: self.now_s)
        # The schedule is that of real time: it decides only who comes first.
        self.hub.scheduler.start()
        self.outbox = Outbox()
        self.dialogue = Dialogue(self.hub, self.outbox, "sess_soak")
        self.counts: dict[str, int] = {}
        self.errors: list[dict] = []
        self.started_ms: list[int] = []
        self.taker = asyncio.create_task(self._take())

    async def speak(self, samples: np.ndarray) -> None:
        """Send audio as it would come, and let the time pass that it takes."""
        step = round(PIECE_S * 24_000)
        for i in range(0, len(samples), step):
            audio = pack_pcm16(samples[i : i + step])
            await self.dialogue.receive(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))
            self.now_s += len(samples[i : i + step]) / 24_000

    async def until(self, kind: str, count: int) -> None:
        for _ in range(2_000):
            if self.counts.get(kind, 0) >= count:
                return
            await asyncio.sleep(0.005)
        raise AssertionError(f"no {kind} after {self.now_s:.0f} s")

    async def _take(self) -> None:
        """Be the socket: everything leaves at once."""
        while True:
            letter = await self.outbox.take()
            if letter.reply_id is not None:
                self.dialogue.sent(letter)
            event = json.loads(letter.text)
            self.counts[event["type"]] = self.counts.get(event["type"], 0) + 1
            if event["type"] == "error":
                self.errors.append(event["error"])
            if event["type"] == "input_audio_buffer.speech_started":
                self.started_ms.append(event["audio_start_ms"])


async def converse() -> dict:
    draw = random.Random(0)
    talk, n_turns, sizes, expected_ms = Talk(), 0, [], []
    try:
        while talk.now_s < MINUTES * 60:
            pause_s = draw.choice([1.0, 1.5, 3.0, 12.0])
            await talk.speak(quiet(pause_s))
            expected_ms.append(talk.now_s * 1000)
            await talk.speak(np.concatenate([tone(draw.uniform(0.4, 2.5)), quiet(0.8)]))
            n_turns += 1
            await talk.until("response.done", n_turns)
            if n_turns % 40 == 0:
                talk.backend.asked.clear()
                talk.backend.prefilled.clear()
                gc.collect()
                sizes.append(len(gc.get_objects()))
        talk.dialogue.close()
    finally:
        talk.taker.cancel()
        talk.hub.stop()
    drift_ms = [abs(started - expected) for started, expected in zip(talk.started_ms, expected_ms, strict=True)]
    return {"talk": talk, "turns": n_turns, "sizes": sizes, "drift_ms": drift_ms}


def test_half_an_hour():
    found = asyncio.run(converse())
    talk = found["talk"]
    assert found["turns"] > 200
    assert talk.errors == []
    assert talk.counts["response.done"] == talk.counts["response.created"] == found["turns"]
    assert talk.counts["conversation.item.truncated"] > 20
    assert len(talk.dialogue.conversation.items) <= 32
    assert talk.hub.kept.n_bytes <= 4 << 20
    assert talk.hub.n_replies == 0
    # 0.3 s before the voice, to within a window or two, at the end as at the beginning.
    assert max(found["drift_ms"]) < 500
    assert abs(found["drift_ms"][-1] - found["drift_ms"][0]) < 120
    # Once the limits are reached, nothing more is kept.
    assert max(found["sizes"][2:]) < found["sizes"][1] * 1.01
