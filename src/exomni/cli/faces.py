"""Commands that take a face elsewhere: `export`, `inspect`, `live`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

Source = Annotated[Path, typer.Argument(help="A result's folder, face.json, a Live Link CSV, a table, a GLB.")]
Profile = Annotated[Path | None, typer.Option(help="YAML profile of the character that the face is fitted to.")]
Fps = Annotated[
    str | None, typer.Option(help="Frames a second of the source, over what it says (30, 59.94, 30000/1001).")
]


def export(
    source: Annotated[Path | None, typer.Argument(help="A result's folder, face.json, a CSV, a table, a GLB.")] = None,
    to: Annotated[
        list[str] | None, typer.Option(help="Format (glb), file (clip.glb) or both; repeat for more.")
    ] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Folder for the formats without a path.")] = None,
    profile: Profile = None,
    head: Annotated[Path | None, typer.Option(help="A GLB or VRM of yours to animate.")] = None,
    fps: Fps = None,
    list_formats: Annotated[bool, typer.Option("--list", help="Show all formats.")] = False,
) -> None:
    """Write a face in any number of formats."""
    from ..core.errors import InputError
    from ..export import FORMATS, Options
    from ..export import export as write

    if list_formats:
        for row in FORMATS.values():
            print(f"{row.name:<14} {row.suffix:<18} {row.what}")
        return
    if source is None or not to:
        raise InputError("give a source and at least one --to; --list shows the formats")
    for done in write(source, to, out, profile=profile, options=Options(head=head), fps=fps):
        print(done.path)
        for note in done.notes:
            print(f"  {note}", file=sys.stderr)


def inspect(
    source: Source,
    plot: Annotated[Path | None, typer.Option(help="Draw the curves to this PNG.")] = None,
    fps: Fps = None,
) -> None:
    """Show what a file is: format, rate, names, ranges, suspicious values."""
    from ..export import inspect as look

    for line in look(source, plot=plot, fps=fps).lines():
        print(line)


def live(
    source: Source,
    to: Annotated[list[str], typer.Option(help="Such as livelink://127.0.0.1:11111 or vmc://127.0.0.1:39539.")],
    profile: Profile = None,
    play: Annotated[bool, typer.Option(help="Play the speech here and follow it.")] = False,
    fps: Fps = None,
) -> None:
    """Send a face to Unreal, VSeeFace, Warudo and others, at its own pace."""
    from ..export import load_profile
    from ..export.live import live as perform

    sent = perform(source, to, profile=None if profile is None else load_profile(profile), play=play, fps=fps)
    print(f"{sent.n_sent} frames sent, {sent.n_skipped} skipped, {1000 * sent.latest_s:.0f} ms late at most")


def render(
    source: Source,
    out: Annotated[Path, typer.Option("-o", "--out", help="clip.mp4, .webm, .gif, or .png for a sheet of moments.")],
    head: Annotated[Path | None, typer.Option(help="A GLB or VRM of yours with ARKit shapes.")] = None,
    camera: Annotated[str, typer.Option(help="head, face, mouth, three-quarter or profile.")] = "head",
    size: Annotated[str | None, typer.Option(help="Width and height in pixels, such as 512x512.")] = None,
    captions: Annotated[bool, typer.Option("--captions", help="Write what is said into the picture.")] = False,
    profile: Profile = None,
    fps: Fps = None,
) -> None:
    """Film a head that speaks; needs no GPU."""
    from tqdm import tqdm

    from ..core.errors import InputError
    from ..export import load_profile
    from ..export.video import render as film

    pixels = None
    if size is not None:
        width, cross, height = size.partition("x")
        if not (cross and width.isdigit() and height.isdigit()):
            raise InputError(f"--size {size!r} is not WIDTHxHEIGHT, such as 512x512")
        pixels = (int(width), int(height))
    with tqdm(unit="frame", disable=None) as bar:

        def progress(done: int, of: int) -> None:
            bar.total = of
            bar.update(done - bar.n)

        fitted = None if profile is None else load_profile(profile)
        made = film(source, out, head=head, camera=camera, size=pixels, captions=captions, profile=fitted, fps=fps,
                    progress=progress)  # fmt: skip
    print(made.path)
    for note in made.notes:
        print(f"  {note}", file=sys.stderr)
