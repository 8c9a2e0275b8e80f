"""Commands that take a face elsewhere: `export`, `inspect`, `live`, `render`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from .shared import LOADING, waiting

Source = Annotated[Path, typer.Argument(help="A result's folder, face.json, a Live Link CSV, a table, a GLB.")]
Profile = Annotated[Path | None, typer.Option(help="YAML profile of the character that the face is fitted to.")]
Fps = Annotated[
    str | None, typer.Option(help="Frames a second of the source, over what it says (30, 59.94, 30000/1001).")
]
Order = Annotated[
    str | None, typer.Option(help="Of columns without names: exomni, mediapipe, livelink-csv or livelink-udp.")
]
Audio = Annotated[Path | None, typer.Option(help="A sound file that belongs to the face, over the source's own.")]


def export(
    source: Annotated[Path | None, typer.Argument(help="A result's folder, face.json, a CSV, a table, a GLB.")] = None,
    to: Annotated[
        list[str] | None, typer.Option(help="Format (glb), file (clip.glb) or both; repeat for more.")
    ] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Folder for the formats without a path.")] = None,
    profile: Profile = None,
    head: Annotated[
        str | None, typer.Option(help="plain, woman, man, or a GLB or VRM of yours, to animate or film.")
    ] = None,
    casing: Annotated[str, typer.Option(help="How a perfect-sync avatar spells: camel or pascal.")] = "camel",
    mesh: Annotated[
        str, typer.Option(help="The face's mesh: path below the Animator for unity, node for godot.")
    ] = "Head",
    audio: Audio = None,
    fps: Fps = None,
    order: Order = None,
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
    options = Options(head=head, mesh=mesh, casing=casing)
    for done in write(source, to, out, profile=profile, options=options, fps=fps, order=order, audio=audio):
        print(done.path)
        for note in done.notes:
            print(f"  {note}", file=sys.stderr)


def inspect(
    source: Source,
    plot: Annotated[Path | None, typer.Option(help="Draw the curves to this PNG.")] = None,
    fps: Fps = None,
    order: Order = None,
) -> None:
    """Show what a file is: format, rate, names, ranges, suspicious values."""
    from ..export import inspect as look

    for line in look(source, plot=plot, fps=fps, order=order).lines():
        print(line)


def live(
    source: Annotated[Path | None, typer.Argument(help="A result's folder, face.json, a CSV, a table, a GLB.")] = None,
    to: Annotated[
        list[str] | None, typer.Option(help="Such as livelink://127.0.0.1:11111 or vmc://127.0.0.1:39539?names=camel.")
    ] = None,
    mic: Annotated[bool, typer.Option("--mic", help="A face for the microphone, until Ctrl-C.")] = False,
    device: Annotated[str | None, typer.Option(help="Name or number of the microphone; the usual one without.")] = None,
    serve: Annotated[
        str | None,
        typer.Option(
            metavar="[HOST:]PORT",
            help="A WebSocket that others connect to: they get each face, and without SOURCE and --mic, faces that "
            "they send go on to all others and --to.",
        ),
    ] = None,
    profile: Profile = None,
    play: Annotated[bool, typer.Option(help="Play the speech here and follow it.")] = False,
    fps: Fps = None,
    order: Order = None,
) -> None:
    """Send a face to Unreal, VSeeFace, Warudo, web pages and others, at its own pace."""
    from ..core.errors import InputError
    from ..export import load_profile
    from ..export.live import live as perform

    urls = list(to or ())
    if source is not None and mic:
        raise InputError("give either a source or --mic")
    if not (urls or serve):
        raise InputError("say where the face goes, with --to or --serve; --to livelink://127.0.0.1 is Unreal here")
    if source is None and (profile or play or fps or order):
        raise InputError("--profile, --play, --fps and --order are for a source that is there as a whole")
    if source is None and not mic:
        if serve is None:
            raise InputError("give a source, --mic or --serve")
        _relay(serve, urls)
        return
    urls += [_served(serve)] if serve else []
    if mic:
        _follow_microphone(device, urls)
        return
    fitted = None if profile is None else load_profile(profile)
    sent = perform(source, urls, profile=fitted, play=play, fps=fps, order=order)
    print(f"{sent.n_sent} frames sent, {sent.n_skipped} skipped, {1000 * sent.latest_s:.0f} ms late at most")


def _served(place: str) -> str:
    """`8765` or `0.0.0.0:8765` as a destination; without a host only this machine is served."""
    return f"ws-serve://{place if ':' in place else f'127.0.0.1:{place}'}"


def _relay(place: str, urls: list[str]) -> None:
    """Send the faces of those who connect on to the others, until Ctrl-C."""
    from contextlib import ExitStack, suppress

    from ..export.live import perform, sender

    with ExitStack() as opened, suppress(KeyboardInterrupt):
        senders = []
        for url in (_served(place), *urls):
            senders.append(sender(url))
            opened.callback(senders[-1].close)
        print(f"listening on {senders[0].address}; Ctrl-C ends it", file=sys.stderr, flush=True)
        perform(senders[0].faces(), senders)


def _follow_microphone(device: str | None, urls: list[str]) -> None:
    """Give the microphone's voice a face, until Ctrl-C."""
    from collections.abc import Iterator
    from contextlib import closing, suppress

    from ..core.events import FaceEvent
    from ..core.timebase import SAMPLE_HZ
    from ..export.live import Microphone, ahead
    from ..export.live import live as perform

    with closing(Microphone(device)) as microphone:
        from ..pipeline.exomni import ExOmni
        from ..pipeline.live_face import live_faces

        with waiting(LOADING):
            parts = ExOmni.load("nano").parts
            parts.recording_tokenizer.prepare()  # now, so that the first face is not late

        def faces() -> Iterator[FaceEvent]:
            for event in live_faces(parts, microphone.pieces(), microphone.sample_hz):
                microphone.follow(event.start_sample / SAMPLE_HZ)
                print(f"\r{1000 * microphone.behind_s:.0f} ms behind the voice; Ctrl-C ends it ", end="",
                      file=sys.stderr, flush=True)  # fmt: skip
                yield event

        with suppress(KeyboardInterrupt):
            perform(ahead(faces()), urls, clock=microphone)
        print(file=sys.stderr)


def render(
    source: Source,
    out: Annotated[Path, typer.Option("-o", "--out", help="clip.mp4, .webm, .gif, or .png for a sheet of moments.")],
    head: Annotated[str, typer.Option(help="plain, woman, man, or a GLB or VRM of yours with ARKit shapes.")] = "woman",
    camera: Annotated[str, typer.Option(help="head, face, mouth, three-quarter or profile.")] = "head",
    size: Annotated[str | None, typer.Option(help="Width and height in pixels, such as 512x512.")] = None,
    captions: Annotated[bool, typer.Option("--captions", help="Write what is said into the picture.")] = False,
    profile: Profile = None,
    audio: Audio = None,
    fps: Fps = None,
    order: Order = None,
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
        made = film(source, out, head=head, camera=camera, size=pixels, captions=captions, profile=fitted, audio=audio,
                    fps=fps, order=order, progress=progress)  # fmt: skip
    print(made.path)
    for note in made.notes:
        print(f"  {note}", file=sys.stderr)
