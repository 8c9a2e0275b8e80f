"""Nonsense of every kind: the server answers each of it, goes on, and fails at nothing of its own.

A few seconds here; `make fuzz` goes on for ten minutes (`EXOMNI_FUZZ_S`).
"""

import base64
import json
import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed

from exomni.serve.config import Limits, ServerConfig

from .dummies import FIXTURES, DummyBackend, Running, fetch, wait_until

SECONDS = float(os.environ.get("EXOMNI_FUZZ_S", "0"))
"""How long each of the three goes on; 0 for as many tries as a test may take."""
EVENTS = json.loads((FIXTURES / "client_events.json").read_text())
WORDS = sorted(
    {word for event in EVENTS for word in json.dumps(event).replace('"', " ").split() if word.isidentifier()}
)

names = st.text(max_size=8) | st.sampled_from(WORDS)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
ids = st.sampled_from(["item_1", "root", "", "x" * 65, "mine_3"]) | st.text(max_size=70)
pcm = st.binary(max_size=6_000).map(lambda data: base64.b64encode(data).decode())
loud = st.integers(1, 12_000).map(lambda n: base64.b64encode(np.full(n, 9_000, "<i2").tobytes()).decode())
still = st.integers(1, 30_000).map(lambda n: base64.b64encode(bytes(2 * n)).decode())


def places(value: object, path: tuple = ()) -> list[tuple]:
    """Paths to everything in a JSON value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, child in inside for place in places(child, (*path, key)))]


@st.composite
def bent_events(draw) -> str:
    """A message of the protocol in which something is replaced, added or missing."""
    event = json.loads(json.dumps(draw(st.sampled_from(EVENTS))))
    for _ in range(draw(st.integers(0, 2))):
        found = [place for place in places(event) if place]
        if not found:
            break
        *path, last = draw(st.sampled_from(found))
        inside = event
        for key in path:
            inside = inside[key]
        match draw(st.sampled_from(["replace", "remove", "add"])):
            case "replace":
                inside[last] = draw(json_values)
            case "remove":
                del inside[last]
            case _ if isinstance(inside, dict):
                inside[draw(names)] = draw(json_values)
    return json.dumps(event)


spoken = (pcm | loud | still).map(lambda audio: json.dumps({"type": "input_audio_buffer.append", "audio": audio}))
about_items = st.builds(
    lambda kind, item_id, ms: json.dumps(
        {"type": kind, "item_id": item_id} | ({"audio_end_ms": ms} if "trunc" in kind else {})
    ),
    st.sampled_from(["conversation.item.truncate", "conversation.item.delete", "conversation.item.retrieve"]),
    ids,
    st.integers(-10, 2**40),
)
whole = st.sampled_from([json.dumps(event) for event in EVENTS])
messages = st.lists(
    whole | bent_events() | spoken | about_items | json_values.map(json.dumps) | st.text(max_size=50)
    | st.binary(max_size=50),
    min_size=1, max_size=12,
)  # fmt: skip


@pytest.fixture(scope="module")
def server():
    limits = Limits(
        replies_per_minute=1e6,
        requests_per_minute=1e6,
        messages_per_s=1e6,
        audio_speed=1e6,
        turn_s=2,
        body_bytes=1 << 20,
    )
    running = Running(ServerConfig(port=0, limits=limits), DummyBackend())
    yield running
    running.stop()


def try_out(check: Callable[[], None], seconds: float) -> None:
    """Once, or again and again with new draws for as long as was asked for."""
    ends_at = time.monotonic() + seconds
    check()
    while time.monotonic() < ends_at:
        check()


def tries(count: int) -> settings:
    """How many draws."""
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    return settings(
        max_examples=count, derandomize=not SECONDS, deadline=None, database=None, suppress_health_check=checks
    )


def test_whatever_is_said_is_answered(server, caplog):
    @tries(40)
    @given(messages)
    def say(texts: list[str | bytes]) -> None:
        failed = server.hub.metrics.errors.labels("server_error")._value.get()
        try:
            with server.client() as client:
                client.next()
                for text in texts:
                    client.socket.send(text)
                client.send("session.update", event_id="last", session={"exomni": {"seed": 7}})
                while (event := client.next())["type"] != "session.updated" or event["session"]["exomni"]["seed"] != 7:
                    code = event.get("error", {}).get("code")
                    assert code != "server_error", (texts, event)
        except ConnectionClosed as error:
            raise AssertionError(f"{texts} ended the session: {error.rcvd}") from error
        assert server.hub.metrics.errors.labels("server_error")._value.get() == failed
        assert not [record for record in caplog.records if "failed" in record.getMessage()], texts

    try_out(say, SECONDS)
    with server.client() as client:
        assert client.ask("still here")[-1]["response"]["status"] == "completed"


def test_whatever_is_requested_is_answered_as_described(server):
    import schemathesis
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

    schema = schemathesis.openapi.from_url(server.http + "/openapi.json")
    checks = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
    operations = [operation.ok() for operation in schema.get_all_operations()]
    assert len(operations) == 7
    for operation in operations:

        @tries(15)
        @given(operation.as_strategy())
        def request(case) -> None:
            case.call_and_validate(checks=checks)

        try_out(request, SECONDS / len(operations))


lines = st.sampled_from(
    [
        b"POST /v1/respond HTTP/1.1\r\n", b"GET / HTTP/1.1\r\n", b"GET /v1/realtime HTTP/1.1\r\n", b"\r\n",
        b"host: localhost\r\n", b"content-length: 9\r\n", b"transfer-encoding: chunked\r\n", b"5\r\nabcde\r\n",
        b"0\r\n\r\n", b"connection: upgrade\r\nupgrade: websocket\r\n", b"sec-websocket-version: 13\r\n",
        b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b"content-type: application/json\r\n",
        b"content-type: multipart/form-data; boundary=a\r\n", b'{"text":1', b"--a\r\n", b"expect: 100-continue\r\n",
    ]
)  # fmt: skip


def test_whatever_bytes_come_keep_nobody_out(server, caplog):
    @tries(60)
    @given(st.lists(lines | st.binary(max_size=40), min_size=1, max_size=14))
    def send(pieces: list[bytes]) -> None:
        with socket.create_connection(("127.0.0.1", server.port), 20) as connection, suppress(ConnectionError):
            connection.sendall(b"".join(pieces))
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65_536):
                pass
        assert not [record for record in caplog.records if record.levelname == "ERROR"], pieces

    try_out(send, SECONDS)
    wait_until(lambda: not server.hub.connections)
    assert server.hub.upload_bytes == server.hub.n_replies == 0
    assert fetch(server, "/healthz")[0] == 200
