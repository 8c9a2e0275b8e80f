"""What every HTTP request passes first: who it is from, how large it is, and what is written down about it."""

import asyncio
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .hub import Bucket, Hub
from .refusals import Refusal, busy
from .security import HEADERS, refusal_of
from .telemetry import log

if TYPE_CHECKING:
    from .http_connection import HttpConnection

STATUS: dict[str, int] = {
    "unauthorized": 401,
    "origin_refused": 403,
    "item_not_found": 404,
    "too_slow": 408,
    "message_too_big": 413,
    "audio_too_long": 413,
    "unsupported": 415,
    "invalid_event": 422,
    "unknown_parameter": 422,
    "rate_limited": 429,
    "server_error": 500,
    "server_busy": 503,
    "shutting_down": 503,
}
"""Status of an HTTP answer by the error's code; 400 for the others."""
MOST_ADDRESSES = 1_024


def refuse(refusal: Refusal) -> JSONResponse:
    """The answer that says why not."""
    headers = {"retry-after": str(refusal.retry_after)} if refusal.retry_after else {}
    if refusal.code == "unauthorized":
        headers["www-authenticate"] = "Bearer"
    body = {"error": refusal.body().model_dump(exclude_none=True)}
    return JSONResponse(body, STATUS.get(refusal.code, 400), headers)


class Gate:
    """ASGI middleware around all of HTTP."""

    def __init__(self, app: ASGIApp, hub: Hub) -> None:
        self._app, self._hub = app, hub
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or not."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.monotonic(), 500
        body = _Body(self._hub, receive, Headers(scope=scope))
        connection: HttpConnection | None = scope.get("state", {}).get("connection")

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        if connection is not None:
            connection.request_begins()
        try:
            refusal = self._refusal(scope)
            if refusal is not None:
                self._hub.metrics.refused.labels(refusal.code).inc()
                await refuse(refusal)(scope, receive, answer)
            else:
                await self._app(scope, body.receive, answer)
        finally:
            body.forget()
            if connection is not None:
                connection.request_ends(body.whole)
            route = scope.get("route")
            path = getattr(route, "path", "other")
            self._hub.metrics.requests.labels(path, str(status)).inc()
            if path.startswith("/v1/"):
                log("request", path=path, status=status, took_s=round(time.monotonic() - began, 3))

    def _refusal(self, scope: Scope) -> Refusal | None:
        connection, path = HTTPConnection(scope), scope["path"]
        needs_token = path.startswith("/v1/") or path == "/metrics"
        # What a browser asks before it asks is without a token.
        refusal = refusal_of(self._hub.config, connection, needs_token and scope["method"] != "OPTIONS")
        if refusal is not None:
            return refusal
        most = self._hub.config.limits.body_bytes
        length = connection.headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > most:
            return Refusal("message_too_big", f"a request has at most {most} bytes")
        if scope["method"] == "POST":
            wait_s = self._bucket(scope["client"][0] if scope.get("client") else "").wait_s()
            if wait_s:
                return Refusal("rate_limited", "too many requests a minute", retry_after=int(wait_s) + 1)
        return None

    def _bucket(self, address: str) -> Bucket:
        per_minute = self._hub.config.limits.requests_per_minute
        if address not in self._buckets:
            self._buckets[address] = Bucket(per_minute / 60, max(1.0, per_minute / 6), self._hub.clock)
            if len(self._buckets) > MOST_ADDRESSES:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(address)
        return self._buckets[address]


class _Body:
    """A request's body on its way in: cut off where it becomes too large, comes too slowly, or all are too large.

    Args:
        hub: the server's shared state.
        receive: gives the next piece.
        headers: of the request.
    """

    def __init__(self, hub: Hub, receive: Receive, headers: Headers) -> None:
        self._hub, self._receive, self._headers = hub, receive, headers
        self._n_bytes, self._ended = 0, False
        self._ends_at = time.monotonic() + hub.config.limits.upload_s

    @property
    def whole(self) -> bool:
        """Whether all of it has come, as far as it was read."""
        announced = "transfer-encoding" in self._headers or self._headers.get("content-length", "0") != "0"
        return self._ended or not announced

    async def receive(self) -> Message:
        """The next piece, or after the last that the client has gone.

        Raises:
            Refusal: too much, too slow, or no room for it now.
        """
        if self._ended:
            return await self._receive()
        limits = self._hub.config.limits
        wait_s = min(limits.slow_client_s, self._ends_at - time.monotonic())
        try:
            async with asyncio.timeout(wait_s):
                message = await self._receive()
        except TimeoutError:
            self._hub.metrics.dropped.inc()
            raise Refusal("too_slow", "the request did not come in time") from None
        n_new = len(message.get("body", b""))
        self._ended = not message.get("more_body", False)
        if self._n_bytes + n_new > limits.body_bytes:
            raise Refusal("message_too_big", f"a request has at most {limits.body_bytes} bytes")
        if self._hub.upload_bytes + n_new > limits.uploads_bytes:
            self._hub.metrics.refused.labels("server_busy").inc()
            raise busy(self._hub.scheduler.retry_after_s())
        self._n_bytes += n_new
        self._hub.upload_bytes += n_new
        return message

    def forget(self) -> None:
        """The request has been answered."""
        self._hub.upload_bytes -= self._n_bytes
        self._n_bytes = 0
