"""How well each method's scores predict measured gains: one record and its figure, for sources and for mixtures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass

from headprint.study.chapters.evidence import statistics
from headprint.study.estimates import Estimate
from headprint.study.records import STRICT
from headprint.study.views import Column, Dots, Drawing, Panel, Series, Table

Gains: TypeAlias = NDArray[np.float64]
"""(cases, targets): measured gains, or scores that predict them."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Prediction:
    """One method.

    Attributes:
        method: A selector, or a predictor of this study.
        targets: Spearman's correlation of predicted and measured gains over the cases, by target; None where the scores
            are constant.
        mean: Over the targets that are reported, with its interval.
        p: Of that mean, if cases were exchangeable within every target.
        holm: The same, corrected for the number of methods.
    """

    method: str
    targets: dict[str, float | None]
    mean: Estimate
    p: float | None
    holm: float | None


def predictions(
    scores: Mapping[str, Gains], gains: Gains, targets: Sequence[str], reported: Sequence[str]
) -> list[Prediction]:
    """Compare every method's scores with the measured gains; best first.

    Args:
        scores: By method, (cases, targets).
        gains: (cases, targets).
        targets: Names of the columns.
        reported: Those that the mean is over.
    """
    columns = [targets.index(name) for name in reported]
    p = {name: statistics.permuted_sources(each[:, columns], gains[:, columns]) for name, each in scores.items()}
    corrected = statistics.holm(p)
    found = []
    for method, each in scores.items():
        by_target = {name: statistics.spearman(each[:, i], gains[:, i]) for i, name in enumerate(targets)}
        mean = statistics.mean_rank_correlation(each[:, columns], gains[:, columns])
        ends = None if mean is None else statistics.bootstrapped(each[:, columns], gains[:, columns])
        low, high = ends or (None, None)
        found.append(
            Prediction(
                method=method,
                targets=by_target,
                mean=Estimate(mean, low, high),
                p=p[method],
                holm=corrected[method],
            )
        )
    return sorted(found, key=lambda each: -(each.mean.value if each.mean.value is not None else -2.0))


def drawing(found: Sequence[Prediction], title: str) -> Drawing:
    """The mean of each method, with its interval."""
    dots = Dots(
        title=title,
        rows=[each.method for each in found],
        series=[Series(name="mean over targets", points=[each.mean for each in found])],
        reference=0.0,
    )
    return Drawing(panels=[Panel(plots=[dots])])


def table(found: Sequence[Prediction], title: str) -> Table:
    """Every method and target."""
    targets = list(found[0].targets) if found else []
    return Table(
        title=title,
        columns=[Column("Method"), Column("Mean"), Column("p", None), Column("p (Holm)", None), *map(Column, targets)],
        rows=[[each.method, each.mean, each.p, each.holm, *(each.targets[name] for name in targets)] for each in found],
        keys=1,
        is_open=True,
    )
