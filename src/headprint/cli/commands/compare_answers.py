"""``headprint compare-answers``: two models' answers to the same rows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headprint.cli import options, output


def compare_answers(
    before: Annotated[
        Path,
        typer.Argument(metavar="BEFORE", help="Answers of evaluate --out, or lm-evaluation-harness' --log_samples."),
    ],
    after: Annotated[Path, typer.Argument(metavar="AFTER", help="Likewise, of the same rows.")],
    json: options.JsonOption = False,
) -> None:
    """Compare two models' answers row by row: accuracy with McNemar's test, and loss, with 95% intervals."""
    from headprint.evaluation import compare_answers as run

    found = run(before, after)
    if json:
        output.emit({"files": [str(before), str(after)], **found.to_dict()})
        return
    lines = [f"{found.n:,} rows"]
    if found.change is not None:
        lines += [
            f"right before   {found.before}",
            f"right after    {found.after}",
            f"change         {found.change}, p = {found.p_value:.2g} (exact McNemar)",
            f"               {found.gained:,} rows became right, {found.lost:,} became wrong",
        ]
    if found.loss is not None:
        lines.append(f"loss, change   {found.loss} nats")
    output.show(*lines)
