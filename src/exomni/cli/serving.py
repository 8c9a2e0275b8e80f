"""The command `serve`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from .shared import Model, waiting


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; others than loopback need --token.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65_535, help="8400 without it; 0 takes a free one.")] = None,
    token: Annotated[
        str | None, typer.Option(envvar="EXOMNI_TOKEN", help="What everybody must show to come in.")
    ] = None,
    allow_origin: Annotated[
        list[str] | None, typer.Option(help="Another page that may talk to it (https://example.org); repeat for more.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="YAML with settings and limits (docs/serving.md).")] = None,
    model: Model = "nano",
) -> None:
    """Open a page where a head talks, and serve programs: OpenAI's Realtime protocol, speech, animation."""
    from ..serve.backend import OmniBackend
    from ..serve.config import server_config
    from ..serve.server import serve as run

    given = {"host": host, "port": port, "token": token, "origins": allow_origin and tuple(allow_origin)}
    settings = server_config(config, **{name: value for name, value in given.items() if value is not None})

    def load() -> OmniBackend:
        with waiting("Loading the model (the first time, its parts are converted)"):
            return OmniBackend.load(model)

    run(settings, load, lambda address: print(f"Talk to it at {address}", file=sys.stderr, flush=True))
