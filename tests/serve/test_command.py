"""`exomni serve`: mistakes in its options end it before anything is loaded."""

import pytest
from typer.testing import CliRunner

from exomni.cli import app
from exomni.core.errors import ConfigError, ServiceError


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--host", "0.0.0.0"], "give a token"),
        (["--token", "short"], "8 to 128"),
        (["--allow-origin", "example.org"], "https://example.org"),
        (["--config", "nowhere.yaml"], "cannot be read"),
    ],
)
def test_mistakes_are_named(arguments, message):
    done = CliRunner().invoke(app, ["serve", *arguments])
    assert isinstance(done.exception, ConfigError)
    assert message in str(done.exception)


def test_a_taken_port_is_named_before_the_model_is_loaded(shared, monkeypatch):
    from exomni.serve import app as server
    from exomni.serve.backend import Backend

    monkeypatch.setattr(server, "set_up_logs", lambda: None)
    monkeypatch.setattr(Backend, "load", lambda: pytest.fail("the model is loaded"))
    done = CliRunner().invoke(app, ["serve", "--port", str(shared.port)])
    assert isinstance(done.exception, ServiceError)
    assert "choose another --port" in str(done.exception)


def test_the_token_may_come_from_the_environment(monkeypatch):
    from exomni.serve import app as server

    taken = {}
    monkeypatch.setattr(server, "serve", lambda config, load, ready: taken.update(config=config))
    monkeypatch.setenv("EXOMNI_TOKEN", "a-secret-token")
    done = CliRunner().invoke(app, ["serve", "--host", "0.0.0.0", "--port", "9000"])
    assert done.exit_code == 0, done.exception
    assert (taken["config"].token, taken["config"].port, taken["config"].host) == ("a-secret-token", 9000, "0.0.0.0")
