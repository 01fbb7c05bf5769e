"""``headprint diff``: what changed from one pattern to another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from headprint.cli import common

_SETTINGS = ("loss", "loss_on", "placement", "max_length", "overlong", "dtype", "compute_dtype", "batch_size")
_LONGEST = 20  # of a task's name, so that two and their difference fit


def diff(
    before: Annotated[Path, typer.Argument(metavar="BEFORE", help="A pattern file or a pattern set's directory.")],
    after: Annotated[Path, typer.Argument(metavar="AFTER", help="Likewise, of the same shape.")],
    relative: Annotated[bool, typer.Option("--relative", help="Divide the change by what was before.")] = False,
    placement: common.PlacementOption = None,
    top: common.TopOption = 5,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Keep the change as a pattern file (.safetensors).",
            rich_help_panel=common.OUTPUT_PANEL,
        ),
    ] = None,
    png: common.PictureOption = None,
    json: common.JsonOption = False,
) -> None:
    """Compare two patterns: the change of each head, correlation, error, and how even they are."""
    from headprint.plotting import terminal as render

    first, second = (common.load_pattern(path, placement) for path in (before, after))
    change = second - first
    if relative:
        change = change / first
    names = called(first.provenance, second.provenance)
    warnings = doubts(first.provenance, second.provenance)
    for warning in warnings:
        common.say(f"warning: {warning}")
    if out:
        change.save(out)
        common.say(f"wrote {out}")
    if png:
        from headprint.plotting.figures import heat_maps

        titles = [f"{names[0]}\n{before.name}", f"{names[1]}\n{after.name}", names[2]]
        heat_maps([first, second, change], png, titles=titles)
        common.say(f"wrote {png}")
    agreement = {
        "pearson": first.correlation(second),
        "spearman": first.correlation(second, "spearman"),
        "mse": first.mse(second),
    }
    if json:
        raised, lowered = render.most_changed(change, top)
        common.emit(
            {
                "relative": relative,
                "names": names,
                **agreement,
                "before": {"path": str(before), **render.statistics_of(first)},
                "after": {"path": str(after), **render.statistics_of(second)},
                "change": {
                    "unit": render.unit(change),
                    **render.statistics_of(change),
                    "values": common.matrix(change),
                },
                "raised": [head._asdict() for head in raised],
                "lowered": [head._asdict() for head in lowered],
                "warnings": warnings,
            }
        )
        return
    width = max(map(len, names[:2])) + 1
    common.show(
        f"{names[0] + ':':<{width}} {common.title(before, first)}",
        f"{names[1] + ':':<{width}} {common.title(after, second)}",
        "",
        render.terminal_change(first, second, change, names=names, top=top),
        "",
        "  ".join(f"{name} {value:.4g}" for name, value in agreement.items()),
    )


def called(before: dict[str, Any], after: dict[str, Any]) -> tuple[str, str, str]:
    """What the two patterns and their difference are called: by their tasks, if they are two tasks of one model."""
    from headprint.data import without_scheme

    model = _same(before.get("model"), after.get("model"), ("weights",))
    if model and _same(before.get("data"), after.get("data"), ("content",)) is False:
        paths = [Path(without_scheme(str(origin["data"].get("source", "")))) for origin in (before, after)]
        for names in ([path.stem for path in paths], [path.parent.name for path in paths]):  # train.jsonl says nothing
            one, other = (name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…" for name in names)
            if one and other and one != other:
                return one, other, f"{other} - {one}"
    return "before", "after", "change"


def doubts(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Why a change may not be one of training alone, by what is known of both patterns.

    Two tasks of one model, and one task before and after training, are each a fair comparison.
    """
    found = []
    differing = [
        f"{name} ({before[name]} and {after[name]})"
        for name in _SETTINGS
        if name in before and name in after and before[name] != after[name]
    ]
    if differing:
        found.append(f"the settings differ: {', '.join(differing)}; extract both with the same")
    model = _same(before.get("model"), after.get("model"), ("weights",))
    data = _same(before.get("data"), after.get("data"), ("content", "limit"))
    if (model, data) == (False, False):
        found.append("both the model and the data differ, so the change is not due to one of them alone")
    if (model, data) == (True, True) and not differing:
        found.append("the model's weights and the data are the same in both")
    return found


def _same(one: Any, other: Any, keys: Sequence[str]) -> bool | None:
    """Whether two descriptions are of one thing; None if either is silent."""
    if not all(isinstance(part, dict) and keys[0] in part for part in (one, other)):
        return None
    return all(one.get(key) == other.get(key) for key in keys)
