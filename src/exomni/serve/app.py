"""The server's addresses: the WebSocket, the endpoints, the page."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import resources
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, WebSocket
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from . import endpoints
from .gate import Gate, refusal_of
from .hub import Hub
from .protocol import PATH
from .protocol.server import ErrorCode
from .realtime import serve_socket
from .refusals import Refusal, refuse
from .telemetry import log


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
    async def realtime(socket: WebSocket) -> None:
        await serve_socket(hub, socket, refusal_of(config, socket))

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
