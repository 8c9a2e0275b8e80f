"""Running the server: a socket, uvicorn, and an end that lets people finish."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress

import uvicorn

from ..core.errors import ServiceError
from .app import create_app
from .backend import Backend
from .config import ServerConfig
from .http_connection import HttpConnection
from .logs import log, set_up_logs

PING_S = 20.0
"""How often a client is asked whether it is still there, and how long it may take to say so."""
DEAD_CLIENT_MS = 30_000
"""How long the system keeps what a client does not take: an answer over HTTP, or the end of a session."""


class Server(uvicorn.Server):
    """uvicorn, which on a signal first lets replies finish; on the second it stops at once.

    Attributes:
        ready: called once everybody can come in.
    """

    def __init__(self, config: uvicorn.Config):
        super().__init__(config)
        self.ready: Callable[[], None] = lambda: None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ending: asyncio.Task | None = None

    def handle_exit(self, sig: int, frame: object) -> None:
        """What a signal does."""
        if self._loop is None or self.config.app.state.hub.draining:
            super().handle_exit(sig, frame)
            return
        self._loop.call_soon_threadsafe(self.end)

    def end(self) -> None:
        """Begin to stop; on the event loop."""
        self._ending = asyncio.create_task(self._drain())

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        self.ready()

    async def _drain(self) -> None:
        await self.config.app.state.hub.drain()
        self.should_exit = True


def make_server(config: ServerConfig, backend: Backend) -> Server:
    """A server that is ready to run; with uvicorn's limits as ours."""
    limits = config.limits
    return Server(
        uvicorn.Config(
            create_app(config, backend),
            host=config.host,
            port=config.port,
            http=HttpConnection,
            access_log=False,
            log_config=None,
            server_header=False,
            # Base64 of speech hardly shrinks, and packing it takes the model's time.
            ws_per_message_deflate=False,
            ws_max_size=limits.message_bytes,
            ws_ping_interval=PING_S,
            ws_ping_timeout=PING_S,
            timeout_graceful_shutdown=2,
        )
    )


def bind(host: str, port: int) -> socket.socket:
    """A socket that has its address; who comes before the server runs is told that nobody is there.

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
        config: of the server.
        load: loads the model.
        ready: told the address of the page once everybody can come in.
    Raises:
        ServiceError: the port is taken.
    """
    set_up_logs()
    listening = bind(config.host, config.port)
    with listening:
        port = listening.getsockname()[1]
        server = make_server(config, load())
        log("listening", host=config.host, port=port)
        server.ready = lambda: ready(page_address(config, port))
        server.run(sockets=[listening])


def page_address(config: ServerConfig, port: int) -> str:
    """Where the page is."""
    host = "127.0.0.1" if config.host in ("0.0.0.0", "localhost") else "[::1]" if config.host == "::" else config.host
    host = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return f"http://{host}:{port}/" + (f"?token={config.token}" if config.token else "")
