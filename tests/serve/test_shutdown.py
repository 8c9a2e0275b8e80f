"""The end of a server: replies may finish, everybody is told, nothing is left running."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from .dummies import Client, DummyBackend, fetch, post, wait_until

SCRIPT = """
import sys
from exomni.serve.config import ServerConfig
from exomni.serve.app import serve
from serve.dummies import DummyBackend

serve(
    ServerConfig(port=0, grace_s=float(sys.argv[1])),
    lambda: DummyBackend(" ".join(["one two three four"] * int(sys.argv[2])), step_s=0.05),
    lambda address: print(address, flush=True),
)
"""


def end_of(client) -> tuple[int, str]:
    try:
        while True:
            client.next()
    except ConnectionClosed as error:
        return error.rcvd.code, client.seen[-1]["error"]["code"]


def test_replies_finish_before_the_end(start):
    server = start(DummyBackend(" ".join(["one two three four"] * 10), step_s=0.05))
    with server.client() as client, server.client() as idle:
        client.say("go on")
        client.send("response.create")
        client.until("response.output_audio.delta")
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        assert client.until("response.done")["response"]["status"] == "completed"
        assert end_of(client) == end_of(idle) == (1001, "shutting_down")
        stopping.join()


def test_nobody_new_comes_in_meanwhile(start):
    backend = DummyBackend()
    server = start(backend)
    backend.held.clear()
    with server.client() as client:
        client.say("go on")
        client.send("response.create")
        client.until("response.created")
        server.server.end()
        wait_until(lambda: server.hub.draining)
        assert fetch(server, "/healthz")[0] == 503
        assert post(server, "/v1/respond", {"text": "hello"})[0] == 503
        with server.client() as late:
            assert end_of(late) == (1001, "shutting_down")
        backend.held.set()
        client.until("response.done")


def test_replies_that_take_too_long_are_cancelled(start):
    backend = DummyBackend(" ".join(["one two three four"] * 1000), step_s=0.05)
    server = start(backend, grace_s=0.3)
    with server.client() as client:
        client.say("go on")
        client.send("response.create")
        client.until("response.output_audio.delta")
        server.server.end()
        began = time.monotonic()
        assert end_of(client) == (1001, "shutting_down")
    assert time.monotonic() - began < 10
    wait_until(lambda: backend.n_closed == 1)


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_process_cleanly(sig):
    here = Path(__file__).parent.parent
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, "0.5", "400"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(here), os.environ.get("PYTHONPATH", "")])},
    )  # fmt: skip
    address = process.stdout.readline().strip()
    with connect(address.replace("http", "ws") + "v1/realtime", max_size=None) as socket:
        client = Client(socket)
        client.say("a very private question")
        client.send("response.create")
        client.until("response.output_audio.delta")
        process.send_signal(sig)
        assert end_of(client) == (1001, "shutting_down")
    _, log = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "Traceback" not in log
    assert '"event": "draining"' in log
    assert client.seen[0]["session"]["id"] in log
    assert "private" not in log
