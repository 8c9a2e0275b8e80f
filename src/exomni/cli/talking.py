"""Commands that talk: `talk`, `speak`, `animate`, `serve`."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from .shared import LOADING, Emotion, Model, Out, Seed, Speed, Stream, To, waiting


def _load(model: str):
    from ..pipeline.exomni import ExOmni

    with waiting(LOADING):
        return ExOmni.load(model)


def _emotion(text: str | None):
    from ..core.emotion import parse_emotion

    return None if text is None else parse_emotion(text)


def _check_output(folder: Path, to: list[str] | None) -> None:
    """Find out before the work whether its results can be written, and in the formats that are wanted."""
    from ..export.formats import find, guess
    from ..pipeline.results import check_folder

    for item in to or ():
        name, equals, _ = item.partition("=")
        if equals or not ("." in item or os.sep in item):
            find(name)
        else:
            guess(Path(item))
    check_folder(folder)


def _check_recording(path: Path) -> None:
    """Refuse what is no recording before the model is loaded."""
    from ..core.audio import read_pieces
    from ..core.timebase import SAMPLE_HZ

    next(read_pieces(path, SAMPLE_HZ))


def talk(
    text: Annotated[str | None, typer.Argument(help="What you say to it; before --audio, if both are given.")] = None,
    audio: Annotated[Path | None, typer.Option(help="A recording of what you say: wav, mp3, m4a, webm, flac…")] = None,
    listen: Annotated[str | None, typer.Option(help="How the recording is read: native or transcribe.")] = None,
    out: Out = Path("out"),
    emotion: Emotion = None,
    seed: Seed = 0,
    speed: Speed = 1.0,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 takes the likeliest words.")] = 0.0,
    max_tokens: Annotated[int, typer.Option(min=1, max=1024, help="Longest reply in tokens.")] = 256,
    to: To = None,
    stream: Stream = False,
    model: Model = "nano",
) -> None:
    """Answer a typed or spoken question with words, a voice and a face."""
    from ..core.errors import InputError
    from ..pipeline.exomni import checked_prompt
    from ..pipeline.spoken_prompts import checked_listen

    if text is None and audio is None:
        raise InputError("give a question, or a recording of one with --audio")
    if text is not None:
        checked_prompt(text)
    if audio is not None:
        _check_recording(audio)
    checked_listen(listen)
    _check_output(out, to)
    options = {"emotion": _emotion(emotion), "seed": seed, "speed": speed, "temperature": temperature}
    omni = _load(model)
    omni.prepare()  # now, so that the request is timed warm
    prompt = [part for part in (text, audio) if part is not None] if audio else text or ""
    _run(omni, lambda: omni.stream(prompt, listen=listen, max_new_tokens=max_tokens, **options), out, seed, to, stream)


def speak(
    text: Annotated[str | None, typer.Argument(help="What to say.")] = None,
    text_file: Annotated[Path | None, typer.Option(help="A UTF-8 file with what to say.")] = None,
    out: Out = Path("out"),
    emotion: Emotion = None,
    seed: Seed = 0,
    speed: Speed = 1.0,
    to: To = None,
    stream: Stream = False,
    model: Model = "nano",
) -> None:
    """Say a given text, of any length, with a face."""
    from ..pipeline.exomni import spoken_text

    words = _given_text(text, text_file)
    spoken_text(words)  # a text without words is refused before the model is loaded
    _check_output(out, to)
    options = {"emotion": _emotion(emotion), "seed": seed, "speed": speed}
    omni = _load(model)
    omni.prepare()
    _run(omni, lambda: omni.stream_speech(words, **options), out, seed, to, stream)


def animate(
    recording: Annotated[Path, typer.Argument(help="Anybody's speech: wav, mp3, m4a, webm, flac…")],
    out: Out = Path("out"),
    emotion: Emotion = None,
    to: To = None,
    stream: Stream = False,
    model: Model = "nano",
) -> None:
    """Make a face for a recording of speech."""
    _check_recording(recording)
    _check_output(out, to)
    feeling = _emotion(emotion)
    omni = _load(model)
    _run(omni, lambda: omni.stream_animation(recording, emotion=feeling), out, 0, to, stream)


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; others than loopback need --token.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65_535, help="8400 without it; 0 takes a free one.")] = None,
    token: Annotated[
        str | None, typer.Option(envvar="EXOMNI_TOKEN", help="What everybody must show to come in.")
    ] = None,
    allow_origin: Annotated[
        list[str] | None, typer.Option(help="Another page that may talk to it (https://example.org); repeat for more.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="YAML with settings and limits (docs/serving.md).")] = None,
    model: Model = "nano",
) -> None:
    """Open a page where a head talks, and serve programs: OpenAI's Realtime protocol, speech, animation."""
    from ..serve.app import serve as run
    from ..serve.backend import Backend
    from ..serve.config import server_config

    given = {"host": host, "port": port, "token": token, "origins": allow_origin and tuple(allow_origin)}
    settings = server_config(config, **{name: value for name, value in given.items() if value is not None})

    def load() -> Backend:
        with waiting(LOADING):
            return Backend.load(model)

    run(settings, load, lambda address: print(f"Talk to it at {address}", file=sys.stderr, flush=True))


def _given_text(text: str | None, file: Path | None) -> str:
    from ..core.errors import InputError

    if (text is None) == (file is None):
        raise InputError("give either a text or --text-file")
    if file is None:
        return text or ""
    try:
        return file.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not UTF-8 text (byte {error.start})") from error
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from error


def _run(omni, events: Callable, out: Path, seed: int, to: list[str] | None, as_stream: bool) -> None:
    """Show events as they come and save the result."""
    from ..core.events import DoneEvent, SpeechEvent, TextEvent, TranscriptEvent

    def shown() -> Iterator:
        spoke = False
        for event in events():
            if as_stream:
                print(_event_line(event), flush=True)
            elif isinstance(event, TranscriptEvent):
                print(f"heard: {event.text}", file=sys.stderr, flush=True)
            elif isinstance(event, TextEvent):
                spoke = True
                print(event.text, end="", flush=True)
            elif isinstance(event, SpeechEvent) and not event.text:
                seconds = (event.start_sample + len(event.samples)) / event.sample_rate
                print(f"\r{seconds:.0f} s of speech read", end="", file=sys.stderr, flush=True)
            elif isinstance(event, DoneEvent):
                # ends the line of the words, or that of the progress on a recording
                print(flush=True, file=sys.stdout if spoke else sys.stderr)
            yield event

    reply = omni.collect(shown(), seed)
    folder = reply.save(out)
    if to:
        from ..export import export

        for done in export(reply.track, to, folder):
            print(done.path, file=sys.stderr)
    times = reply.timings
    print(
        f"{reply.duration_s:.1f} s of speech and {len(reply.frames)} frames in {folder}/ "
        f"(first audio {times.first_audio_s:.2f} s, real-time factor {times.real_time_factor:.2f})",
        file=sys.stderr,
    )


def _event_line(event) -> str:
    """An event as one line of JSON: text whole, arrays by position and size."""
    import json

    from ..core.events import DoneEvent, FaceEvent, SpeechEvent, TextEvent, TranscriptEvent

    match event:
        case TranscriptEvent():
            fields = {"event": "heard", "text": event.text}
        case TextEvent():
            fields = {"event": "text", "text": event.text}
        case FaceEvent():
            fields = {"event": "face", "start_sample": event.start_sample, "frames": len(event.frames)}
        case SpeechEvent():
            fields = {"event": "speech", "start_sample": event.start_sample, "samples": len(event.samples),
                      "text": event.text}  # fmt: skip
        case DoneEvent():
            fields = {"event": "done", "samples": event.n_samples, "frames": event.n_frames, "timings": event.timings}
    return json.dumps(fields, ensure_ascii=False)
