"""A complex task as a combination of basic tasks: its change (arXiv 2409.15820, section 4), or its mean head gradient.

    ΔAP_target = Σ_i α_i ΔAP_basic_i + ε          over the heads, by least squares

    result = decompose((before, after), {"math": (b, a), "code": (b, a)}, subsets=True)
    result = decompose(target, {"math": math, "code": code}, by="gradients")      # sets before training, with sketches
    result.weights["math"], result.r2, result.null.p_value

A good fit alone says little: the changes of all tasks share a profile over depth, and two dense
positive vectors fit each other anyway. So beside each R² stand the R² on heads that were held out,
the R² of a target whose heads were permuted, and how far the best basis stands above the median one.
By gradients there is a stricter null as well: basic tasks whose rows were shuffled among them.

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
from headprint.analysis.decomposition.changes import Change, of_changes
from headprint.analysis.decomposition.gradients import of_gradients
from headprint.analysis.decomposition.problem import Problem
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
    Discovery,
    Gap,
    Mixture,
    Null,
    Step,
    Subset,
)
from headprint.analysis.decomposition.shares import MixingProblem, cross_validated_penalty, shares_at
from headprint.analysis.intervals import Interval
from headprint.base.errors import InputError
from headprint.base.options import DecompositionOptions, from_keywords, takes_options
from headprint.patterns import PatternSet

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MOST_RANKED", "decompose", "discover"]

MOST_RANKED = 10
"""Basic tasks whose subsets are all fitted, at most."""
_R2 = (-np.inf, 1.0)


@takes_options(DecompositionOptions)
def decompose(
    target: Change | PatternSet,
    basics: Mapping[str, Change | PatternSet],
    *,
    name: str = "target",
    subsets: bool = False,
    bootstrap: Bootstrap | None = None,
    options: DecompositionOptions | None = None,
    **fields: Any,
) -> Decomposition:
    """Fit a target's change, or its mean head gradient, by those of basic tasks.

    Args:
        target: ``(before, after)``, two pattern sets of the same examples or two patterns, or a change; by gradients
            one pattern set with sketches (of a pair, that before counts).
        basics: K of the same by task name.
        name: Of the target.
        subsets: Fit every subset of the basic tasks, too (10 tasks at most).
        bootstrap: How the intervals over examples are made. Of changes, draws x (K + 1) x L x H x 8 bytes are held; of
            gradients, all sketches and the inner products of all rows (rows² x 8 bytes).
        options: All of the following in one object; keyword arguments take precedence over it.
        {options}

    Raises:
        InputError: Shapes or models before training differ, there are too many basic tasks or none, or a task
            cannot be read as the options say.
    """
    chosen, bootstrap = from_keywords(DecompositionOptions, options, fields), bootstrap or Bootstrap()
    if subsets and len(basics) > MOST_RANKED:
        raise InputError(
            f"{len(basics)} basic tasks have {2 ** len(basics) - 1:,} subsets; {MOST_RANKED} tasks are ranked at "
            "most: use discover"
        )
    return _Work(_prepare(target, basics, name, chosen, bootstrap), chosen, bootstrap).decomposition(subsets)


@takes_options(DecompositionOptions)
def discover(
    target: Change | PatternSet,
    catalogue: Mapping[str, Change | PatternSet],
    *,
    name: str = "target",
    most: int = 8,
    bootstrap: Bootstrap | None = None,
    options: DecompositionOptions | None = None,
    **fields: Any,
) -> Discovery:
    """Find a sparse basis in a whole catalogue of tasks.

    The basis grows by the task that lowers the residual most, all weights being fitted anew
    (orthogonal matching pursuit). Its size is the smallest whose error on held-out heads is within
    one standard error of the smallest error (Breiman et al. 1984), the basis being grown anew
    without the held-out heads; a constant (of gradients, 0) competes as the basis of size 0.

    Args:
        target: As :func:`decompose`.
        catalogue: K changes or pattern sets by task name.
        name: Of the target.
        most: The largest basis tried.
        bootstrap: How the intervals over examples are made.
        options: All of the following in one object; keyword arguments take precedence over it.
        {options}

    Raises:
        InputError: As :func:`decompose`.
    """
    chosen, bootstrap = from_keywords(DecompositionOptions, options, fields), bootstrap or Bootstrap()
    if most < 1:
        raise InputError(f"the largest basis has {most} tasks: choose 1 or more")
    problem = _prepare(target, catalogue, name, chosen, bootstrap)
    return _Work(problem, chosen, bootstrap).discovery(min(most, len(problem.tasks)))


def _prepare(
    target: Change | PatternSet,
    basics: Mapping[str, Change | PatternSet],
    name: str,
    options: DecompositionOptions,
    bootstrap: Bootstrap,
) -> Problem:
    if not basics:
        raise InputError("there is no basic task to decompose into: give at least one")
    if name in basics:
        raise InputError(f"the target {name!r} is among the basic tasks, too: leave it out there")
    read = {"levels": of_changes, "gradients": of_gradients}[options.by]
    problem = read({name: target, **basics}, options, bootstrap)
    if len(basics) >= len(problem.layers):
        raise InputError(
            f"{len(basics)} basic tasks for {len(problem.layers)} heads: a fit wants more heads than tasks; name "
            "fewer tasks"
        )
    return problem


class _Work:
    """One problem and all that is computed of it more than once."""

    def __init__(self, problem: Problem, options: DecompositionOptions, bootstrap: Bootstrap) -> None:
        self.problem, self.options, self.bootstrap = problem, options, bootstrap
        self.parts = [
            np.repeat(part, len(problem.y) // len(problem.layers))
            for part in folds(problem.layers, options.hold_out, options.folds, options.seed)
        ]
        if len(self.parts) < 2:
            raise InputError("leaving out one layer at a time needs two layers or more: hold out heads")
        self.whole = self._reduce(problem.x, problem.y)
        self.drawn = problem.drawn
        targets = shuffled(problem.y, problem.layers, options.permutations, options.permute_within, options.seed)
        self.permuted = self._reduce(np.broadcast_to(problem.x, (options.permutations, *problem.x.shape)), targets)

    def decomposition(self, subsets: bool) -> Decomposition:
        problem, options = self.problem, self.options
        every = range(len(problem.tasks))
        fit = solve(self.whole, every, options.method)
        weights, r2, constant = self._draws(every)
        interval, signed = self.bootstrap.interval, options.method == "lstsq"
        full = self._subset(every, fit)
        by_chance = problem.random_tasks and solve_all(problem.random_tasks, every, options.method)[1]
        ranked, gaps = self._ranking() if subsets else (None, None)
        return Decomposition(
            target=problem.names[0],
            weights=self._weights(fit.weights, weights, (-np.inf if signed else 0.0, np.inf)),
            shares=None if signed else self._shares(_shares(fit.weights), _shares(weights)),
            mixture=self._mixture(problem.mixing) if problem.mixing else None,
            intercept=interval(fit.intercept, constant) if options.intercept else Interval(0.0),
            r2=interval(fit.r2, r2, _R2),
            adjusted=full.adjusted,
            cross_validated=full.cross_validated,
            null=full.null,
            random_tasks=None if by_chance is None else _null(fit.r2, by_chance),
            subsets=ranked,
            gaps=gaps,
            heads=len(problem.layers),
            examples=problem.examples,
            mirrors_before=problem.mirrors_before,
            intervals=self.drawn is not None,
            options=options,
        )

    def _mixture(self, problem: MixingProblem) -> Mixture:
        penalty = cross_validated_penalty(problem)
        draws = np.array([shares_at(each, penalty) for each in problem.drawn]).reshape(-1, len(self.problem.tasks))
        return Mixture(self._shares(shares_at(problem.whole, penalty), draws), penalty)

    def _shares(self, values: NDArray[Any], draws: NDArray[Any]) -> dict[str, Interval]:
        return self._weights(values, draws, (0.0, 1.0))

    def _weights(self, values: NDArray[Any], draws: NDArray[Any], within: tuple[float, float]) -> dict[str, Interval]:
        """Intervals by task of weights (K,) and their draws (B, K)."""
        found = {}
        for task, value, drawn in zip(self.problem.tasks, values, draws.T, strict=True):
            # At the bound of 0 nothing can be reflected: there the percentiles are the interval.
            options = self.bootstrap if value > within[0] else replace(self.bootstrap, method="percentile")
            found[task] = options.interval(value, drawn, within)
        return found

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
        return Discovery(problem.names[0], steps, self._names(chosen), fit, null, frequency)

    def _narrowed(self, chosen: Sequence[int]) -> _Work:
        return _Work(self.problem.narrowed(chosen), self.options, self.bootstrap)

    def _reduce(self, x: NDArray[Any], y: NDArray[Any]) -> Reduced:
        return reduce(x, y, intercept=self.options.intercept, centered=self.problem.centered)

    def _held_out(self, choose: Any) -> NDArray[np.float64]:
        problem, intercept = self.problem, self.options.intercept
        return held_out(problem.x, problem.y, self.parts, choose, intercept=intercept, centered=problem.centered)

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


def _shares(weights: NDArray[Any]) -> NDArray[np.float64]:
    """α_i / Σ α, (..., K); NaN where all are 0."""
    total = weights.sum(axis=-1, keepdims=True)
    shares: NDArray[np.float64] = np.divide(weights, total, out=np.full(weights.shape, np.nan), where=total > 0)
    return shares


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
