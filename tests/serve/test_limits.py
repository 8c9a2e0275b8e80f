"""Many people, greedy people, slow people, dead people: nobody stalls, memory is bounded, and everybody is told."""

import json
import threading
import time

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed

from .dummies import DummyBackend, fetch, of_type, post, quiet, tone, wait_until

LONG = " ".join(["one two three four five six seven eight"] * 12)
ENDLESS = " ".join(["one two three four five six seven eight"] * 400)


def closed(client) -> tuple[int, dict]:
    """The close code, and the last message before it."""
    try:
        while True:
            client.next()
    except ConnectionClosed as error:
        return error.rcvd.code, client.seen[-1]


def test_a_full_house_says_when_to_come_again(start):
    server = start(limits={"sessions": 2})
    with server.client() as first, server.client() as second:
        first.next(), second.next()
        with server.client() as third:
            code, last = closed(third)
        assert (code, last["error"]["code"]) == (1013, "server_busy")
        assert last["error"]["retry_after"] >= 1
        assert first.ask("hello")[-1]["response"]["status"] == "completed"
    wait_until(lambda: not server.hub.sessions)
    with server.client() as again:
        assert again.next()["type"] == "session.created"


def test_a_busy_model_says_when_to_come_again(start):
    backend = DummyBackend(LONG)
    server = start(backend, limits={"replies": 1})
    backend.held.clear()
    with server.client() as first, server.client() as second:
        first.say("go on")
        first.send("response.create")
        first.until("response.created")
        second.say("me too")
        second.send("response.create")
        error = second.until("error")["error"]
        assert (error["code"], error["type"]) == ("server_busy", "rate_limit_error")
        assert error["retry_after"] >= 1
        status, headers, body = post(server, "/v1/respond", {"text": "and me"})
        assert (status, body["error"]["code"]) == (503, "server_busy")
        assert int(headers["retry-after"]) >= 1
        backend.held.set()
        first.until("response.done")
        second.send("response.create")
        second.until("response.done")


def test_everybody_gets_a_turn(start):
    """Eight people at once: all begin before any has ended, and none is far ahead of the others."""
    backend = DummyBackend(LONG, step_s=0.02)
    server = start(backend, limits={"replies": 8})
    first_audio, whole = [], []

    def talk() -> None:
        with server.client() as client:
            client.say("go on")
            began = time.monotonic()
            client.send("response.create")
            client.until("response.output_audio.delta", 30)
            first_audio.append(time.monotonic() - began)
            assert client.until("response.done", 60)["response"]["status"] == "completed"
            whole.append(time.monotonic() - began)
            done = of_type(client.seen, "response.output_audio_transcript.done")[0]
            assert done["transcript"].split() == LONG.split()

    people = [threading.Thread(target=talk) for _ in range(8)]
    for person in people:
        person.start()
    for person in people:
        person.join()
    assert len(whole) == 8
    assert max(first_audio) < min(whole)


def test_a_client_that_takes_nothing_is_dropped_and_costs_little(start):
    backend = DummyBackend(ENDLESS)
    limits = {"outbox_bytes": 65_536, "slow_client_s": 0.5}
    server = start(backend, limits=limits)
    with server.client(max_queue=1) as slow, server.client() as other:
        slow.say("go on")
        slow.send("response.create")
        wait_until(lambda: server.hub.n_replies)
        session = next(s for s in server.hub.sessions if s._dialogue._reply is not None)
        largest = 0
        ends_at = time.monotonic() + 15
        while session in server.hub.sessions and time.monotonic() < ends_at:
            largest = max(largest, session._outbox.n_bytes)
            time.sleep(0.01)
        assert session not in server.hub.sessions
        assert server.hub.metrics.dropped._value.get() == 1
        assert largest < 2_000_000
        wait_until(lambda: backend.n_closed == 1)
        assert backend.n_clauses < 400
        backend.answer = "fine"
        assert other.ask("hello")[-1]["response"]["status"] == "completed"


def test_a_client_that_vanishes_costs_nothing(start):
    backend = DummyBackend(ENDLESS, step_s=0.01)
    server = start(backend)
    with server.client() as client:
        client.say("go on")
        client.send("response.create")
        client.until("response.output_audio.delta")
        client.socket.socket.close()
        wait_until(lambda: not server.hub.sessions)
        wait_until(lambda: backend.n_closed == 1)
        assert server.hub.n_replies == 0


def test_a_message_that_is_too_big_ends_the_session(start):
    server = start(limits={"message_bytes": 10_000})
    with server.client() as client:
        client.send("input_audio_buffer.append", audio="A" * 20_000)
        code, _ = closed(client)
    assert code == 1009
    with server.client() as client:
        assert client.next()["type"] == "session.created"


def test_a_flood_is_read_slowly_and_completely(start):
    server = start(limits={"messages_per_s": 50})
    with server.client() as client:
        began = time.monotonic()
        for _ in range(300):
            client.send("input_audio_buffer.clear")
        for _ in range(300):
            client.until("input_audio_buffer.cleared")
        # 250 may come at once, the others at 50 a second.
        assert 0.8 <= time.monotonic() - began < 30


def test_audio_faster_than_real_time_is_read_slowly_and_completely(start):
    server = start(limits={"audio_speed": 1, "turn_s": 60})
    with server.client() as client:
        client.set_up(audio={"input": {"turn_detection": None}})
        began = time.monotonic()
        client.append(tone(7), piece=12_000)
        client.send("input_audio_buffer.commit")
        client.until("conversation.item.done")
        assert 1.5 <= time.monotonic() - began < 30  # 5 s may come at once


def test_too_many_replies_a_minute_are_refused(start):
    with start(limits={"replies_per_minute": 12}).client() as client:
        client.ask("one")
        client.ask("two")
        client.say("three")
        client.send("response.create")
        error = client.until("error")["error"]
        assert error["code"] == "rate_limited"
        assert 1 <= error["retry_after"] <= 6


def test_too_many_requests_a_minute_are_refused(start):
    server = start(limits={"requests_per_minute": 6})
    assert post(server, "/v1/respond", {"text": "one"})[0] == 200
    status, headers, body = post(server, "/v1/respond", {"text": "two"})
    assert (status, body["error"]["code"]) == (429, "rate_limited")
    assert 1 <= int(headers["retry-after"]) <= 11


def test_a_session_ends_at_its_limit(start):
    with start(limits={"session_s": 0.5}).client() as client:
        assert client.next()["session"]["expires_at"] >= time.time() - 2
        code, last = closed(client)
    assert (code, last["error"]["code"]) == (1000, "session_expired")


def test_only_so_much_is_remembered(start):
    backend = DummyBackend("fine")
    with start(backend, limits={"items": 4, "replies_per_minute": 10_000}).client() as client:
        for i in range(10):
            client.ask(f"number {i}")
    assert [t.content for t in backend.asked[-1]] == ["number 8", "fine", "number 9"]


def test_too_many_turns_that_wait_are_refused(start):
    backend = DummyBackend()
    server = start(backend)
    backend.held.clear()
    with server.client() as client:
        client.append(np.concatenate([np.concatenate([tone(0.3), quiet(0.7)]) for _ in range(5)]), piece=24_000)
        assert client.until("error")["error"]["code"] == "rate_limited"
        backend.held.set()


def test_a_request_that_is_too_big_is_refused(start):
    server = start(limits={"body_bytes": 10_000})
    status, _, body = post(server, "/v1/respond", {"audio": "A" * 20_000})
    assert (status, body["error"]["code"]) == (413, "message_too_big")


def test_a_request_that_hides_its_size_is_refused_too(start):
    import http.client

    server = start(limits={"body_bytes": 10_000})
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    body = (b'{"text": "' + b"A" * 1_000 for _ in range(20))
    connection.request("POST", "/v1/respond", body, {"content-type": "application/json"}, encode_chunked=True)
    answer = connection.getresponse()
    assert (answer.status, json.load(answer)["error"]["code"]) == (413, "message_too_big")


@pytest.mark.parametrize("path", ["/v1/respond", "/v1/animate"])
def test_a_recording_that_is_too_long_is_refused(start, path):
    server = start(limits={"turn_s": 1, "recording_s": 1})
    status, _, body = post(server, path, {"audio": wav_of(tone(2))})
    assert (status, body["error"]["code"]) == (413, "audio_too_long")


def wav_of(samples: np.ndarray) -> str:
    import base64

    from exomni.pipeline.results import wav_bytes

    return base64.b64encode(wav_bytes(samples)).decode()


def test_too_many_downloads_at_once_are_refused(start):
    server = start(limits={"exports": 1})
    reply = post(server, "/v1/respond", {"text": "hello there"})[2]
    server.hub.exporting = 1
    status, headers, body = fetch(server, f"/v1/exports/{reply['id']}/wav")
    assert (status, body["error"]["code"]) == (503, "server_busy")
    assert int(headers["retry-after"]) >= 1
    server.hub.exporting = 0
    assert fetch(server, f"/v1/exports/{reply['id']}/wav")[0] == 200
