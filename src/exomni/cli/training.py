"""Commands that make and measure models: `data build`, `train`, `release`, `evaluate`, `doctor`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from .shared import Data, Runs, waiting

if TYPE_CHECKING:
    from ..train.stage import Stage

Workers = Annotated[int, typer.Option(min=1, help="Processes at once.")]
MADE_BY_STAGES = ("units",)
"""Passes of a data set that `data build` does not make."""


def _data_folder(folder: Path | None, name: str) -> Path:
    from ..assets.table import cache_folder

    return folder or cache_folder() / "data" / Path(name).stem


def _runs_folder(runs: Path | None, name: str) -> Path:
    from ..assets.table import cache_folder

    return runs or cache_folder() / "runs" / Path(name).stem


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def data_build(
    config: Annotated[str, typer.Option(help="A recipe: its name, or a YAML file.")] = "nano",
    folder: Data = None,
    workers: Workers = 2,
) -> None:
    """Build a training set: texts, speech, encoder features, LLM states and faces; a stopped build goes on."""
    from tqdm import tqdm

    from ..data import build, label, report
    from ..data.teachers import get_teacher
    from ..parts.loading import load_parts
    from ..train.stages import load_recipe

    recipe = load_recipe(config)
    target = _data_folder(folder, config)
    teacher = get_teacher(recipe.data.teacher, recipe.data.teacher_options)
    parts = load_parts("nano")
    voice, reader, _ = parts.teacher_voice, parts.reader, parts.speech_encoder  # converted here, not by every worker
    for source in recipe.data.hours:
        with waiting(f"Texts of {source}"):
            build.plan_texts(target, recipe.data, source)
    build.speak_all(target, recipe.data, workers, report=_tell)
    # States are of the texts, spoken or not: what they feel like can be learned from all of them.
    columns = label.face_columns(teacher)
    passes = {
        "hidden": ("texts", ["text", "prompt"], label.hidden_label(reader), {"llm": reader.stamp, "of": "texts"}),
        "faces": ("speech", columns, label.face_label(teacher, voice.symbols), {"teacher": teacher.name}),
        "posed": ("speech", columns, label.face_label(teacher, voice.symbols, label.drawn), {"teacher": teacher.name}),
    }
    for name, (source, wanted, row_label, made_by) in passes.items():
        bar = lambda shards, name=name: tqdm(shards, desc=name)  # noqa: E731
        label.run_pass(target, name, wanted, row_label, made_by, bar, source)
    summary = report.summarize(target)
    print(report.table(summary))
    print(f"dropped: {dict(report.dropped(target))}\nplot: {report.plot(target)}")
    print(f"manifest: {report.write_manifest(target, recipe.data, summary)}")


def data_listening(
    config: Annotated[str, typer.Option(help="A recipe of hearing: its name, or a YAML file.")] = "hearing",
    folder: Data = None,
    workers: Workers = 2,
) -> None:
    """Build a training set for listening: many voices in many rooms; a stopped build goes on."""
    from ..data import asr_build
    from ..parts.loading import load_parts
    from ..train.listener_recipe import load_listener_recipe, own_folder

    recipe, target = load_listener_recipe(config), _data_folder(folder, config)
    parts = load_parts("nano")
    _ = parts.trainable_llm, parts.speech_encoder  # converted here once, not by every worker
    asr_build.build(own_folder(recipe, target), target, recipe.data, n_workers=workers, report=_tell)


def train(
    stage: Annotated[
        str,
        typer.Argument(
            help="Talking: speech, decoder, joint (the paper's stage II), expression, face (ablations). "
            "Hearing: reading and listening (I), dialogue (III)."
        ),
    ],
    config: Annotated[str | None, typer.Option(help="A recipe: its name, or a YAML file; the stage's own.")] = None,
    preset: Annotated[str, typer.Option(help="The model: its name, or a YAML file.")] = "nano",
    folder: Data = None,
    runs: Runs = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    fusion: Annotated[
        str | None, typer.Option(help="Of the blendshape decoder: tqgf, units_only, hidden_only or concat.")
    ] = None,
    start_from: Annotated[
        Path | None, typer.Option(help="Folder of released weights to begin with, or: shipped (stages joint, reading).")
    ] = None,
    released: Annotated[
        Path | None,
        typer.Option(help="Folder of released weights, or: shipped, that stand for stages that were not run."),
    ] = None,
) -> None:
    """Train one stage; a stopped run goes on at its step."""
    from ..model.config import load_config, with_fusion
    from ..train.loop import ContinuedTask, checked_device
    from ..train.loop import train as train_loop
    from ..train.release import released_folder, released_weights, stand_in
    from ..train.stages import checked_stage, provenance

    row = checked_stage(stage, continued=start_from is not None)
    config = config or row.recipe
    recipe, model = row.load(config), load_config(preset)
    checked_device(device)
    if fusion is not None:
        model = with_fusion(model, fusion)
    data, out = _data_folder(folder, config), _runs_folder(runs, config)
    _check_data(row, data, f"--config {config}" + (f" --folder {folder}" if folder else ""))
    if released is not None and (written := stand_in(released_folder(released), out)):
        _tell(f"{released} stands for the runs {', '.join(written)} in {out}")
    with waiting(f"Reading {data}"):
        task = row.setup(recipe, model, data, out)
        if start_from is not None:
            cast(ContinuedTask, task).start_from(released_weights(released_folder(start_from), stage))
    target, origin = out / (stage if fusion is None else f"{stage}-{fusion}"), provenance(data, row.passes)
    figures = train_loop(task, getattr(recipe, stage).loop, target, origin=origin, device=device)
    print(" ".join(f"{k}={v:.4g}" for k, v in figures.items()))


def _check_data(stage: "Stage", data: Path, options: str) -> None:
    """Every pass has to be there that the stage reads and does not make itself."""
    from ..core.errors import UserError

    missing = [name for name in stage.passes if name not in MADE_BY_STAGES and not (data / name).is_dir()]
    if not missing:
        return
    command = f"exomni data {'build' if stage.recipe == 'nano' else 'hear'} {options}"
    if not data.is_dir():
        raise UserError(f"no data set in {data}; build one with: {command}")
    raise UserError(f"the data set in {data} has no {', '.join(missing)}; build it again, which goes on: {command}")


def release(
    target: Annotated[Path, typer.Argument(help="Folder for the weights.")],
    config: Annotated[str, typer.Option(help="The recipe that the runs were made with.")] = "nano",
    folder: Data = None,
    runs: Runs = None,
    preset: Annotated[str, typer.Option(help="The model that was trained: its name, or a YAML file.")] = "nano",
    stage: Annotated[
        str | None,
        typer.Option(
            help="Only what this stage left: expression (the blendshape decoder); reading, listening or dialogue "
            "(listening)."
        ),
    ] = None,
) -> None:
    """Put trained weights together as they ship; `--model FOLDER` of the other commands opens them."""
    import yaml

    from ..model.config import read_preset
    from ..train.listener_recipe import known_tokens, load_listener_recipe
    from ..train.release import release as put_together
    from ..train.release import release_expression, release_listening
    from ..train.stages import provenance

    if stage not in (None, "expression") and config == "nano":
        config = "hearing"
    out, data = _runs_folder(runs, config), _data_folder(folder, config)
    if stage is None:
        size = put_together({name: out / name for name in ("speech", "decoder", "joint")}, target, provenance(data))
        (target / "preset.yaml").write_text(yaml.safe_dump(read_preset(preset), sort_keys=False), "utf-8")
    elif stage == "expression":
        size = release_expression(out / stage, target)
    else:
        size = release_listening(out / stage, target, known_tokens(load_listener_recipe(config), data))
    print(f"{size / 1e6:.1f} MB in {target}")


def doctor() -> None:
    """Say what is installed, cached or missing, which versions, and how quick this machine is."""
    from .doctor import report

    print(report())


def evaluate(
    suite: Annotated[str, typer.Argument(help="consistency, face, latency, or all of these; speech-input.")],
    system: Annotated[str, typer.Option(help="exomni, cascade, or both.")] = "both",
    limit: Annotated[int, typer.Option(min=0, help="Most texts, a fair sample of all kinds (0: all).")] = 0,
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for JSON and plots.")] = Path("evaluation"),
    weights: Annotated[Path | None, typer.Option(help="Other weights than the shipped ones.")] = None,
    recordings: Annotated[
        Path | None, typer.Option(help="Recordings with phone times, for the lag; spoken questions with a TSV.")
    ] = None,
    teacher: Annotated[
        str, typer.Option(help="The face teacher that faces are measured against: openfacefx, audio2face3d, or yours.")
    ] = "openfacefx",
) -> None:
    """Measure on held-out text, with the cascade beside it in the same run."""
    from ..evaluate import run

    run(suite, system, limit, out, weights, recordings, teacher)
