"""HTTP connections with a limit on their number and on how long half a request is waited for.

uvicorn has no setting for either: `timeout_keep_alive` ends with the next byte, whatever that is, and
`limit_concurrency` counts sessions too and answers in a form that is not ours. So ours looks at what asyncio tells
uvicorn's protocol, and at what the gate says of requests.
"""

import asyncio
from typing import Any

import h11
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from .hub import Hub
from .refusals import Refusal, busy, refuse

RETRY_AFTER_S = 5
"""When to come again where all connections are taken."""


class HttpConnection(H11Protocol):
    """One client's connection, until it asks for a WebSocket.

    A request's head has to come whole in `slow_client_s`, and so has what is left of a body that nobody reads any more
    since it was answered already. h11 keeps 16 KiB of an unfinished head at the most. The gate watches over bodies that
    are read, and the system over answers that nobody takes.
    """

    def __init__(
        self, config: Config, server_state: ServerState, app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:  # fmt: skip
        self._hub: Hub = app_state["hub"]
        # The gate finds it in the state of every request.
        super().__init__(config, server_state, {**app_state, "connection": self}, _loop)
        self._late: asyncio.TimerHandle | None = None
        self._n_requests = 0
        self._is_half = self._owes_body = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """A client has come."""
        super().connection_made(transport)
        self._hub.connections.add(self)
        if len(self._hub.connections) > self._hub.config.limits.connections:
            self._hub.metrics.refused.labels("server_busy").inc()
            self._send_away(busy(RETRY_AFTER_S))
        else:
            self._wait()

    def data_received(self, data: bytes) -> None:
        """A client says something; from a WebSocket's head on, its connection is uvicorn's alone."""
        self._is_half = True
        super().data_received(data)
        if self.transport.get_protocol() is not self:
            self._leave()

    def connection_lost(self, exc: Exception | None) -> None:
        """A client has gone."""
        self._leave()
        super().connection_lost(exc)

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
        if self._is_half and not self._owes_body:
            self._hub.metrics.dropped.inc()
            self._send_away(Refusal("too_slow", "the request did not come in time"))
        else:
            # Nothing was asked, or all was answered; what is left of an answer still leaves.
            self.transport.close()

    def _send_away(self, refusal: Refusal) -> None:
        """Say why before anything was asked, and close."""
        answer, sender = refuse(refusal), h11.Connection(h11.SERVER)
        head = h11.Response(status_code=answer.status_code, headers=[*answer.raw_headers, (b"connection", b"close")])
        for event in (head, h11.Data(data=bytes(answer.body)), h11.EndOfMessage()):
            self.transport.write(sender.send(event) or b"")
        self.transport.close()
