"""Who may come in: tokens, origins and host names; and what a page may load."""

import hmac
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from .config import ServerConfig, is_loopback
from .refusals import Refusal

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


def refusal_of(config: ServerConfig, connection: HTTPConnection, needs_token: bool = True) -> Refusal | None:
    """Why a client may not connect, or None.

    Args:
        config: of the server.
        connection: a request or a WebSocket.
        needs_token: False for the page itself and for what holds no secrets.
    """
    host = connection.headers.get("host", "")
    if config.token is None and not is_loopback(_name(host)):
        # A foreign page could have its own name point here by DNS, and would then count as ours.
        return Refusal("origin_refused", f"this server answers to localhost, not to {host[:200]!r}")
    origin = connection.headers.get("origin")
    if origin is not None and not _may(config, origin, host):
        return Refusal(
            "origin_refused", f"pages of {origin[:200]} may not talk to this server; allow it by --allow-origin"
        )
    if needs_token and config.token is not None and not _knows(config.token, connection):
        return Refusal("unauthorized", "show the token: 'Authorization: Bearer …', or '?token=…' in the address")
    return None


def _may(config: ServerConfig, origin: str, host: str) -> bool:
    return origin in config.origins or urlsplit(origin).netloc == host


def _name(host: str) -> str:
    """A host without its port."""
    return urlsplit(f"//{host}").hostname or "" if "@" not in host else ""


def _knows(token: str, connection: HTTPConnection) -> bool:
    scheme, _, shown = connection.headers.get("authorization", "").partition(" ")
    tries = [shown.strip()] if scheme.lower() == "bearer" else []
    tries += connection.query_params.getlist("token")
    for offered in connection.scope.get("subprotocols", []):
        tries += [offered.removeprefix(prefix) for prefix in TOKEN_SUBPROTOCOLS if offered.startswith(prefix)]
    # Every one is compared whole, so that time tells nothing.
    return sum(hmac.compare_digest(token.encode(), shown.encode()) for shown in tries) > 0
