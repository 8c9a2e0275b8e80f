"""The command line. Every heavy import waits inside its command, so that `--help` is quick."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from .core.errors import ExomniError, UserError

USER_MISTAKE, OWN_FAILURE = 2, 1

app = typer.Typer(
    help="A machine that answers with words, a voice and a living face.", no_args_is_help=True, add_completion=False,
    pretty_exceptions_enable=False,
)  # fmt: skip
data_app = typer.Typer(help="Build training data.", no_args_is_help=True)
app.add_typer(data_app, name="data")

Out = Annotated[Path, typer.Option("-o", "--out", help="Folder for speech.wav, face.json, face.csv and reply.json.")]
Emotion = Annotated[
    str | None, typer.Option(help="Colour of the face, such as joy=0.7,fear=0.1; read from the words without it.")
]
Seed = Annotated[int, typer.Option(help="The same seed and input give the same files.")]
Speed = Annotated[float, typer.Option(help="Above 1 speaks faster.")]
Stream = Annotated[bool, typer.Option("--stream", help="Print each event as a line of JSON as soon as it is there.")]


def main() -> None:
    """Run the command line; a user's mistake exits with 2 and a message, never with a traceback."""
    try:
        app()
    except UserError as error:
        _fail(error, USER_MISTAKE)
    except ExomniError as error:
        _fail(error, OWN_FAILURE)
    except KeyboardInterrupt:
        sys.exit(130)


def _fail(error: Exception, code: int) -> None:
    print(f"exomni: {error}", file=sys.stderr)
    sys.exit(code)


@contextmanager
def _waiting(what: str) -> Iterator[None]:
    """Say what is going on while something takes long."""
    print(f"{what} …", file=sys.stderr, flush=True)
    yield


def _load():
    from .inference import ExOmni

    with _waiting("Loading the model (the first time, its parts are converted)"):
        return ExOmni.load("nano")


def _emotion(text: str | None):
    from .core.emotion import parse_emotion

    return None if text is None else parse_emotion(text)


def _check_out(folder: Path) -> None:
    """Find out before the work whether its results can be written."""
    from .core.errors import OutputError
    from .export.atomic import write_bytes

    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file; give a folder with -o")
    probe = folder / ".exomni-probe"
    write_bytes(probe, b"")
    probe.unlink()


@app.command()
def talk(
    text: Annotated[str, typer.Argument(help="What you say to it.")],
    out: Out = Path("out"),
    emotion: Emotion = None,
    seed: Seed = 0,
    speed: Speed = 1.0,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 takes the likeliest words.")] = 0.0,
    max_tokens: Annotated[int, typer.Option(min=1, max=1024, help="Longest reply in tokens.")] = 256,
    stream: Stream = False,
) -> None:
    """Answer a typed question with words, a voice and a face."""
    _check_out(out)
    options = {"emotion": _emotion(emotion), "seed": seed, "speed": speed}
    options |= {"temperature": temperature, "max_new_tokens": max_tokens}
    omni = _load()
    omni.chat  # noqa: B018  loaded now, so that the request is timed warm
    _run(omni, lambda: omni.stream(text, **options), out, seed, stream)


@app.command()
def speak(
    text: Annotated[str | None, typer.Argument(help="What to say.")] = None,
    text_file: Annotated[Path | None, typer.Option(help="A UTF-8 file with what to say.")] = None,
    out: Out = Path("out"),
    emotion: Emotion = None,
    seed: Seed = 0,
    speed: Speed = 1.0,
    stream: Stream = False,
) -> None:
    """Say a given text, of any length, with a face."""
    words = _given_text(text, text_file)
    _check_out(out)
    options = {"emotion": _emotion(emotion), "seed": seed, "speed": speed}
    omni = _load()
    omni.chat  # noqa: B018
    _run(omni, lambda: omni.stream_speech(words, **options), out, seed, stream)


@app.command()
def animate(
    recording: Annotated[Path, typer.Argument(help="Anybody's speech: wav, mp3, m4a, webm, flac…")],
    out: Out = Path("out"),
    emotion: Emotion = None,
    stream: Stream = False,
) -> None:
    """Make a face for a recording of speech."""
    from .core.errors import InputError

    if not recording.is_file():
        raise InputError(f"{recording} is not a file")
    _check_out(out)
    feeling = _emotion(emotion)
    omni = _load()
    _run(omni, lambda: omni.stream_animation(recording, emotion=feeling), out, 0, stream)


def _given_text(text: str | None, file: Path | None) -> str:
    from .core.errors import InputError

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


def _run(omni, events: Callable, out: Path, seed: int, as_stream: bool) -> None:
    """Show events as they come and save the result."""
    from .core.events import DoneEvent, SpeechEvent, TextEvent
    from .results import collect

    def shown() -> Iterator:
        for event in events():
            if as_stream:
                print(_event_line(event), flush=True)
            elif isinstance(event, TextEvent):
                print(event.text, end="", flush=True)
            elif isinstance(event, SpeechEvent) and not event.text:
                seconds = (event.start_sample + len(event.samples)) / event.sample_rate
                print(f"\r{seconds:.0f} s of speech read", end="", file=sys.stderr, flush=True)
            elif isinstance(event, DoneEvent):
                print(flush=True)
            yield event

    reply = collect(shown(), seed, omni.nano.model_hash, omni.nano.data_hash)
    folder = reply.save(out)
    times = reply.timings
    print(
        f"{reply.duration_s:.1f} s of speech and {len(reply.frames)} frames in {folder}/ "
        f"(first audio {times.first_audio_s:.2f} s, real-time factor {times.real_time_factor:.2f})",
        file=sys.stderr,
    )


def _event_line(event) -> str:
    """An event as one line of JSON: text whole, arrays by position and size."""
    import json

    from .core.events import DoneEvent, FaceEvent, SpeechEvent, TextEvent

    match event:
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


Data = Annotated[Path | None, typer.Option(help="Folder of the data set; the user's cache folder without it.")]
Runs = Annotated[Path | None, typer.Option(help="Folder of the training runs; the user's cache folder without it.")]


def _data_folder(folder: Path | None, name: str) -> Path:
    from .assets import cache_folder

    return folder or cache_folder() / "data" / Path(name).stem


@data_app.command("build")
def data_build(
    config: Annotated[str, typer.Option(help="A recipe: its name, or a YAML file.")] = "nano",
    folder: Data = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes at once.")] = 2,
) -> None:
    """Build a training set: texts, speech, encoder features, LLM states and faces; a stopped build goes on."""
    from tqdm import tqdm

    from .conversions import LLM, VOICE, WHISPER
    from .data import build, label, report
    from .data.teachers import get_teacher
    from .model.chat import ChatModel
    from .model.voice import Phonemizer
    from .train.stages import load_recipe

    recipe = load_recipe(config)
    target = _data_folder(folder, config)
    for part in (LLM, VOICE, WHISPER):
        part.folder()  # converted here once, not by every worker
    for source in recipe.data.hours:
        with _waiting(f"Texts of {source}"):
            build.plan_texts(target, recipe.data, source)
    build.speak_all(target, recipe.data, workers, report=lambda line: print(line, file=sys.stderr, flush=True))
    symbols, chat = Phonemizer().symbols, ChatModel(LLM.folder())
    passes = {
        "hidden": (["text", "prompt", "disguised"], label.hidden_label(chat)),
        "faces": (["text", "phonemes", "ticks", "seconds", "disguised"],
                  label.face_label(get_teacher("openfacefx"), symbols)),
    }  # fmt: skip
    for name, (columns, row_label) in passes.items():
        label.run_pass(target, name, columns, row_label, {}, lambda shards, name=name: tqdm(shards, desc=name))
    print(report.table(report.summarize(target)))
    print(f"dropped: {dict(report.dropped(target))}\nplot: {report.plot(target)}")


@app.command()
def train(
    stage: Annotated[str, typer.Argument(help="speech, decoder, or joint (the paper's stage II).")],
    config: Annotated[str, typer.Option(help="A recipe: its name, or a YAML file.")] = "nano",
    preset: Annotated[str, typer.Option(help="The model: its name, or a YAML file.")] = "nano",
    folder: Data = None,
    runs: Runs = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Train one stage; a stopped run goes on at its step."""
    from .assets import cache_folder
    from .core.errors import UserError
    from .model.config import load_config
    from .train.loop import train as train_loop
    from .train.stages import STAGES, load_recipe

    if stage not in STAGES:
        raise UserError(f"no stage {stage!r}; there are {', '.join(STAGES)}")
    recipe, model = load_recipe(config), load_config(preset)
    data, out = _data_folder(folder, config), runs or cache_folder() / "runs" / Path(config).stem
    if not (data / "speech").is_dir():
        raise UserError(f"no data set in {data}; build one with: exomni data build --config {config}")
    with _waiting(f"Reading {data}"):
        task = STAGES[stage].setup(recipe, model, data, out)
    figures = train_loop(task, getattr(recipe, stage).loop, out / stage, device=device)
    print(" ".join(f"{k}={v:.4g}" for k, v in figures.items()))


@app.command()
def release(
    target: Annotated[Path, typer.Argument(help="Folder for the weights.")],
    config: Annotated[str, typer.Option(help="The recipe that the runs were made with.")] = "nano",
    folder: Data = None,
    runs: Runs = None,
) -> None:
    """Put trained weights together as they ship."""
    from .assets import cache_folder
    from .train.release import release as put_together
    from .train.stages import provenance

    out = runs or cache_folder() / "runs" / Path(config).stem
    origin = provenance(_data_folder(folder, config))
    size = put_together({stage: out / stage for stage in ("speech", "decoder", "joint")}, target, origin)
    print(f"{size / 1e6:.1f} MB in {target}")


@app.command()
def doctor() -> None:
    """Say what is installed, cached or missing, which versions, and how quick this machine is."""
    from .doctor import report

    print(report())


@app.command()
def evaluate(
    suite: Annotated[str, typer.Argument(help="consistency, face, latency, or all.")],
    system: Annotated[str, typer.Option(help="exomni, cascade, or both.")] = "both",
    limit: Annotated[int, typer.Option(min=0, help="Texts of each kind (0: all).")] = 0,
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for JSON and plots.")] = Path("evaluation"),
    weights: Annotated[Path | None, typer.Option(help="Other weights than the shipped ones.")] = None,
    recordings: Annotated[Path | None, typer.Option(help="Recordings with phone times, for the lag.")] = None,
) -> None:
    """Measure on held-out text, with the cascade beside it in the same run."""
    from .evaluate import run

    run(suite, system, limit, out, weights, recordings)
