"""The WebSocket: messages in, messages out, at a pace that both sides can bear."""

import asyncio
import time
from contextlib import suppress

from fastapi import WebSocket, WebSocketDisconnect

from .dialogue import Dialogue
from .hub import Bucket, Hub
from .outbox import Outbox
from .protocol.items import new_id
from .refusals import Refusal, busy
from .telemetry import log

BASE64_BYTES_PER_S = 24_000 * 2 * 4 / 3
"""Of speech in real time."""
BURST_S = 5.0
"""So much may come at once before a client counts as too fast."""
FAREWELL_S = 1.0
"""How long saying goodbye may take."""
SUBPROTOCOL = "realtime"


class Connection:
    """One client, whose socket was accepted."""

    def __init__(self, hub: Hub, socket: WebSocket) -> None:
        self._hub, self._socket = hub, socket
        limits = hub.config.limits
        self.id = new_id("sess")
        self._outbox = Outbox()
        self._dialogue = Dialogue(hub, self._outbox, self.id, int(time.time() + limits.session_s))
        self._messages = Bucket(limits.messages_per_s, limits.messages_per_s * BURST_S, hub.clock)
        audio_per_s = BASE64_BYTES_PER_S * limits.audio_speed
        self._bytes = Bucket(audio_per_s, audio_per_s * BURST_S, hub.clock)
        self._ending: asyncio.Future[tuple[int, Refusal]] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Talk until one side has had enough."""
        began = time.monotonic()
        self._hub.sessions.add(self)
        self._hub.metrics.sessions.set(len(self._hub.sessions))
        log("session begins", session=self.id)
        self._dialogue.greet()
        reader, writer = asyncio.create_task(self._read()), asyncio.create_task(self._write())
        try:
            limit_s = self._hub.config.limits.session_s
            await asyncio.wait({reader, writer, self._ending}, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
            code, refusal = self._verdict(reader, writer)
        finally:
            self._dialogue.close()
            self._hub.sessions.discard(self)
            self._hub.metrics.sessions.set(len(self._hub.sessions))
            for task in (reader, writer):
                task.cancel()
            await asyncio.gather(reader, writer, return_exceptions=True)
        if code is not None and refusal is not None:
            await say_goodbye(self._socket, code, refusal)
        why = refusal.code if refusal else "client left"
        log("session ends", session=self.id, why=why, lasted_s=round(time.monotonic() - began, 1))

    def close(self, code: int, refusal: Refusal) -> None:
        """End the session from our side."""
        if not self._ending.done():
            self._ending.set_result((code, refusal))

    def _verdict(self, reader: asyncio.Task, writer: asyncio.Task) -> tuple[int | None, Refusal | None]:
        """How the session ends: the close code and what to say, or None where the client has gone."""
        if self._ending.done():
            return self._ending.result()
        if not reader.done() and not writer.done():
            return 1000, Refusal("session_expired", "the session has reached its longest time")
        error = (reader if reader.done() else writer).exception()
        if isinstance(error, TimeoutError):
            self._hub.metrics.dropped.inc()
            return 1008, Refusal("too_slow", "the client did not take what it was sent")
        if error is None or isinstance(error, WebSocketDisconnect):
            return None, None
        log("session failed", level=40, error=error, session=self.id)
        return 1011, Refusal("server_error", "the session failed; it is logged")

    async def _read(self) -> None:
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            if text is None:
                self._dialogue.refuse(Refusal("invalid_json", "messages are JSON in text frames"))
                text = ""
            else:
                await self._dialogue.receive(text)
            # Whoever is too fast is read more slowly: nothing is lost, and TCP tells them to wait.
            await asyncio.sleep(max(self._messages.spend(1), self._bytes.spend(len(text))))

    async def _write(self) -> None:
        while True:
            letter = await self._outbox.take()
            async with asyncio.timeout(self._hub.config.limits.slow_client_s):
                await self._socket.send_text(letter.text)
            self._dialogue.sent(letter)


async def serve_socket(hub: Hub, socket: WebSocket, refusal: Refusal | None) -> None:
    """Accept a client's socket, and take it in, or tell it why it may not come in."""
    offered = socket.scope.get("subprotocols", [])
    await socket.accept(subprotocol=SUBPROTOCOL if SUBPROTOCOL in offered else None)
    code = 1008
    if refusal is None and hub.draining:
        code, refusal = 1001, Refusal("shutting_down", "the server is about to stop")
    if refusal is None and len(hub.sessions) >= hub.config.limits.sessions:
        code, refusal = 1013, busy(hub.scheduler.retry_after_s())
    if refusal is not None:
        hub.metrics.refused.labels(refusal.code).inc()
        log("refused", code=refusal.code)
        await say_goodbye(socket, code, refusal)
        return
    await Connection(hub, socket).run()


async def say_goodbye(socket: WebSocket, code: int, refusal: Refusal) -> None:
    """Tell a client why, and close; whoever does not listen is left."""
    with suppress(TimeoutError, WebSocketDisconnect, RuntimeError):
        async with asyncio.timeout(FAREWELL_S):
            await socket.send_text(refusal.event().to_json())
            await socket.close(code, refusal.code)
