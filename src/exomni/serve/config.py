"""How the server is set up: its address, who may connect, and its limits."""

import ipaddress
import re
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from ..core.configuration import StrictConfig
from ..core.errors import ConfigError

PORT = 8400
TOKEN = re.compile(r"[A-Za-z0-9._~-]{8,128}")
"""What a token may be, so that it fits a header, an address and a subprotocol."""

Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]


class Limits(StrictConfig):
    """How much clients may ask of the server.

    Attributes:
        sessions: WebSockets at once; more are told when to come again.
        replies: being made at once, for sessions and requests together.
        connections: of HTTP at once; more are told when to come again.
        message_bytes: longest WebSocket message.
        body_bytes: largest HTTP request.
        uploads_bytes: of all requests that are being read or answered.
        upload_s: longest time that a request's body takes to come in.
        turn_s: longest turn of speech.
        recording_s: longest recording that HTTP takes.
        session_s: longest session.
        items: that a conversation keeps; one more, and the older half is dropped.
        messages_per_s: of one session; beyond, its messages are read more slowly.
        audio_speed: seconds of speech that a session may send in a second; beyond, they are read more slowly.
        replies_per_minute: of one session.
        requests_per_minute: HTTP requests that need the model, of one address.
        outbox_bytes: waiting for one client; beyond, its reply waits too.
        slow_client_s: a client that takes nothing, or leaves a request half said, for as long is dropped.
        kept_bytes: of replies that are kept for downloads.
        exports: being written or waiting to be written at once.
    """

    sessions: Count = 32
    replies: Count = 16
    connections: Count = 256
    message_bytes: Annotated[int, Field(ge=4_096)] = 1 << 20
    body_bytes: Annotated[int, Field(ge=4_096)] = 32 << 20
    uploads_bytes: Annotated[int, Field(ge=4_096)] = 128 << 20
    upload_s: Seconds = 120.0
    turn_s: Seconds = 120.0
    recording_s: Seconds = 600.0
    session_s: Seconds = 3_600.0
    items: Annotated[int, Field(ge=2)] = 256
    messages_per_s: Seconds = 200.0
    audio_speed: Annotated[float, Field(ge=1)] = 20.0
    replies_per_minute: Seconds = 60.0
    requests_per_minute: Seconds = 120.0
    outbox_bytes: Annotated[int, Field(ge=65_536)] = 4 << 20
    slow_client_s: Seconds = 15.0
    kept_bytes: Annotated[int, Field(ge=1 << 20)] = 64 << 20
    exports: Count = 4

    @model_validator(mode="after")
    def _the_largest_request_fits(self) -> "Limits":
        if self.uploads_bytes < self.body_bytes:
            raise ValueError("uploads_bytes is less than body_bytes, so that the largest request would never fit")
        return self


class ServerConfig(StrictConfig):
    """Where the server listens and who may connect.

    Attributes:
        host: address to listen on; anything but loopback needs a token.
        port: 0 takes a free one.
        token: that every request must show, or None.
        origins: other pages that may talk to the server, such as `https://example.org`.
        limits: how much clients may ask.
        grace_s: how long replies may finish when the server is told to stop.
        log_content: whether logs may hold what was said; for finding mistakes on one's own machine.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = PORT
    token: str | None = None
    origins: tuple[str, ...] = ()
    limits: Limits = Limits()
    grace_s: Annotated[float, Field(ge=0)] = 5.0
    log_content: bool = False

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
    """A configuration from a YAML file, or what holds without one, with changes.

    Args:
        path: of the file.
        **changes: fields that the file does not decide.
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
