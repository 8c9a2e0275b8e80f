"""The command line. Every heavy import waits inside its command, so that `--help` is quick."""

import io
import sys

import typer

from ..core.errors import ExomniError, UserError
from . import faces, talking, training
from .extras import extra_for, top_level

USER_MISTAKE, OWN_FAILURE = 2, 1

app = typer.Typer(
    help="A machine that answers with words, a voice and a living face.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(help="Build training data.", no_args_is_help=True)
app.add_typer(data_app, name="data")
for command in (
    talking.talk,
    talking.speak,
    talking.animate,
    faces.export,
    faces.inspect,
    faces.live,
    faces.render,
    talking.serve,
    training.train,
    training.release,
    training.evaluate,
    training.doctor,
):
    app.command()(command)
data_app.command("build")(training.data_build)
data_app.command("hear")(training.data_listening)


def main() -> None:
    """Run the command line; a user's mistake exits with 2 and a message, never with a traceback.

    So does a command whose extra is not installed: it says which one to install.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without a letter shows a ? and is no reason to stop
    try:
        app()
    except UserError as error:
        _fail(error, USER_MISTAKE)
    except ExomniError as error:
        _fail(error, OWN_FAILURE)
    except ModuleNotFoundError as error:
        extra = extra_for(error)
        if extra is None:
            raise
        _fail(f"this needs the package {top_level(error)}: pip install 'exomni[{extra}]'", USER_MISTAKE)
    except KeyboardInterrupt:
        sys.exit(130)


def _fail(error: Exception | str, code: int) -> None:
    print(f"exomni: {error}", file=sys.stderr)
    sys.exit(code)
