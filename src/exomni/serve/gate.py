"""What every HTTP request passes first: who may come in, how large a request is, and what is logged about it."""

import asyncio
import hmac
import time
from collections import OrderedDict
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .config import ServerConfig, is_loopback
from .http_connection import HttpConnection
from .hub import Bucket, Hub
from .refusals import Refusal, busy, refuse
from .telemetry import log

MOST_ADDRESSES = 1_024
TOKEN_SUBPROTOCOLS = ("exomni-token.", "openai-insecure-api-key.")
PAGE_POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self' blob:; font-src 'self'; connect-src 'self' blob: data:; worker-src 'self' blob:; "
    "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The page loads only what comes from here; heads that people drop on it are blobs, and meshopt is WebAssembly."""
HEADERS = {
    "content-security-policy": PAGE_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(self)",
}


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
    """A request's body on its way in: cut off where it becomes too large, comes too slowly, or all are too large."""

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


def refusal_of(config: ServerConfig, connection: HTTPConnection, needs_token: bool = True) -> Refusal | None:
    """Why a client may not connect, or None; the page itself, and what holds no secrets, need no token."""
    host = connection.headers.get("host", "")
    name = "" if "@" in host else urlsplit(f"//{host}").hostname or ""
    if config.token is None and not is_loopback(name):
        # A foreign page could have its own name point here by DNS, and would then count as ours.
        return Refusal("origin_refused", f"this server answers to localhost, not to {host[:200]!r}")
    origin = connection.headers.get("origin")
    if origin is not None and origin not in config.origins and urlsplit(origin).netloc != host:
        return Refusal(
            "origin_refused", f"pages of {origin[:200]} may not talk to this server; allow it by --allow-origin"
        )
    if needs_token and config.token is not None and not _knows(config.token, connection):
        return Refusal("unauthorized", "show the token: 'Authorization: Bearer …', or '?token=…' in the address")
    return None


def _knows(token: str, connection: HTTPConnection) -> bool:
    scheme, _, shown = connection.headers.get("authorization", "").partition(" ")
    tries = [shown.strip()] if scheme.lower() == "bearer" else []
    tries += connection.query_params.getlist("token")
    for offered in connection.scope.get("subprotocols", []):
        tries += [offered.removeprefix(prefix) for prefix in TOKEN_SUBPROTOCOLS if offered.startswith(prefix)]
    # Every one is compared whole, so that time tells nothing.
    return sum(hmac.compare_digest(token.encode(), shown.encode()) for shown in tries) > 0
