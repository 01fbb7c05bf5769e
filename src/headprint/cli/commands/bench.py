"""``headprint bench``: what the measure costs on a model, beside what it could cost."""

from typing import Annotated, Any

import typer

from headprint.base.options import LoadingOptions
from headprint.cli import options, output
from headprint.cli.commands.extract import check


@options.takes_options(LoadingOptions)
def bench(
    model: options.ModelArgument,
    data: Annotated[
        str | None,
        typer.Argument(metavar="[DATA]", help="As for extract. \\[default: random tokens, GSM8K's lengths]"),
    ] = None,
    examples: Annotated[int, typer.Option(metavar="N", min=1, help="How many examples to measure.")] = 64,
    rounds: Annotated[
        int, typer.Option(metavar="N", min=1, help="How often, after one round that is not counted.")
    ] = 5,
    max_length: Annotated[int, typer.Option(metavar="N", min=2, help="Tokens per example at most.")] = 1024,
    batch_tokens: Annotated[int | None, typer.Option(metavar="N", min=1, help="As for extract.")] = None,
    recipe: Annotated[bool, typer.Option(help="Run the authors' recipe, too, on the first four examples.")] = True,
    json: options.JsonOption = False,
    **loading: Any,
) -> None:
    """Time the measure against a forward pass, a training step and the authors' recipe."""
    with output.working():
        from headprint import models
        from headprint.data.examples import ExampleStream
        from headprint.measure.benchmark import gsm8k_like, run

        loaded: Any
        loaded, tokenizer = models.load_model(model, **loading)
        if data is None:
            measured = gsm8k_like(examples, loaded.config.get_text_config().vocab_size)
        else:
            check(data, "train")
            measured = list(ExampleStream(data, tokenizer, max_length=max_length, limit=examples))
        contenders = ["forward", "training step", *(["authors' recipe"] if recipe else [])]
        result = run(loaded, measured, rounds=rounds, batch_tokens=batch_tokens, contenders=contenders)
    if json:
        output.emit(result)
    else:
        output.show(_table(result))


def _table(result: dict[str, Any]) -> Any:
    from rich.table import Table

    about = f"{result['tokens']:,} tokens in {result['examples']} examples, {result['dtype']} on {result['device']}"
    table = Table("", title=about, title_justify="left", box=None, pad_edge=False, header_style="dim")
    for name in ("tokens/s", "time, headprint = 1", "range", "peak memory"):
        table.add_column(name, justify="right")
    for name, timing in result["results"].items():
        peak = timing["peak_bytes"]
        table.add_row(
            name,
            f"{timing['tokens_per_second']:,.0f}",
            f"{timing['ratio']:.2f}",
            f"{timing['ratio_low']:.2f} to {timing['ratio_high']:.2f}",
            "–" if peak is None else f"{peak / 2**20:,.0f} MiB",
        )
    return table
