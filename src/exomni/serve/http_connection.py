"""HTTP connections that wait for nobody for ever: uvicorn's, with an end to half a request."""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from .gate import refuse
from .refusals import Refusal, busy

RETRY_AFTER_S = 5
"""When to come again where all connections are taken."""


class HttpConnection(H11Protocol):
    """One client's connection, until it asks for a WebSocket.

    A request's head has to come whole in `slow_client_s`, and so has the rest of a body that nobody reads any more,
    since it was answered already. h11 keeps 16 KiB of an unfinished head at the most. The gate watches over bodies that
    are read, and the system over answers that nobody takes.
    """

    _awaited: object = None
    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Somebody has come."""
        super().connection_made(transport)
        self._hub = self.config.app.state.hub
        n_connections = sum(isinstance(each, HttpConnection) for each in self.connections)
        if n_connections > self._hub.config.limits.connections:
            self._hub.metrics.refused.labels("server_busy").inc()
            self._send_away(busy(RETRY_AFTER_S))
            return
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Somebody says something."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Somebody has been answered."""
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Somebody has gone."""
        super().connection_lost(exc)
        if self._late is not None:
            self._late.cancel()

    def _watch(self) -> None:
        """Have what the client owes us come in time; each thing has a time of its own."""
        state, answered = self.conn.their_state, self.cycle is not None and self.cycle.response_complete
        owes = state is h11.IDLE or (state is h11.SEND_BODY and answered)
        is_socket = self.transport.get_protocol() is not self
        awaited = (state, self.cycle) if owes and not is_socket else None
        if awaited == self._awaited:
            return
        self._awaited = awaited
        if self._late is not None:
            self._late.cancel()
        if awaited is not None:
            self._late = self.loop.call_later(self._hub.config.limits.slow_client_s, self._give_up)

    def _give_up(self) -> None:
        if self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:
            self._hub.metrics.dropped.inc()
            self._send_away(Refusal("too_slow", "the request did not come in time"))
        else:
            # Nothing was asked, or all was answered; what is left of an answer still leaves.
            self.transport.close()

    def _send_away(self, refusal: Refusal) -> None:
        """Say why before anything was asked, and close."""
        answer = refuse(refusal)
        headers = [*answer.raw_headers, (b"connection", b"close")]
        events = (
            h11.Response(status_code=answer.status_code, headers=headers), h11.Data(data=answer.body),
            h11.EndOfMessage(),
        )  # fmt: skip
        self.transport.write(b"".join(self.conn.send(event) for event in events))
        self.transport.close()
