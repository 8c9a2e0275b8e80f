"""Who may come in, and what a page may load."""

import re

import pytest
from websockets.exceptions import ConnectionClosed

from exomni.core.errors import ConfigError, ServiceError
from exomni.serve.app import bind, page_address
from exomni.serve.config import server_config

from .dummies import fetch, post

TOKEN = "correct-horse_battery.staple~1"


def refusal(server, query: str = "", **options) -> tuple[int, str]:
    """Close code and error code that a client gets."""
    with server.client(query, **options) as client:
        error = client.next()
        assert error["type"] == "error", error
        with pytest.raises(ConnectionClosed) as closing:
            client.next()
        return closing.value.rcvd.code, error["error"]["code"]


@pytest.mark.parametrize(
    ("query", "options"),
    [
        (f"?token={TOKEN}", {}),
        ("", {"additional_headers": {"Authorization": f"Bearer {TOKEN}"}}),
        ("", {"subprotocols": ["realtime", f"openai-insecure-api-key.{TOKEN}"]}),
        ("", {"subprotocols": ["realtime", f"exomni-token.{TOKEN}"]}),
    ],
    ids=["query", "bearer", "openai", "ours"],
)
def test_who_knows_the_token_comes_in(start, query, options):
    server = start(token=TOKEN)
    with server.client(query, **options) as client:
        assert client.next()["type"] == "session.created"
        assert client.socket.subprotocol == ("realtime" if options.get("subprotocols") else None)


@pytest.mark.parametrize(
    ("query", "options"),
    [
        ("", {}),
        ("?token=", {}),
        (f"?token={TOKEN}x", {}),
        ("?token=%C3%A9", {}),
        ("", {"additional_headers": {"Authorization": TOKEN}}),
        ("", {"additional_headers": {"Authorization": "Basic " + TOKEN}}),
        ("", {"subprotocols": ["realtime", TOKEN]}),
    ],
)
def test_who_does_not_stays_out(start, query, options):
    assert refusal(start(token=TOKEN), query, **options) == (1008, "unauthorized")


def test_requests_need_the_token_too(start):
    server = start(token=TOKEN)
    status, headers, body = post(server, "/v1/respond", {"text": "hello"})
    assert (status, body["error"]["code"], headers["www-authenticate"]) == (401, "unauthorized", "Bearer")
    assert fetch(server, "/metrics")[0] == fetch(server, "/v1/exports")[0] == 401
    assert post(server, "/v1/respond", {"text": "hello"}, authorization=f"Bearer {TOKEN}")[0] == 200
    assert fetch(server, f"/v1/exports?token={TOKEN}")[0] == 200
    assert fetch(server, "/healthz")[0] == 200


def test_without_a_token_whatever_is_shown_is_fine(shared):
    with shared.client(additional_headers={"Authorization": "Bearer sk-anything"}) as client:
        assert client.next()["type"] == "session.created"


def test_foreign_pages_stay_out(start):
    server = start()
    assert refusal(server, origin="https://evil.example") == (1008, "origin_refused")
    assert refusal(server, origin="null") == (1008, "origin_refused")
    assert refusal(server, origin=f"http://127.0.0.1:{server.port + 1}") == (1008, "origin_refused")
    status, _, body = post(server, "/v1/respond", {"text": "hello"}, origin="https://evil.example")
    assert (status, body["error"]["code"]) == (403, "origin_refused")


def test_our_page_and_allowed_pages_come_in(start):
    server = start(origins=("https://friend.example",))
    for origin in (server.http, "https://friend.example"):
        with server.client(origin=origin) as client:
            assert client.next()["type"] == "session.created"
    status, headers, _ = post(server, "/v1/respond", {"text": "hello"}, origin="https://friend.example")
    assert (status, headers["access-control-allow-origin"]) == (200, "https://friend.example")


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8400", "127.0.0.1.evil.example", "localhost@evil.example", ""]
)
def test_a_foreign_name_for_this_machine_is_refused(shared, host):
    status, _, body = fetch(shared, "/", host=host)
    assert (status, body["error"]["code"]) == (403, "origin_refused")


def test_a_public_address_demands_a_token():
    for host in ("0.0.0.0", "192.168.1.5", "::", "example.org"):
        with pytest.raises(ConfigError, match="give a token"):
            server_config(host=host)
        assert server_config(host=host, token=TOKEN).token == TOKEN
    for host in ("127.0.0.1", "localhost", "::1"):
        assert server_config(host=host).token is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"token": "short"}, "8 to 128"),
        ({"token": "with space and more"}, "8 to 128"),
        ({"origins": ("example.org",)}, "https://example.org"),
        ({"port": 70_000}, "port"),
        ({"colour": 1}, "colour"),
        ({"limits": {"sessions": 0}}, "limits.sessions"),
        ({"limits": {"colour": 1}}, "limits.colour"),
        ({"limits": {"uploads_bytes": 1_000_000}}, "largest request would never fit"),
    ],
)
def test_settings_that_make_no_sense_are_refused_by_name(changes, message):
    with pytest.raises(ConfigError, match=message):
        server_config(**changes)


def test_settings_come_from_a_file(tmp_path):
    file = tmp_path / "serve.yaml"
    file.write_text("port: 9000\nlimits:\n  sessions: 3\n")
    config = server_config(file, host="localhost")
    assert (config.port, config.limits.sessions, config.host) == (9000, 3, "localhost")
    file.write_text("- no settings")
    with pytest.raises(ConfigError, match="settings"):
        server_config(file)
    with pytest.raises(ConfigError, match="cannot be read"):
        server_config(tmp_path / "nowhere.yaml")


def test_a_taken_port_is_named(shared):
    with pytest.raises(ServiceError, match=r"cannot listen.*--port"):
        bind("127.0.0.1", shared.port).listen()
    with pytest.raises(ServiceError, match="cannot listen"):
        bind("no.such.host.invalid", 0)


def test_the_address_of_the_page_is_one_that_works():
    assert page_address(server_config(), 8400) == "http://127.0.0.1:8400/"
    assert page_address(server_config(host="::1"), 1) == "http://[::1]:1/"
    assert page_address(server_config(host="0.0.0.0", token=TOKEN), 1) == f"http://127.0.0.1:1/?token={TOKEN}"


def test_the_page_loads_only_what_is_ours(shared):
    status, headers, body = fetch(shared, "/")
    policy = headers["content-security-policy"]
    assert status == 200
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy
    assert "'unsafe-eval'" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    page = body.decode()
    assert not re.search(r"<script(?![^>]*\bsrc=)[^>]*>", page), "an inline script would not run"
    assert not re.search(r"(?:src|href)=[\"'](?:https?:)?//", page), "something comes from elsewhere"
    assert "style=" not in page


@pytest.mark.parametrize(
    "path", ["/../pyproject.toml", "/%2e%2e/%2e%2e/cli/__init__.py", "/..%2f..%2fcli/__init__.py", "//etc/passwd"]
)
def test_nothing_outside_the_page_is_served(shared, path):
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", shared.port)
    connection.request("GET", path)
    assert connection.getresponse().status == 404
