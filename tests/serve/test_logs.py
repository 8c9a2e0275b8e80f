"""Logs name sessions and numbers, and never what was said unless they are told to."""

import json
import logging

import pytest

from exomni.serve.telemetry import LOGGER, JsonLines, log

from .dummies import DummyBackend, post


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO, "exomni.serve")
    return lambda: [json.loads(JsonLines().format(r)) for r in caplog.records if r.name == LOGGER.name]


def converse(server) -> str:
    with server.client() as client:
        client.ask("a private matter")
        return client.seen[0]["session"]["id"]


def test_nothing_that_was_said_is_logged(start, lines):
    server = start(DummyBackend("a private answer"), token="a-secret-token")
    with server.client("?token=a-secret-token") as client:
        client.ask("a private matter")
        session = client.seen[0]["session"]["id"]
    post(server, "/v1/respond?token=a-secret-token", {"text": "a private request"})
    server.stop()
    found = lines()
    assert {"session begins", "reply begins", "reply ends", "session ends", "request"} <= {
        line["event"] for line in found
    }
    assert all(line["session"] == session for line in found if "session" in line)
    ends = next(line for line in found if line["event"] == "reply ends")
    assert ends["status"] == "completed"
    assert ends["speech_s"] > 0
    assert "private" not in json.dumps(found)
    assert "secret" not in json.dumps(found)


def test_what_was_said_is_logged_on_request(start, lines):
    converse(start(DummyBackend("an answer"), log_content=True))
    texts = [line["text"].strip() for line in lines() if "text" in line]
    assert texts == ["a private matter", "an answer"]


def test_an_error_is_logged_by_kind_and_place(lines):
    try:
        raise ValueError("a private matter")
    except ValueError as error:
        log("reply failed", level=logging.ERROR, error=error, session="sess_1")
    (line,) = lines()
    assert (line["level"], line["error"], line["session"]) == ("error", "ValueError", "sess_1")
    assert "test_logs.py" in line["where"][-1]
    assert "private" not in json.dumps(line)
