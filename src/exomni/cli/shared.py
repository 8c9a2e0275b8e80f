"""What the commands share: options, messages, exit codes."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

Out = Annotated[Path, typer.Option("-o", "--out", help="Folder for speech.wav, face.json, face.csv and reply.json.")]
Emotion = Annotated[
    str | None, typer.Option(help="Colour of the face, such as joy=0.7,fear=0.1; read from the words without it.")
]
Seed = Annotated[int, typer.Option(min=0, help="The same seed and input give the same files.")]
Model = Annotated[
    str,
    typer.Option(help="A preset, a YAML file, or the folder of a release or of a published checkpoint."),
]
Speed = Annotated[float, typer.Option(help="Above 1 speaks faster.")]
Stream = Annotated[bool, typer.Option("--stream", help="Print each event as a line of JSON as soon as it is there.")]
Data = Annotated[Path | None, typer.Option(help="Folder of the data set; the user's cache folder without it.")]
Runs = Annotated[Path | None, typer.Option(help="Folder of the training runs; the user's cache folder without it.")]
To = Annotated[
    list[str] | None,
    typer.Option(help="Also as this format (glb), file (clip.glb) or both (a2f=take.json); as often as you like."),
]

LOADING = "Loading the model (the first time, its parts are converted)"


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Say what is going on while something takes long."""
    print(f"{what} …", file=sys.stderr, flush=True)
    yield
