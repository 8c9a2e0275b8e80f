"""The server as a whole: its addresses (WebSocket, endpoints, page), and how it is run and ended."""

import asyncio
import os
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from importlib import resources
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, WebSocket
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from ..core.errors import ServiceError
from . import endpoints
from .backend import Backend
from .config import ServerConfig
from .gate import Gate, refusal_of
from .http_connection import HttpConnection
from .hub import Hub
from .protocol import PATH
from .protocol.server import ErrorCode
from .realtime import serve_socket
from .refusals import Refusal, refuse
from .telemetry import log, set_up_logs

PING_S = 20.0
"""How often a client is asked whether it is still there, and how long it may take to say so."""
DEAD_CLIENT_MS = 30_000
"""How long the system keeps what a client does not take: an answer over HTTP, or the end of a session."""
HEAD_BYTES = 16 << 10
"""Longest head of a request."""
SIGNALS = (signal.SIGINT, signal.SIGTERM)


def create_app(hub: Hub) -> FastAPI:
    """The server as an ASGI application; requests find the hub in `app.state`, connections in the lifespan's state."""
    config = hub.config

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Hub]]:
        hub.scheduler.start()
        yield {"hub": hub}
        await hub.drain()
        hub.stop()

    app = FastAPI(
        title="exomni", description="A talking face: words, voice and blendshapes.", version="1", lifespan=lifespan,
        docs_url=None, redoc_url=None,
    )  # fmt: skip
    app.state.hub = hub
    app.openapi = lambda: endpoints.describe(app)
    app.include_router(endpoints.router)

    @app.websocket(PATH)
    async def realtime(client: WebSocket) -> None:
        await serve_socket(hub, client, refusal_of(config, client))

    app.exception_handler(Refusal)(_refused)
    app.exception_handler(HTTPException)(_http_error)
    app.exception_handler(Exception)(_failed)
    app.mount("/", Page(directory=str(resources.files("exomni.serve") / "web"), html=True))
    if config.origins:
        app.add_middleware(CORSMiddleware, allow_origins=list(config.origins), allow_methods=["*"], allow_headers=["*"])
    app.add_middleware(Gate, hub=hub)
    return app


class Page(StaticFiles):
    """The page's files; names with a hash are kept for good, the others are asked for again."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """A file; an endpoint that is asked in the wrong way comes here too, and is no missing file."""
        routes = [route for route in endpoints.router.routes if isinstance(route, APIRoute)]
        methods = {method for route in routes if route.path_regex.match("/" + path) for method in route.methods or ()}
        if methods:
            allowed = ", ".join(sorted(methods))
            raise HTTPException(405, "the endpoint takes " + allowed, {"allow": allowed})
        return await super().get_response(path, scope)

    def file_response(self, full_path: str | os.PathLike[str], *args: Any, **kwargs: Any) -> Response:
        """A file."""
        response = super().file_response(full_path, *args, **kwargs)
        has_hash = Path(full_path).parent.name == "assets"
        response.headers["cache-control"] = "public, max-age=31536000, immutable" if has_hash else "no-cache"
        return response


async def _refused(_: Request, refusal: Refusal) -> JSONResponse:
    return refuse(refusal)


async def _http_error(_: Request, error: HTTPException) -> JSONResponse:
    codes: dict[int, ErrorCode] = {404: "item_not_found", 413: "message_too_big"}
    body = Refusal(codes.get(error.status_code, "invalid_event"), str(error.detail)).body()
    return JSONResponse({"error": body.model_dump(exclude_none=True)}, error.status_code, error.headers)


async def _failed(request: Request, error: Exception) -> JSONResponse:
    log("request failed", level=40, error=error, path=request.scope.get("path"))
    return refuse(Refusal("server_error", "the request failed; it is logged"))


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
