"""``headprint evaluate``: right answers and held-out loss of a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from headprint.base.errors import InputError
from headprint.base.files import write_json
from headprint.base.options import AnswerBy, EvaluateOptions, LoadingOptions
from headprint.cli import options, output

if TYPE_CHECKING:
    from headprint.analysis.intervals import Interval

    _Loaded: TypeAlias = tuple[Any, Any]
    _Shown: TypeAlias = tuple[dict[str, Any], list[tuple[str, Interval, int | None]]]

SCORER_NAMES = "exact, final, boxed, letter, python, choice, choice-norm, lab, none"  # and those of other packages

NOTHING_WRITTEN = "nothing was written, and the same command starts over"

_BENCHMARKS = "Published benchmarks, instead of DATA"


@options.takes_options(EvaluateOptions)
def evaluate(
    model: options.ModelArgument,
    data: options.OptionalDataArgument = None,
    scorer: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=f"What makes an answer right: {SCORER_NAMES} (docs: evaluate). \\[default: lab for lab:TASK]",
            rich_help_panel=options.ANSWERS_PANEL,
        ),
    ] = None,
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
        AnswerBy,
        typer.Option(help="MathBench: generate a letter, or take the likeliest.", rich_help_panel=_BENCHMARKS),
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
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write each row's answer as JSONL (of a benchmark: the scores as JSON).",
            rich_help_panel=options.OUTPUT_PANEL,
        ),
    ] = None,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    **fields: Any,
) -> None:
    """Score a model's answers and take its held-out loss, with 95% intervals."""
    if sum(given is not None for given in (data, mathbench, harness)) != 1:
        raise InputError("give one of DATA, --mathbench and --harness")
    output.check_destination(out)
    with output.working(quiet=quiet, when_interrupted=lambda: NOTHING_WRITTEN) as bars:
        if data is not None:
            result, lines = _rows(model, data, scorer_for(data, scorer), out, show_progress=bars, **fields)
        else:
            from headprint.models import load_model

            options = EvaluateOptions(**fields)
            loaded = load_model(model, **options.keywords(LoadingOptions))
            if mathbench is not None:
                answers = {"max_new_tokens": options.max_new_tokens, "batch_tokens": options.batch_tokens}
                result, lines = _mathbench(
                    loaded, mathbench, how=how, limit=options.limit, chat=chat, show_progress=bars, **answers
                )
            else:
                names = [name.strip() for name in str(harness).split(",") if name.strip()]
                result, lines = _harness(
                    loaded, names, limit=options.limit, few_shot=few_shot, chat=chat, include=include
                )
        result = {"model": model, **result}
        if out and data is None:
            write_json(out, result)
    if json:
        output.emit(result)
    elif not quiet:
        width = max(len(name) for name, _, _ in lines)
        for name, value, n in lines:
            output.show(f"{name:<{width}}  {value}" + (f"  ({n:,} rows)" if n else ""))


def _rows(model: str, data: str, scorer: str | None, out: Path | None, **options: Any) -> _Shown:
    from headprint.evaluation import evaluate as run

    outcome = run(model, None, data, scorer=scorer, **options)
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


def scorer_for(data: str, scorer: str | None) -> str | None:
    """Return the scorer that is named, or the one called as the scheme of the data: ``lab`` for ``lab:math``.

    Raises:
        InputError: There is no such scorer; or none is named, and none belongs to the data.
    """
    from headprint.data import scheme_of
    from headprint.evaluation import SCORERS
    from headprint.evaluation.scorers import get_scorer

    own = scheme_of(data)
    if scorer is None and own not in SCORERS:
        raise InputError(f"say with --scorer what makes an answer right: {SCORER_NAMES}")
    get_scorer(scorer or own)
    return scorer or own
