"""What every HTTP request passes first: who it is from, how large it is, and what is written down about it."""

import time
from collections import OrderedDict

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .hub import Hub
from .logs import log
from .rates import Bucket
from .refusals import Refusal
from .security import HEADERS, refusal_of

STATUS = {
    "unauthorized": 401,
    "origin_refused": 403,
    "item_not_found": 404,
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

    def __init__(self, app: ASGIApp, hub: Hub):
        self._app, self._hub = app, hub
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or not."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.monotonic(), 500

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            refusal = self._refusal(scope)
            if refusal is not None:
                self._hub.metrics.refused.labels(refusal.code).inc()
                await refuse(refusal)(scope, receive, answer)
            else:
                await self._app(scope, self._bounded(receive), answer)
        finally:
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

    def _bounded(self, receive: Receive) -> Receive:
        """A request's body, cut off where it becomes too large."""
        n_bytes, most = 0, self._hub.config.limits.body_bytes

        async def count() -> Message:
            nonlocal n_bytes
            message = await receive()
            n_bytes += len(message.get("body", b""))
            if n_bytes > most:
                raise Refusal("message_too_big", f"a request has at most {most} bytes")
            return message

        return count

    def _bucket(self, address: str) -> Bucket:
        per_minute = self._hub.config.limits.requests_per_minute
        if address not in self._buckets:
            self._buckets[address] = Bucket(per_minute / 60, max(1.0, per_minute / 6), self._hub.clock)
            if len(self._buckets) > MOST_ADDRESSES:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(address)
        return self._buckets[address]
