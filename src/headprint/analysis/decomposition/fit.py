"""A complex task's change as a combination of basic tasks' changes (arXiv 2409.15820, section 4).

    ΔAP_target = Σ_i α_i ΔAP_basic_i + ε          over the heads, by least squares

    result = decompose((before, after), {"math": (b, a), "code": (b, a)}, subsets=True)
    result.weights["math"], result.r2, result.null.p_value

A good fit alone says little: the changes of all tasks share a profile over depth, and two dense
positive vectors fit each other anyway. So beside each R² stand the R² on heads that were held out,
the R² of a target whose heads were permuted, and how far the best basis stands above the median one.

The default has no intercept, as the paper's equation has none: a constant would take the rise that
all fine-tuning shares away from the tasks, and the weights are to become shares of rows. R² is
measured against the best constant all the same (:mod:`headprint.analysis.decomposition.regression`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from headprint.analysis.bootstrap import Bootstrap
from headprint.analysis.decomposition.changes import Change, Problem, prepare
from headprint.analysis.decomposition.regression import (
    Reduced,
    Solution,
    adjusted,
    cross_validated,
    folds,
    forward,
    held_out,
    reduce,
    shuffled,
    solve,
    solve_all,
)
from headprint.analysis.decomposition.results import (
    Decomposition,
    DecompositionOptions,
    Discovery,
    Gap,
    Null,
    Step,
    Subset,
)
from headprint.analysis.intervals import Interval
from headprint.base.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MOST_RANKED", "decompose", "discover"]

MOST_RANKED = 10
"""Basic tasks whose subsets are all fitted, at most."""
_R2 = (-np.inf, 1.0)


def decompose(
    target: Change,
    basics: Mapping[str, Change],
    *,
    name: str = "target",
    subsets: bool = False,
    options: DecompositionOptions | None = None,
    bootstrap: Bootstrap | None = None,
) -> Decomposition:
    """Fit a target's change by those of basic tasks.

    Args:
        target: ``(before, after)``, two pattern sets of the same examples or two patterns, or a change.
        basics: K of the same by task name.
        name: Of the target.
        subsets: Fit every subset of the basic tasks, too (10 tasks at most).
        options: How the fit is made and judged.
        bootstrap: How the intervals over examples are made. draws x (K + 1) x L x H x 8 bytes are held.

    Raises:
        InputError: Shapes or models before training differ, there are too many basic tasks or none, or a change
            cannot be read as ``options.relative`` says.
    """
    options, bootstrap = options or DecompositionOptions(), bootstrap or Bootstrap()
    if subsets and len(basics) > MOST_RANKED:
        raise InputError(
            f"{len(basics)} basic tasks have {2 ** len(basics) - 1:,} subsets; {MOST_RANKED} tasks are ranked at "
            "most: use discover"
        )
    problem = prepare(target, basics, name=name, relative=options.relative, bootstrap=bootstrap)
    return _Work(problem, options, bootstrap).decomposition(subsets)


def discover(
    target: Change,
    catalogue: Mapping[str, Change],
    *,
    name: str = "target",
    most: int = 8,
    options: DecompositionOptions | None = None,
    bootstrap: Bootstrap | None = None,
) -> Discovery:
    """Find a sparse basis in a whole catalogue of tasks.

    The basis grows by the task that lowers the residual most, all weights being fitted anew
    (orthogonal matching pursuit). Its size is the smallest whose error on held-out heads is within
    one standard error of the smallest error (Breiman et al. 1984), the basis being grown anew
    without the held-out heads; a constant competes as the basis of size 0.

    Args:
        target: As :func:`decompose`.
        catalogue: K changes by task name.
        name: Of the target.
        most: The largest basis tried.
        options: How the fits are made and judged.
        bootstrap: How the intervals over examples are made.

    Raises:
        InputError: As :func:`decompose`.
    """
    options, bootstrap = options or DecompositionOptions(), bootstrap or Bootstrap()
    if most < 1:
        raise InputError(f"the largest basis has {most} tasks: choose 1 or more")
    problem = prepare(target, catalogue, name=name, relative=options.relative, bootstrap=bootstrap)
    return _Work(problem, options, bootstrap).discovery(min(most, len(problem.tasks)))


class _Work:
    """One problem and all that is computed of it more than once."""

    def __init__(self, problem: Problem, options: DecompositionOptions, bootstrap: Bootstrap) -> None:
        self.problem, self.options, self.bootstrap = problem, options, bootstrap
        self.parts = folds(problem.layers, options.folds, options.seed)
        if len(self.parts) < 2:
            raise InputError("leaving out one layer at a time needs two layers or more: give a number of folds")
        self.whole = self._reduce(problem.x, problem.y)
        self.drawn = None if problem.draws is None else self._reduce(*problem.draws)
        targets = shuffled(problem.y, problem.layers, options.permutations, options.permute_within, options.seed)
        self.permuted = self._reduce(np.broadcast_to(problem.x, (options.permutations, *problem.x.shape)), targets)

    def decomposition(self, subsets: bool) -> Decomposition:
        problem, options = self.problem, self.options
        every = range(len(problem.tasks))
        fit = solve(self.whole, every, options.method)
        weights, r2, constant = self._draws(every)
        interval = self.bootstrap.interval
        full = self._subset(every, fit)
        ranked, gaps = self._ranking() if subsets else (None, None)
        return Decomposition(
            target=problem.name,
            weights={task: self._weight(fit.weights[k], weights[:, k]) for k, task in enumerate(problem.tasks)},
            intercept=interval(fit.intercept, constant) if options.intercept else Interval(0.0),
            r2=interval(fit.r2, r2, _R2),
            adjusted=full.adjusted,
            cross_validated=full.cross_validated,
            null=full.null,
            subsets=ranked,
            gaps=gaps,
            heads=len(problem.y),
            examples=problem.examples,
            mirrors_before=problem.mirrors_before,
            intervals=self.drawn is not None,
            options=options,
        )

    def _weight(self, value: float, draws: NDArray[Any]) -> Interval:
        if self.options.method == "lstsq":
            return self.bootstrap.interval(value, draws)
        # At the bound of 0 nothing can be reflected: there the percentiles are the interval.
        options = self.bootstrap if value > 0 else replace(self.bootstrap, method="percentile")
        return options.interval(value, draws, (0.0, np.inf))

    def discovery(self, most: int) -> Discovery:
        problem, method = self.problem, self.options.method
        path = forward(self.whole, most, method)
        errors = self._held_out(lambda part: [fit for _, fit in forward(part, most, method)])
        steps = [
            Step(self._names(chosen), fit.r2, float(r2))
            for (chosen, fit), r2 in zip(path, cross_validated(errors, self.parts), strict=True)
        ]
        size = _one_standard_error(errors)
        chosen = path[size - 1][0] if size else []
        fit = null = None
        frequency: dict[str, float] = {}
        if size:
            fit = self._narrowed(chosen).decomposition(subsets=False)
            grown = [forward(Reduced(*each), size, method)[-1] for each in zip(*self.permuted, strict=True)]
            null = _null(path[size - 1][1].r2, np.array([best.r2 for _, best in grown]))
            if self.drawn is not None:
                picks = [forward(Reduced(*each), size, method)[-1][0] for each in zip(*self.drawn, strict=True)]
                frequency = {
                    task: float(np.mean([k in pick for pick in picks])) for k, task in enumerate(problem.tasks)
                }
        return Discovery(problem.name, steps, self._names(chosen), fit, null, frequency)

    def _narrowed(self, chosen: Sequence[int]) -> _Work:
        return _Work(self.problem.narrowed(chosen), self.options, self.bootstrap)

    def _reduce(self, x: NDArray[Any], y: NDArray[Any]) -> Reduced:
        return reduce(x, y, intercept=self.options.intercept)

    def _held_out(self, choose: Any) -> NDArray[np.float64]:
        return held_out(self.problem.x, self.problem.y, self.parts, choose, intercept=self.options.intercept)

    def _names(self, chosen: Sequence[int]) -> tuple[str, ...]:
        return tuple(self.problem.tasks[k] for k in chosen)

    def _draws(self, chosen: Sequence[int]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Weights (B, K), R² (B,) and intercepts (B,) of the bootstrap's draws; B is 0 without any."""
        if self.drawn is None:
            return np.empty((0, len(self.problem.tasks))), np.empty(0), np.empty(0)
        weights, r2 = solve_all(self.drawn, chosen, self.options.method)
        means = self.drawn.means
        return weights, r2, means[:, -1] - (means[:, :-1] * weights).sum(axis=1)

    def _subset(self, chosen: Sequence[int], fit: Solution, permuted: NDArray[Any] | None = None) -> Subset:
        method = self.options.method
        errors = self._held_out(lambda part: [solve(part, chosen, method)])
        if permuted is None:
            permuted = solve_all(self.permuted, chosen, method)[1]
        return Subset(
            self._names(chosen),
            {self.problem.tasks[k]: float(fit.weights[k]) for k in chosen},
            fit.r2,
            adjusted(fit.r2, len(self.problem.y), len(chosen), intercept=self.options.intercept),
            float(cross_validated(errors, self.parts)[0]),
            _null(fit.r2, permuted),
        )

    def _ranking(self) -> tuple[list[Subset], list[Gap]]:
        count = len(self.problem.tasks)
        ranked, gaps = [], []
        for size in range(1, count + 1):
            bases = list(combinations(range(count), size))
            fits = [solve(self.whole, basis, self.options.method) for basis in bases]
            permuted = np.array([solve_all(self.permuted, basis, self.options.method)[1] for basis in bases])
            ranked += [self._subset(*each) for each in zip(bases, fits, permuted, strict=True)]
            if len(bases) > 1:
                r2 = np.array([fit.r2 for fit in fits])
                gaps.append(self._gap(bases, r2, permuted))
        # A task of weight 0 adds nothing but rounding: the smaller subset stands first.
        return sorted(ranked, key=lambda subset: (-round(subset.r2, 12), len(subset.tasks))), gaps

    def _gap(self, bases: Sequence[tuple[int, ...]], r2: NDArray[Any], permuted: NDArray[Any]) -> Gap:
        best = int(np.argmax(r2))
        drawn = np.array([self._draws(basis)[1] for basis in bases])
        gap = float(r2[best] - np.median(r2))
        stands = permuted.max(axis=0) - np.median(permuted, axis=0) if permuted.size else np.empty(0)
        return Gap(
            len(bases[best]),
            self._names(bases[best]),
            self.bootstrap.interval(gap, drawn[best] - np.median(drawn, axis=0)),
            float(np.mean(drawn.argmax(axis=0) == best)) if drawn.size else float("nan"),
            _p_value(gap, stands) if stands.size else float("nan"),
        )


def _one_standard_error(errors: NDArray[Any]) -> int:
    """The first candidate whose mean error over the folds is within one standard error of the least."""
    mean = errors.mean(axis=1)
    best = int(np.argmin(mean))
    spread = errors[best].std(ddof=1) / np.sqrt(errors.shape[1])
    return int(np.argmax(mean <= mean[best] + spread))


def _null(r2: float, permuted: NDArray[Any]) -> Null | None:
    if not permuted.size:
        return None
    return Null(float(permuted.mean()), float(np.quantile(permuted, 0.95)), _p_value(r2, permuted))


def _p_value(value: float, permuted: NDArray[Any]) -> float:
    # The target is one of its own permutations; rounding must not tell it from an equal one.
    return float((1 + (permuted >= value - 1e-12).sum()) / (1 + permuted.size))
