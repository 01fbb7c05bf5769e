"""``headprint evaluate``: right answers and held-out loss of a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from headprint.base.errors import InputError
from headprint.base.options import AnswerBy
from headprint.cli import common, files

if TYPE_CHECKING:
    from headprint.analysis.intervals import Interval

    _Loaded: TypeAlias = tuple[Any, Any]
    _Shown: TypeAlias = tuple[dict[str, Any], list[tuple[str, Interval, int | None]]]


_DATA, _ANSWERS, _BENCHMARKS = "Data", "Answers", "Published benchmarks, instead of DATA"

SCORER_NAMES = "exact, final, boxed, letter, python, choice, choice-norm, lab, none"  # and those of other packages

ScorerOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help=f"What makes an answer right: {SCORER_NAMES} (docs: evaluate). \\[default: lab for lab:TASK]",
        rich_help_panel=_ANSWERS,
    ),
]
SplitOption = Annotated[str, typer.Option(help="Split of a folder, datasets id or lab task.", rich_help_panel=_DATA)]
LimitOption = Annotated[
    int | None, typer.Option(metavar="N", min=1, help="Take only the first rows.", rich_help_panel=_DATA)
]
AnswerTokensOption = Annotated[
    int, typer.Option(metavar="N", min=1, help="Tokens of an answer at most.", rich_help_panel=_ANSWERS)
]
BatchOption = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="Tokens per batch at most. \\[default: chooses]", rich_help_panel=_ANSWERS),
]


def evaluate(
    model: common.ModelArgument,
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="DATA",
            help="JSONL or Parquet file, folder with <split> files, datasets id, or lab:TASK: a built-in task.",
        ),
    ] = None,
    scorer: ScorerOption = None,
    split: SplitOption = "test",
    limit: LimitOption = None,
    no_loss: Annotated[
        bool, typer.Option("--no-loss", help="Answers only: rows need no completion.", rich_help_panel=_ANSWERS)
    ] = False,
    max_new_tokens: AnswerTokensOption = 256,
    batch_tokens: BatchOption = None,
    chat: Annotated[
        bool,
        typer.Option("--chat", help="Ask a benchmark through the chat template.", rich_help_panel=_BENCHMARKS),
    ] = False,
    mathbench: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="MathBench's folder or one of its files; circular evaluation.",
            rich_help_panel=_BENCHMARKS,
        ),
    ] = None,
    how: Annotated[
        AnswerBy, typer.Option(help="MathBench: generate a letter, or take the likeliest.", rich_help_panel=_BENCHMARKS)
    ] = "generate",
    harness: Annotated[
        str | None,
        typer.Option(
            metavar="TASK,...", help="Tasks of lm-evaluation-harness (an extra).", rich_help_panel=_BENCHMARKS
        ),
    ] = None,
    few_shot: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=0, help="Harness: worked examples. \\[default: the task's]", rich_help_panel=_BENCHMARKS
        ),
    ] = None,
    include: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Harness: tasks of your own.", rich_help_panel=_BENCHMARKS),
    ] = None,
    dtype: common.DtypeOption = "auto",
    attn_implementation: common.AttentionOption = None,
    device: common.DeviceOption = None,
    trust_remote_code: common.TrustOption = False,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write each row's answer as JSONL (of a benchmark: the scores as JSON).",
            rich_help_panel=common.OUTPUT_PANEL,
        ),
    ] = None,
    json: common.JsonOption = False,
    quiet: common.QuietOption = False,
) -> None:
    """Score a model's answers and take its held-out loss, with 95% intervals."""
    if sum(given is not None for given in (data, mathbench, harness)) != 1:
        raise InputError("give one of DATA, --mathbench and --harness")
    place = Path(out).parent if out else None
    if place and not place.is_dir():  # found out before the model has worked for an hour
        raise InputError(f"{place} is not a directory: make it, or choose another place for --out")
    chosen = scorer_for(data, scorer)
    with common.working(quiet=quiet) as bars:
        if data is not None:
            from headprint.cli.commands.extract import check

            check(data, split)
        from headprint import models

        loaded = models.load_model(
            model,
            dtype=dtype,
            device=device,
            attn_implementation=attn_implementation,
            trust_remote_code=trust_remote_code,
        )
        answers = {"max_new_tokens": max_new_tokens, "batch_tokens": batch_tokens, "show_progress": bars}
        if data is not None:
            result, lines = _rows(
                loaded, data, out, scorer=chosen, limit=limit, split=split, loss=not no_loss, **answers
            )
        elif mathbench is not None:
            result, lines = _mathbench(loaded, mathbench, how=how, limit=limit, chat=chat, **answers)
        else:
            names = [name.strip() for name in str(harness).split(",") if name.strip()]
            result, lines = _harness(loaded, names, limit=limit, few_shot=few_shot, chat=chat, include=include)
        result = {"model": model, **result}
        if out and data is None:
            files.write_json(out, result)
    if json:
        common.emit(result)
    elif not quiet:
        width = max(len(name) for name, _, _ in lines)
        for name, value, n in lines:
            common.show(f"{name:<{width}}  {value}" + (f"  ({n:,} rows)" if n else ""))


def _rows(loaded: _Loaded, data: str, out: Path | None, **options: Any) -> _Shown:
    from headprint.evaluation import evaluate as run

    outcome = run(*loaded, data, **options)
    if out:
        outcome.write(out)
    lines = (("right answers", outcome.interval()), ("loss in nats", outcome.loss_interval()))
    return {"data": data, **outcome.to_dict()}, [(name, value, outcome.n) for name, value in lines if value]


def _mathbench(loaded: _Loaded, source: Path, *, how: AnswerBy, **options: Any) -> _Shown:
    from headprint.evaluation import run_mathbench as run

    found = run(*loaded, source, how=how, **options)
    result = found.to_dict()
    lines = [
        (f"{subset or 'all'}, {name}", found.accuracy(subset=subset, circular=name == "circular"), n)
        for subset, n in [*((each, result["subsets"][each]["n"]) for each in found.subsets), (None, result["n"])]
        for name in ("circular", "plain")
    ]
    return {"mathbench": str(source), "how": how, **result}, lines


def _harness(loaded: _Loaded, names: list[str], **options: Any) -> _Shown:
    from headprint.analysis.intervals import Interval
    from headprint.evaluation import run_harness as run

    scores = run(*loaded, names, **options)
    lines = []
    for score in scores:
        half = float("nan") if score.stderr is None else 1.96 * score.stderr
        value = Interval(score.value, score.value - half, score.value + half)
        lines.append((f"{score.task}, {score.metric} ({score.filter})", value, score.n))
    return {"harness": names, "scores": [score.to_dict() for score in scores]}, lines


def scorer_for(data: str | None, scorer: str | None) -> str | None:
    """Return the scorer that is named, or the one called as the scheme of the data: ``lab`` for ``lab:math``.

    Raises:
        InputError: There is no such scorer; or none is named, and none belongs to the data.
    """
    from headprint.data import scheme_of
    from headprint.evaluation import SCORERS, check_scorer

    own = scheme_of(data)
    if scorer is None and data is not None and own not in SCORERS:
        raise InputError(f"say with --scorer what makes an answer right: {SCORER_NAMES}")
    check_scorer(scorer or own)
    return scorer or own
