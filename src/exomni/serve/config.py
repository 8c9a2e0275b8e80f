"""How the server is set up: its address, who may connect, and its limits."""

import ipaddress
import re
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from ..core.configuration import StrictConfig
from ..core.errors import ConfigError

TOKEN = re.compile(r"[A-Za-z0-9._~-]{8,128}")
"""What a token may be, so that it fits a header, an address and a subprotocol."""

Count = Annotated[int, Field(ge=1)]
Bytes = Annotated[int, Field(ge=4_096)]
Seconds = Annotated[float, Field(gt=0)]


class Limits(StrictConfig):
    """How much clients may ask of the server."""

    sessions: Count = 32  # WebSockets at once; more are told when to come again
    replies: Count = 16  # being made at once, for sessions and requests together
    connections: Count = 256  # of HTTP at once; more are told when to come again
    message_bytes: Bytes = 1 << 20  # longest WebSocket message
    body_bytes: Bytes = 32 << 20  # largest HTTP request
    uploads_bytes: Bytes = 128 << 20  # of all requests that are being read or answered
    upload_s: Seconds = 120.0  # longest time that a request's body takes to come in
    turn_s: Seconds = 120.0  # longest turn of speech
    recording_s: Seconds = 600.0  # longest recording that HTTP takes
    session_s: Seconds = 3_600.0  # longest session
    items: Annotated[int, Field(ge=2)] = 256  # that a conversation keeps; one more, and the older half is dropped
    messages_per_s: Seconds = 200.0  # of one session; beyond, its messages are read more slowly
    audio_speed: Annotated[float, Field(ge=1)] = 20.0  # seconds of speech a second of one session; as above
    replies_per_minute: Seconds = 60.0  # of one session
    requests_per_minute: Seconds = 120.0  # HTTP requests that need the model, of one address
    outbox_bytes: Annotated[int, Field(ge=65_536)] = 4 << 20  # waiting for one client; beyond, its reply waits too
    slow_client_s: Seconds = 15.0  # a client that takes nothing, or leaves a request half said, for as long is dropped
    kept_bytes: Annotated[int, Field(ge=1 << 20)] = 64 << 20  # of replies that are kept for downloads
    exports: Count = 4  # being written or waiting to be written at once

    @model_validator(mode="after")
    def _the_largest_request_fits(self) -> "Limits":
        if self.uploads_bytes < self.body_bytes:
            raise ValueError("uploads_bytes is less than body_bytes, so that the largest request would never fit")
        return self


class ServerConfig(StrictConfig):
    """Where the server listens and who may connect."""

    host: str = "127.0.0.1"  # address to listen on; anything but loopback needs a token
    port: Annotated[int, Field(ge=0, le=65_535)] = 8400  # 0 takes a free one
    token: str | None = None  # that every request must show
    origins: tuple[str, ...] = ()  # other pages that may talk to the server, such as https://example.org
    limits: Limits = Limits()
    grace_s: Annotated[float, Field(ge=0)] = 5.0  # how long replies may finish when the server is told to stop
    log_content: bool = False  # whether logs may hold what was said; for finding mistakes on one's own machine

    @field_validator("token")
    @classmethod
    def _fits(cls, token: str | None) -> str | None:
        if token is not None and not TOKEN.fullmatch(token):
            raise ValueError("a token is 8 to 128 letters, digits, '-', '_', '.' and '~'")
        return token

    @field_validator("origins")
    @classmethod
    def _are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if not re.fullmatch(r"https?://[^/\s]+", origin):
                raise ValueError(f"{origin!r} is not an origin such as https://example.org")
        return origins

    @model_validator(mode="after")
    def _public_needs_a_token(self) -> "ServerConfig":
        if not is_loopback(self.host) and self.token is None:
            raise ValueError(f"{self.host} can be reached by others: give a token that they must know")
        return self


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a host."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def server_config(path: Path | None = None, **changes: object) -> ServerConfig:
    """A configuration from a YAML file, or what holds without one, with changes that are stronger than the file.

    Raises:
        ConfigError: not readable, unknown keys, or values that make no sense.
    """
    try:
        content = yaml.safe_load(path.read_text("utf-8")) if path else {}
        if not isinstance(content, dict):
            raise ConfigError(f"{path} holds no settings such as 'port: 8400'")
        return ServerConfig.model_validate({**content, **changes})
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "settings"
        raise ConfigError(f"{where}: {first['msg'].removeprefix('Value error, ')}") from None
