"""Requests that are begun and not finished, answers that nobody takes: little is held, and not for long."""

import json
import socket
import time
from contextlib import suppress

import pytest

from .dummies import DummyBackend, Running, fetch, post, wait_until

SOON = {"slow_client_s": 0.5}
HEAD = b"POST /v1/respond HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"


def opened(server: Running, data: bytes = b"", buffer_bytes: int | None = None) -> socket.socket:
    """A connection on which something has been said; of an answer it holds so much before it is taken."""
    made = socket.socket()
    if buffer_bytes is not None:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
    made.settimeout(10)
    made.connect(("127.0.0.1", server.port))
    made.sendall(data)
    return made


def answer(connection: socket.socket) -> tuple[int, dict]:
    """Status and content of what comes until the other side closes; 0 where nothing does."""
    data = b""
    try:
        while piece := connection.recv(65_536):
            data += piece
    except ConnectionResetError:
        pass
    head, _, body = data.partition(b"\r\n\r\n")
    return (int(head.split()[1]), json.loads(body)) if head else (0, {})


def kept_s(connection: socket.socket, piece: bytes) -> float:
    """How long the other side goes on listening to somebody who says something again and again."""
    began = time.monotonic()
    with suppress(OSError):
        while time.monotonic() - began < 10:
            connection.sendall(piece)
            time.sleep(0.05)
    return time.monotonic() - began


def dropped(server: Running) -> float:
    return server.hub.metrics.dropped._value.get()


def test_half_a_head_is_waited_for_no_longer_than_the_limit(start):
    server = start(limits=SOON)
    began = time.monotonic()
    status, body = answer(opened(server, HEAD[:40]))
    assert (status, body["error"]["code"]) == (408, "too_slow")
    assert 0.4 < time.monotonic() - began < 5
    assert dropped(server) == 1


def test_a_head_in_drops_is_not_waited_for_longer(start):
    server = start(limits=SOON)
    assert 0.4 < kept_s(opened(server), b"a") < 5


def test_who_says_nothing_is_closed_without_a_word(start):
    server = start(limits=SOON)
    assert answer(opened(server)) == (0, {})
    assert dropped(server) == 0


def test_a_head_without_end_is_refused_before_it_grows(start):
    server = start()
    assert kept_s(opened(server, b"GET / HTTP/1.1\r\n"), b"x: " + b"a" * 10_000 + b"\r\n") < 2


@pytest.mark.parametrize(
    "head", [b"content-length: 100\r\n\r\n", b"transfer-encoding: chunked\r\n\r\n"], ids=["known", "chunked"]
)
def test_half_a_body_is_waited_for_no_longer_than_the_limit(start, head):
    backend = DummyBackend()
    server = start(backend, limits=SOON)
    piece = b'{"text": "a' if b"length" in head else b'a\r\n{"text": "\r\n'
    connection = opened(server, HEAD + head + piece)
    wait_until(lambda: server.hub.upload_bytes)
    status, body = answer(connection)
    assert (status, body["error"]["code"]) == (408, "too_slow")
    wait_until(lambda: not server.hub.connections)
    assert server.hub.upload_bytes == 0
    assert dropped(server) == 1
    assert not backend.asked


def test_half_a_form_is_waited_for_no_longer_than_the_limit(start):
    server = start(limits=SOON)
    head = b"POST /v1/animate HTTP/1.1\r\nhost: localhost\r\ncontent-length: 90000\r\n"
    kind = b"content-type: multipart/form-data; boundary=XX\r\n\r\n"
    part = b'--XX\r\nContent-Disposition: form-data; name="audio"; filename="a.wav"\r\n\r\nRIFF'
    assert answer(opened(server, head + kind + part))[0] == 408


def test_a_body_in_drops_has_an_end(start):
    server = start(limits={"slow_client_s": 1, "upload_s": 0.8})
    connection, began = opened(server, HEAD + b"content-length: 1000\r\n\r\n"), time.monotonic()
    connection.settimeout(0.1)
    data = b""
    while not data and time.monotonic() - began < 10:
        connection.sendall(b"a")
        try:
            data = connection.recv(65_536)
        except TimeoutError:
            continue
    assert data.startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - began < 5


def test_who_goes_on_after_the_answer_is_not_heard_for_ever(start):
    """Where a request is refused before its body came, the rest of it must not keep the connection."""
    server = start(token="a-secret-token", limits=SOON)
    connection = opened(server, HEAD + b"content-length: 1000000\r\n\r\n")
    assert connection.recv(65_536).startswith(b"HTTP/1.1 401 ")
    assert 0.4 < kept_s(connection, b"a") < 5


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="this system does not know it")
def test_an_answer_that_nobody_takes_is_not_kept(start, monkeypatch):
    monkeypatch.setattr("exomni.serve.app.DEAD_CLIENT_MS", 1_000)
    server = start(DummyBackend(" ".join(["one two three four"] * 300)), limits=SOON)
    connection, body = opened(server, buffer_bytes=4_096), b'{"text": "go on"}'
    connection.sendall(HEAD + f"content-length: {len(body)}\r\n\r\n".encode() + body)
    wait_until(lambda: server.hub.kept.n_bytes, 30)
    wait_until(lambda: not server.hub.connections, 30)


def test_an_answer_that_is_taken_slowly_is_given_whole(start):
    server = start(DummyBackend(" ".join(["one two three four"] * 150)), limits=SOON)
    connection, body = opened(server, buffer_bytes=200_000), b'{"text": "go on"}'
    connection.sendall(HEAD + f"connection: close\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
    data, began = b"", time.monotonic()
    while piece := connection.recv(100_000):
        data += piece
        time.sleep(0.05 if time.monotonic() - began < 3 else 0)
    assert time.monotonic() - began > 2
    assert json.loads(data.partition(b"\r\n\r\n")[2])["face"]["n_frames"] > 1_000
    assert dropped(server) == 0


def test_sessions_that_share_a_connection_with_a_request_live_on(start):
    """A browser may ask for the page and then, on the same connection, for a WebSocket."""
    from websockets.sync.client import connect

    server = start(limits=SOON)
    connection = opened(server, b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
    data = b""
    while not data.endswith(b"}"):
        data += connection.recv(65_536)
    with connect(f"ws://127.0.0.1:{server.port}/v1/realtime", sock=connection) as client:
        assert json.loads(client.recv(10))["type"] == "session.created"
        time.sleep(1.2)
        client.send(json.dumps({"type": "session.update", "session": {}}))
        assert json.loads(client.recv(10))["type"] == "session.updated"


def test_only_so_many_connections_are_held(start):
    server = start(limits={"connections": 3, "slow_client_s": 1})
    held = [opened(server, HEAD) for _ in range(3)]
    wait_until(lambda: len(server.hub.connections) == 3)
    status, body = answer(opened(server))
    assert (status, body["error"]["code"]) == (503, "server_busy")
    assert body["error"]["retry_after"] >= 1
    assert [answer(each)[0] for each in held] == [408] * 3
    assert fetch(server, "/healthz")[0] == 200


def test_only_so_much_of_all_requests_is_held(start):
    server = start(limits={"body_bytes": 100_000, "uploads_bytes": 100_000, "slow_client_s": 2})
    half = opened(server, HEAD + b"content-length: 90000\r\n\r\n" + b"a" * 80_000)
    wait_until(lambda: server.hub.upload_bytes == 80_000)
    status, headers, body = post(server, "/v1/respond", {"text": "a" * 30_000})
    assert (status, body["error"]["code"]) == (503, "server_busy")
    assert int(headers["retry-after"]) >= 1
    half.close()
    wait_until(lambda: not server.hub.upload_bytes)
    assert post(server, "/v1/respond", {"text": "hello"})[0] == 200


def test_a_hundred_half_open_connections_keep_nobody_out(start):
    server = start(limits={"slow_client_s": 2, "requests_per_minute": 10_000})
    held = [opened(server, HEAD + b"content-length: 10\r\n\r\n" if i % 2 else HEAD[:20]) for i in range(100)]
    assert post(server, "/v1/respond", {"text": "hello"})[0] == 200
    with server.client() as client:
        assert client.ask("hello")[-1]["response"]["status"] == "completed"
    for each in held:
        each.recv(65_536)
    wait_until(lambda: len(server.hub.connections) == 0, 20)
    assert dropped(server) == 100
