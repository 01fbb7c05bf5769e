"""``headprint study``: the whole paper by one command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headprint.cli import options, output

if TYPE_CHECKING:
    from headprint.study.verdicts import Finding


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
        Path, typer.Option(metavar="DIR", help="Directory of the run.", rich_help_panel=options.OUTPUT_PANEL)
    ] = Path("runs/study"),
    seed: Annotated[
        list[int] | None, typer.Option(metavar="N", help="Instead of the config's seeds; may be repeated.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Processes. \\[default: the cores, 4 at most; 1 on a GPU]")
    ] = None,
    configs: Annotated[
        bool, typer.Option("--configs", help="List the configs that come with headprint, and stop.")
    ] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Print every job, who reads it and why it is not done yet, and stop.")
    ] = False,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
) -> None:
    """Run a study: fine-tune on every task, follow the patterns, make every table and figure, and write a report.

    A killed study goes on where it stopped by the same command; a changed config redoes only what it touches.
    """
    from headprint.study.config import builtin

    if configs:
        output.emit({"configs": list(builtin())}) if json else output.show(_listed(builtin()))
        return
    if explain:
        _explain(config, out, seed, as_json=json)
        return
    saved = "finished jobs are saved: the same command goes on from there"
    with output.working(quiet=quiet or json, when_interrupted=lambda: saved) as bars:
        from headprint.study.run import study as run

        results = run(config, out, workers=workers, seeds=seed, show_progress=bars)
    if json:
        content = results.to_json()
        output.emit(
            {"out": str(out), "report": str(out / "report.html"), **{k: content[k] for k in ("seconds", "findings")}}
        )
        return
    output.show(_table(results.findings))
    if not quiet:
        cached = sum(job.cached for job in results.jobs)
        output.say(f"{len(results.jobs)} jobs ({cached} done before) in {results.seconds:.0f} s")
        output.say(f"open {out / 'report.html'}")


def _explain(config: str, out: Path, seeds: list[int] | None, *, as_json: bool) -> None:
    """Print the graph of jobs, each after those that it needs."""
    with output.working(quiet=True):
        from headprint.base.settings import leaves
        from headprint.study.run import explain_study

        found = explain_study(config, out, seeds=seeds)
    if as_json:
        output.emit({"out": str(out), "jobs": [each.to_dict() for each in found]})
        return
    for each in found:
        job = each.job
        print(f"{job.id}  {job.label}")
        print(f"  {'done' if each.cached else f'to do: {each.reason}'}")
        print(f"  read by: {', '.join(each.readers)}")
        if job.needs:
            print(f"  needs: {', '.join(f'{name} {need.id}' for name, need in job.needs.items())}")
        print(f"  key: version {job.stage.version}, {', '.join(f'{name} {value}' for name, value in leaves(job.key))}")
        if job.stage.ignores:
            print(f"  not in the key: {', '.join(sorted(job.stage.ignores))}")
    print(f"{len(found)} jobs, {sum(each.cached for each in found)} done")


def _listed(configs: dict[str, Path]) -> Any:
    """Each config with its first comment, which says what is particular about it."""
    from rich.table import Table

    table = Table.grid(padding=(0, 2, 0, 0))
    for name, path in configs.items():
        table.add_row(name, path.read_text("utf-8").splitlines()[0].removeprefix("# "))
    return table


def _table(findings: list[Finding]) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 1, 0))
    for name in ("the paper's claim", "here", "verdict"):
        table.add_column(name, no_wrap=name == "verdict", style="bold" if name == "verdict" else None)
    for finding in findings:
        table.add_row(finding.claim, finding.number or finding.here, finding.verdict)
    return table
