"""``headprint diff``: what changed from one pattern to another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from headprint.cli import options, output

_TRAINING = ("before", "after", "change")
_LONGEST = 20  # of a task's name, so that two and their difference fit


def diff(
    before: Annotated[Path, typer.Argument(metavar="BEFORE", help="A pattern file or a pattern set's directory.")],
    after: Annotated[Path, typer.Argument(metavar="AFTER", help="Likewise, of the same shape.")],
    relative: Annotated[bool, typer.Option("--relative", help="Divide the change by what was before.")] = False,
    reading: options.ReadingOption = None,
    top: options.TopOption = 5,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the change as a pattern file (.safetensors).",
            rich_help_panel=options.OUTPUT_PANEL,
        ),
    ] = None,
    plot: options.PlotOption = None,
    json: options.JsonOption = False,
) -> None:
    """Compare two patterns: the change of each head, correlation, error, and how even they are."""
    from headprint.analysis.comparability import doubts
    from headprint.analysis.confound import mirror_warning, mirrors_before
    from headprint.plotting import change_view, heat_maps, most_changed, statistics_change, statistics_of, unit

    first, second = (output.load_pattern(path, reading) for path in (before, after))
    change = second - first
    if relative:
        change = change / first
    names = called(first.provenance, second.provenance)
    warnings = doubts(first.provenance, second.provenance)
    mirrored = mirrors_before((second - first).values, first.values)
    if names == _TRAINING and not relative and (found := mirror_warning({"change": mirrored})):
        warnings.append(found)
    for warning in warnings:
        output.say(f"warning: {warning}")
    if out:
        change.save(out)
        output.say(f"wrote {out}")
    if plot:
        files = [path.name.removesuffix(".safetensors") for path in (before, after)]
        titles = ["\n".join(dict.fromkeys(pair)) for pair in zip(names[:2], files, strict=True)] + [names[2]]
        heat_maps([first, second, change], plot, titles=titles)
        output.say(f"wrote {plot}")
    agreement = {
        "pearson": first.correlation(second),
        "spearman": first.correlation(second, "spearman"),
        "mse": first.mse(second),
    }
    if json:
        raised, lowered = most_changed(change, top)
        output.emit(
            {
                "relative": relative,
                "names": names,
                **agreement,
                "before": {"path": str(before), **statistics_of(first)},
                "after": {"path": str(after), **statistics_of(second)},
                "change": {
                    "unit": unit(change),
                    **statistics_change(first, second),
                    "mirrors_before": mirrored,
                    "values": output.matrix(change),
                },
                "raised": [head._asdict() for head in raised],
                "lowered": [head._asdict() for head in lowered],
                "warnings": warnings,
            }
        )
        return
    width = max(map(len, names[:2])) + 1
    output.show(
        f"{names[0] + ':':<{width}} {output.title(before, first)}",
        f"{names[1] + ':':<{width}} {output.title(after, second)}",
        "",
        change_view(first, second, change, names=names, top=top),
        "",
        "  ".join(f"{name} {value:.4g}" for name, value in agreement.items()),
    )


def called(before: dict[str, Any], after: dict[str, Any]) -> tuple[str, str, str]:
    """Name the two patterns and their difference: by their tasks, if they are two tasks of one model."""
    from headprint.analysis.comparability import same_data, same_model
    from headprint.data import without_scheme

    if same_model(before, after) and same_data(before, after) is False:
        paths = [Path(without_scheme(str(origin["data"].get("source", "")))) for origin in (before, after)]
        for names in ([path.stem for path in paths], [path.parent.name for path in paths]):  # train.jsonl says nothing
            one, other = (name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…" for name in names)
            if one and other and one != other:
                return one, other, f"{other} - {one}"
    return _TRAINING
