"""``headprint train``: a model and rows to a fine-tuned model, with its patterns along the way."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headprint.base.errors import InputError
from headprint.base.options import TrainOptions
from headprint.cli import options, output

if TYPE_CHECKING:
    from headprint.training.fine_tuning import Trained

_DATA, _TRAINING, _TRACKING = "Data", "Training", "Tracking"
_NAMED = re.compile(r"(\w[\w.+-]*)=(.+)", re.S)
_SPLITS = ("train", "test", "validation", "dev", "eval")


@options.takes_options(TrainOptions)
def train(
    context: typer.Context,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="The run's directory.", rich_help_panel=options.OUTPUT_PANEL)
    ],
    model: Annotated[
        str | None,
        typer.Argument(metavar="[MODEL]", help="Directory (of a model or an adapter), hub id, or 'lab'."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="[DATA]",
            help="JSONL or Parquet file, folder with <split> files, datasets id, or lab:TASK: a built-in task.",
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="YAML, such as config.yaml of a run: what is not said here is taken from it."
        ),
    ] = None,
    eval_data: Annotated[
        str | None, typer.Option(metavar="DATA", help="Held-out rows for the loss.", rich_help_panel=_DATA)
    ] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="FIELD=VALUE",
            help="Of trl.SFTConfig, such as learning_rate=1e-3; again for each field.",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    lora: Annotated[
        bool, typer.Option("--lora", help="Train an adapter instead of all weights.", rich_help_panel=_TRAINING)
    ] = False,
    lora_sets: Annotated[
        list[str] | None,
        typer.Option(
            "--lora-set",
            metavar="FIELD=VALUE",
            help="Of peft.LoraConfig, such as r=8; means --lora.",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    heads: Annotated[
        str | None,
        typer.Option(
            metavar="HEADS",
            help="Train these heads alone: top:10%, top:N, random:10%, heads.json, or 3.1,3.2.",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    heads_from: Annotated[
        Path | None,
        typer.Option(
            metavar="PATTERN",
            help="What ranks heads for top and random: a pattern file, or a pattern set (by gradients, if it has any).",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a stopped run in DIR.", rich_help_panel=_TRAINING)
    ] = False,
    track: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]DATA",
            help="Held-out rows whose patterns are followed; again for each task.",
            rich_help_panel=_TRACKING,
        ),
    ] = None,
    track_every: Annotated[
        str | None,
        typer.Option(
            metavar="STEPS",
            help="dense (0, 1, 2, 4, 8, ... and the last), a number N, or a list 0,10,50. \\[default: dense]",
            rich_help_panel=_TRACKING,
        ),
    ] = None,
    track_limit: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Only the first rows of each task.", rich_help_panel=_TRACKING),
    ] = None,
    track_split: Annotated[
        str | None, typer.Option(metavar="SPLIT", help="Of these data. \\[default: test]", rich_help_panel=_TRACKING)
    ] = None,
    track_online: Annotated[
        bool,
        typer.Option("--track-online", help="Follow the training batches, too.", rich_help_panel=_TRACKING),
    ] = False,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    **fields: Any,
) -> None:
    """Fine-tune a model by TRL, all weights or an adapter, and follow its patterns on the way.

    DIR gets model/, trained.json, tracking/ and config.yaml, which replays the run: --config DIR/config.yaml.
    On many devices: accelerate launch -m headprint train ...
    """
    with output.working(quiet=quiet, when_interrupted=lambda: _how_to_go_on(out)) as bars:
        given = _given(config)
        more = {"model": model, "data": data, "eval_data": eval_data, "heads": heads, "heads_from": heads_from}
        given |= {name: value for name, value in more.items() if value is not None} | options.said(context, fields)
        if "model" not in given or "data" not in given:
            raise InputError("give MODEL and DATA, or a --config that names them")
        given["sft"] = given.get("sft", {}) | _fields(sets)
        if lora or lora_sets:
            given["lora"] = given.get("lora", {}) | _fields(lora_sets)
        tracked = {
            "probes": _probes(track) if track else None,
            "every": _every(track_every) if track_every else None,
            "limit": track_limit,
            "split": track_split,
            "online": track_online or None,
        }
        if tracked := {name: value for name, value in tracked.items() if value is not None}:
            given["track"] = given.get("track", {}) | tracked
        from headprint.cli.commands.extract import check
        from headprint.training.fine_tuning import train as run

        check(given["data"], given.get("split", "train"))
        trained = run(out=out, resume=resume, show_progress=bars, **given)
    if trained.main:
        _tell(trained, json=json, quiet=quiet)


def _how_to_go_on(out: Path) -> str:
    from headprint.training.run_directory import how_to_go_on

    return how_to_go_on(out)


def _given(config: Path | None) -> dict[str, Any]:
    """The arguments in a configuration; a message if its data have changed since it was written."""
    if config is None:
        return {}
    from headprint.data.rows import fingerprint
    from headprint.training import run_directory as runs

    given = runs.arguments(config)
    content = runs.read_config(config).get("data_sha256")
    if content and "data" in given and fingerprint(given["data"], split=given.get("split", "train")) != content:
        output.say(
            f"{given['data']} has changed since {config} was written: this run differs from the one that it replays"
        )
    return given


def _fields(texts: Sequence[str] | None) -> dict[str, Any]:
    """FIELD=VALUE pairs, their values read as YAML."""
    import yaml

    fields = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise InputError(f"{text!r}: write FIELD=VALUE, such as learning_rate=1e-3")
        try:
            fields[name.strip()] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise InputError(f"{text!r}: the value is not YAML (put text with special characters in quotes)") from error
    return fields


def _every(text: str) -> Any:
    if text == "dense":
        return text
    try:
        steps = [int(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"--track-every {text!r}: want dense, a number of steps, or a list such as 0,10,50") from None
    return steps if "," in text else steps[0]


def _probes(texts: Sequence[str]) -> dict[str, str]:
    """Sources by name; one without a name goes by its task or file."""
    from headprint.data import without_scheme

    probes: dict[str, str] = {}
    for text in texts:
        match = _NAMED.fullmatch(text)
        path = Path(without_scheme(text))
        name, source = match.groups() if match else (path.parent.name if path.stem in _SPLITS else path.stem, text)
        if not name or name in probes:
            raise InputError(f"--track {text!r}: give it a name of its own, NAME={source}")
        probes[name] = source
    return probes


def _tell(trained: Trained, *, json: bool, quiet: bool) -> None:
    from headprint.data.examples import Report
    from headprint.training.run_directory import MODEL

    model = trained.out / MODEL
    if json:
        tracked = trained.tracker.metrics if trained.tracker else None
        output.emit({"out": str(trained.out), "model": str(model), **trained.to_dict(), "tracked": tracked})
    elif not quiet:
        losses = [entry["loss"] for entry in trained.log if "loss" in entry]
        course = f", loss {losses[0]:.3f} at first and {losses[-1]:.3f} at last" if losses else ""
        output.show(
            f"{Report(**trained.report)}",
            f"{trained.steps:,} steps, {trained.rows:,} rows and {trained.tokens:,} supervised tokens seen{course}, "
            f"{trained.seconds:,.1f} s",
            f"next: headprint extract {shlex.quote(str(model))} DATA --out DIR",
        )
