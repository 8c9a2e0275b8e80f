"""HTTP connections with a limit on their number and on how long half a request is waited for.

uvicorn has no setting for either: `timeout_keep_alive` ends with the next byte, whatever that is, and
`limit_concurrency` counts sessions too and answers in a form that is not ours. What its setting `http` takes is a
protocol of asyncio; so ours stands between the socket and uvicorn's, and sees only what asyncio tells a protocol, and
what the gate says of requests.
"""

import asyncio
from typing import TYPE_CHECKING, Any

import h11
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from .refusals import Refusal, busy, refuse

if TYPE_CHECKING:
    from .hub import Hub

RETRY_AFTER_S = 5
"""When to come again where all connections are taken."""


class HttpConnection(asyncio.Protocol):
    """One client's connection, until it asks for a WebSocket.

    A request's head has to come whole in `slow_client_s`, and so has what is left of a body that nobody reads any more
    since it was answered already. h11 keeps 16 KiB of an unfinished head at the most. The gate watches over bodies that
    are read, and the system over answers that nobody takes.

    Args:
        config: of uvicorn.
        server_state: uvicorn's, for its own protocol.
        app_state: what the application's lifespan gave: the hub.
        _loop: uvicorn's, for its own protocol.
    """

    def __init__(
        self, config: Config, server_state: ServerState, app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:  # fmt: skip
        self._hub: Hub = app_state["hub"]
        # The gate finds it in the state of every request.
        self._inner: asyncio.Protocol = H11Protocol(config, server_state, {**app_state, "connection": self}, _loop)
        self._transport: asyncio.Transport | None = None
        self._late: asyncio.TimerHandle | None = None
        self._n_requests = 0
        self._is_half = self._owes_body = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has come."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._inner.connection_made(transport)
        self._hub.connections.add(self)
        if len(self._hub.connections) > self._hub.config.limits.connections:
            self._hub.metrics.refused.labels("server_busy").inc()
            self._send_away(transport, busy(RETRY_AFTER_S))
        else:
            self._wait()

    def data_received(self, data: bytes) -> None:
        """A client says something; from a WebSocket's head on, its connection is uvicorn's alone."""
        self._is_half = True
        self._inner.data_received(data)
        if self._transport is not None and self._transport.get_protocol() is not self:
            self._leave()

    def eof_received(self) -> bool | None:
        """A client says no more."""
        return self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """A client has gone."""
        self._leave()
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        """A client takes too little."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """A client takes what it is sent again."""
        self._inner.resume_writing()

    def request_begins(self) -> None:
        """A request's head is whole: the gate watches over it now."""
        self._n_requests += 1
        self._is_half = False
        self._stop_waiting()

    def request_ends(self, body_is_whole: bool) -> None:
        """A request has been answered; what of its body has not been read may still come."""
        self._n_requests -= 1
        self._owes_body = not body_is_whole
        if not self._n_requests and self in self._hub.connections:
            self._wait()

    def _wait(self) -> None:
        """Have the next request's head come in time."""
        self._stop_waiting()
        loop = asyncio.get_running_loop()
        self._late = loop.call_later(self._hub.config.limits.slow_client_s, self._give_up)

    def _stop_waiting(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _leave(self) -> None:
        self._stop_waiting()
        self._hub.connections.discard(self)

    def _give_up(self) -> None:
        assert self._transport is not None
        if self._is_half and not self._owes_body:
            self._hub.metrics.dropped.inc()
            self._send_away(self._transport, Refusal("too_slow", "the request did not come in time"))
        else:
            # Nothing was asked, or all was answered; what is left of an answer still leaves.
            self._transport.close()

    def _send_away(self, transport: asyncio.Transport, refusal: Refusal) -> None:
        """Say why before anything was asked, and close."""
        answer, sender = refuse(refusal), h11.Connection(h11.SERVER)
        head = h11.Response(status_code=answer.status_code, headers=[*answer.raw_headers, (b"connection", b"close")])
        for event in (head, h11.Data(data=bytes(answer.body)), h11.EndOfMessage()):
            transport.write(sender.send(event) or b"")
        transport.close()
