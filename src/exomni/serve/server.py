"""Running the server: a socket, uvicorn, and an end that lets replies finish."""

import asyncio
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

import uvicorn

from ..core.errors import ServiceError
from .app import create_app
from .backend import Backend
from .config import ServerConfig
from .http_connection import HttpConnection
from .hub import Hub
from .telemetry import log, set_up_logs

PING_S = 20.0
"""How often a client is asked whether it is still there, and how long it may take to say so."""
DEAD_CLIENT_MS = 30_000
"""How long the system keeps what a client does not take: an answer over HTTP, or the end of a session."""
HEAD_BYTES = 16 << 10
"""Longest head of a request."""
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Server:
    """uvicorn, which on a signal first lets replies finish; on the second it stops at once.

    Args:
        ready: called once everybody can come in.
    """

    def __init__(self, config: ServerConfig, backend: Backend, ready: Callable[[], None] = lambda: None) -> None:
        self.hub, self._ready = Hub(config, backend), ready
        self._loop: asyncio.AbstractEventLoop | None = None
        self._uvicorn_handlers = {}
        self._uvicorn = uvicorn.Server(
            uvicorn.Config(
                create_app(self.hub),
                host=config.host,
                port=config.port,
                http=HttpConnection,
                h11_max_incomplete_event_size=HEAD_BYTES,
                access_log=False,
                log_config=None,
                server_header=False,
                # Base64 of speech hardly shrinks, and packing it takes the model's time.
                ws_per_message_deflate=False,
                ws_max_size=config.limits.message_bytes,
                ws_ping_interval=PING_S,
                ws_ping_timeout=PING_S,
                timeout_graceful_shutdown=2,
                callback_notify=self._on_tick,
            )
        )

    def run(self, bound: socket.socket) -> None:
        """Serve on a socket until `end`, or until a signal."""
        self._uvicorn.run(sockets=[bound])

    def end(self) -> None:
        """Begin to stop; from any thread, once the server has started."""
        if self._loop is not None:
            asyncio.run_coroutine_threadsafe(self._drain(), self._loop)

    async def _on_tick(self) -> None:
        """Called by uvicorn as soon as it listens, and now and then afterwards."""
        if self._loop is not None:
            return
        self._loop = asyncio.get_running_loop()
        if threading.current_thread() is threading.main_thread():
            # The first signal lets replies finish; uvicorn's own handlers, which were there, get the second.
            self._uvicorn_handlers = {number: signal.signal(number, self._on_signal) for number in SIGNALS}
        self._ready()

    def _on_signal(self, _: int, __: FrameType | None) -> None:
        for number, handler in self._uvicorn_handlers.items():
            signal.signal(number, handler)
        self.end()

    async def _drain(self) -> None:
        await self.hub.drain()
        self._uvicorn.should_exit = True


def bind(host: str, port: int) -> socket.socket:
    """A socket that has its address; until the server runs, connections to it are refused.

    Raises:
        ServiceError: the port is taken, or there is no such address.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        made = socket.socket(family, socket.SOCK_STREAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(AttributeError, OSError):  # where the system knows it
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_CLIENT_MS)
        made.bind((host, port))
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ServiceError(f"cannot listen on {host}:{port}: {reason}; choose another --port") from error
    return made


def serve(config: ServerConfig, load: Callable[[], Backend], ready: Callable[[str], None]) -> None:
    """Serve until a signal ends it.

    Args:
        load: loads the model.
        ready: told the address of the page once everybody can come in.
    Raises:
        ServiceError: the port is taken.
    """
    set_up_logs()
    with bind(config.host, config.port) as bound:
        port = bound.getsockname()[1]
        server = Server(config, load(), lambda: ready(page_address(config, port)))
        log("listening", host=config.host, port=port)
        server.run(bound)


def page_address(config: ServerConfig, port: int) -> str:
    """Where the page is."""
    host = "127.0.0.1" if config.host in ("0.0.0.0", "localhost") else "[::1]" if config.host == "::" else config.host
    host = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return f"http://{host}:{port}/" + (f"?token={config.token}" if config.token else "")
