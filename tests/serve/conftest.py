"""Servers with a model that costs nothing, and somebody who asks a question."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from exomni.serve.config import Limits, ServerConfig

from .dummies import FIXTURES, DummyBackend, Running


@pytest.fixture
def start() -> Iterator[Callable[..., Running]]:
    """Starts servers that end with the test: `start(backend, token=…, limits={…})`."""
    running: list[Running] = []

    def begin(backend=None, *, limits: dict | None = None, **config) -> Running:
        settings = ServerConfig(port=0, limits=Limits(**(limits or {})), **config)
        running.append(Running(settings, backend or DummyBackend()))
        return running[-1]

    yield begin
    for server in running:
        server.stop()


@pytest.fixture(scope="module")
def shared() -> Iterator[Running]:
    """One server for all tests of a module that change nothing in it."""
    server = Running(
        ServerConfig(port=0, limits=Limits(replies_per_minute=100_000, requests_per_minute=100_000)), DummyBackend()
    )
    yield server
    server.stop()


@pytest.fixture(scope="session")
def question() -> np.ndarray:
    """Somebody asks "What is the capital of France?", at 24 kHz."""
    from exomni.core.audio import read_audio

    return read_audio(FIXTURES / "question.flac", 24_000)
