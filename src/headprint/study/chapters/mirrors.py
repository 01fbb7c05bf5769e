"""Whether a change is more than a mirror of the pattern before.

Where fine-tuning takes most of the loss away it takes most of every level away, too. ΔAP is then −AP before training,
and what it shows, the pattern before training shows as well. Every chapter that reads changes reports how near they
come to that.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic.dataclasses import dataclass

from headprint.analysis.confound import MIRRORED, mirrors_before
from headprint.study.chapters.common import MODEL, groups, over
from headprint.study.estimates import value_of
from headprint.study.records import STRICT, Matrix
from headprint.study.views import Column, Table, Text


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Mirror:
    """One fine-tuning's change beside the pattern before.

    Attributes:
        model: Name in the config.
        task: What it was fine-tuned on.
        seed: Of the run.
        r: Correlation over heads of ΔAP with −AP before; None where one of them is the same in all heads.
    """

    model: str
    task: str
    seed: int
    r: float | None


def mirror(change: Matrix, before: Matrix) -> float | None:
    """The correlation over heads of a change with the negated pattern before."""
    return value_of(mirrors_before(*(np.array(matrix, dtype=np.float64) for matrix in (change, before))))


def mirror_table(mirrors: Sequence[Mirror]) -> Table:
    """The correlation of each task, over seeds."""
    rows = [[*about, over(each.r for each in of)] for about, of in groups(mirrors, "model", "task").items()]
    columns = [MODEL, Column("Task"), Column("Correlation of ΔAP with −AP before")]
    return Table(
        title="Does the change only mirror the pattern before?", columns=columns, rows=rows, keys=2, is_open=True
    )


def mirror_warning(mirrors: Sequence[Mirror]) -> list[Text]:
    """What to make of changes that are little more than the negated pattern before; nothing if none is."""
    means = [value_of(over(each.r for each in of)) for of in groups(mirrors, "model", "task").values()]
    count = sum(mean is not None and mean > MIRRORED for mean in means)
    if not count:
        return []
    text = (
        f"In {count} of {len(means)} tasks the change is little more than the level before with its sign turned "
        f"(correlation above {MIRRORED}): the loss fell, and every level with it. "
        "What ΔAP shows there, the pattern before training shows as well."
    )
    return [Text(text, is_warning=True)]
