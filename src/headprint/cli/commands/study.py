"""``headprint study``: the whole paper by one command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from headprint.cli.common import JsonOption, QuietOption, emit, say, show, working

OUTPUT_PANEL = "Output"


def study(
    config: Annotated[
        str,
        typer.Argument(
            metavar="[CONFIG]",
            help="YAML file, or a config that comes with headprint. \\[default: lab]",
            show_default=False,
        ),
    ] = "lab",
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Directory of the run.", rich_help_panel=OUTPUT_PANEL)
    ] = Path("runs/study"),
    seed: Annotated[
        list[int] | None, typer.Option(metavar="N", help="In the place of the config's seeds; may be repeated.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Processes. \\[default: the cores, 4 at most; 1 on a GPU]")
    ] = None,
    configs: Annotated[
        bool, typer.Option("--configs", help="List the configs that come with headprint, and stop.")
    ] = False,
    json_: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Run a study: fine-tune on every task, follow the patterns, make every table and figure, and write a report.

    A killed study goes on where it stopped by the same command; a changed config redoes only what it touches.
    """
    from headprint.study.config import builtin

    if configs:
        emit({"configs": list(builtin())}) if json_ else print("\n".join(builtin()))
        return
    kept = "finished jobs are saved: the same command goes on from there"
    with working(quiet=quiet or json_, when_interrupted=lambda: kept) as bars:
        from headprint.study.run import study as run

        results = run(config, out, workers=workers, seeds=seed, show_progress=bars)
    if json_:
        emit({"out": str(out), "report": str(out / "report.html"), **{k: results[k] for k in ("seconds", "findings")}})
        return
    show(_table(results["findings"]))
    if not quiet:
        cached = sum(stage["cached"] for stage in results["stages"])
        say(f"{len(results['stages'])} stages ({cached} done before) in {results['seconds']:.0f} s")
        say(f"open {out / 'report.html'}")


def _table(findings: list[dict[str, Any]]) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 1, 0))
    for name in ("the paper's claim", "here", "verdict"):
        table.add_column(name, no_wrap=name == "verdict", style="bold" if name == "verdict" else None)
    for finding in findings:
        table.add_row(finding["claim"], finding.get("number") or finding["here"], finding["verdict"])
    return table
