"""Least squares of one pattern on others, over and over: every draw, every fold, every subset.

An orthogonal turn leaves least squares as it is, also the non-negative one. So the heads are turned
away once: of the QR factorisation of [X y], (P, K + 1), only the triangle R, (K + 1, K + 1), is kept
(:func:`reduce`), and each subset of columns is then solved in K + 1 rows instead of P
(:func:`solve`). With an intercept, X and y are centred first, which is the same fit.

R² of changes is measured against the best constant, with an intercept or without: explaining no more
than the mean over the heads is worth nothing. Without an intercept it can be negative. R² of head
gradients is measured against 0: their signs are those of random directions, and a mean over them has no meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.linalg import lstsq
from scipy.optimize import nnls

from headprint.base.options import HeldOut, PermuteWithin, RegressionMethod

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from headprint.base.shapes import Values


_BLOCK = 1 << 21  # numbers factorised at once: 16 MB


class Reduced(NamedTuple):
    """Some regressions, without their heads.

    Attributes:
        triangle: (..., M, K + 1) with the inner products of [X y], such as R of its QR factorisation.
        total: (...,) sum of squares of y, around its mean or around 0: what R² is measured against.
        means: (..., K + 1) what was taken off the columns of [X y]: their means, or 0.
    """

    triangle: Values
    total: Values
    means: Values

    def narrowed(self, chosen: Sequence[int]) -> Reduced:
        """Return the same regressions with some of the columns of X."""
        columns = [*chosen, -1]
        return Reduced(self.triangle[..., columns], self.total, self.means[..., columns])


class Solution(NamedTuple):
    """One fit.

    Attributes:
        weights: (K,); 0 for what is not in the subset.
        intercept: 0 if there is none.
        r2: 1 - residual / total sum of squares; NaN if y is constant.
    """

    weights: Values
    intercept: float
    r2: float


def reduce(x: Values, y: Values, *, intercept: bool, centered: bool = True) -> Reduced:
    """Turns the P heads of one or many regressions away.

    Args:
        x: (..., P, K), the basic patterns.
        y: (..., P), the target.
        intercept: Whether a constant is fitted, too.
        centered: Whether R² is measured against the best constant; else against 0.
    """
    many, (heads, columns) = y.shape[:-1], (x.shape[-2], x.shape[-1] + 1)
    x, y = x.reshape(-1, heads, columns - 1), y.reshape(-1, heads, 1)
    triangle, total = np.zeros((len(y), columns, columns)), np.empty(len(y))
    means = np.zeros((len(y), columns))
    size = max(1, _BLOCK // (heads * columns))
    for rows in (slice(start, start + size) for start in range(0, len(y), size)):
        block = np.concatenate([x[rows], y[rows]], axis=2)
        total[rows] = block[:, :, -1].var(axis=1) * heads if centered else (block[:, :, -1] ** 2).sum(axis=1)
        if intercept:
            means[rows] = block.mean(axis=1)
            block -= means[rows, None]
        r: Any = np.linalg.qr(block, mode="r")
        triangle[rows, : r.shape[1]] = r
    return Reduced(triangle.reshape(*many, columns, columns), total.reshape(many), means.reshape(*many, columns))


def reduce_products(products: Values) -> Reduced:
    """As :func:`reduce` without an intercept, uncentered, from inner products of the columns alone.

    Args:
        products: (..., K + 1, K + 1) of [X y].
    """
    values, vectors = np.linalg.eigh(products)
    triangle = np.sqrt(np.maximum(values, 0.0))[..., None] * np.swapaxes(vectors, -1, -2)
    return Reduced(triangle, products[..., -1, -1], np.zeros(products.shape[:-1]))


def solve(problem: Reduced, subset: Sequence[int], method: RegressionMethod) -> Solution:
    """Fits y by some of the columns of X.

    Args:
        problem: One regression, not many.
        subset: Which columns; none for the constant (or for 0 without an intercept).
        method: ``"lstsq"`` (:func:`scipy.linalg.lstsq`, weights of any sign; the shortest ones if
            columns depend on each other) or ``"nnls"`` (:func:`scipy.optimize.nnls`).
    """
    chosen = list(subset)
    left, right = problem.triangle[:, chosen], problem.triangle[:, -1]
    weights = np.zeros(problem.triangle.shape[-1] - 1)
    if chosen:
        # Brought to length 1, columns of very different size are fitted equally well.
        lengths = np.linalg.norm(left, axis=0)
        lengths[lengths == 0] = 1.0
        found = nnls(left / lengths, right)[0] if method == "nnls" else lstsq(left / lengths, right)[0]
        weights[chosen] = found / lengths
    residual = float(((left @ weights[chosen] - right) ** 2).sum())
    intercept = float(problem.means[-1] - problem.means[:-1] @ weights)
    # Centring leaves a constant y with crumbs, hence not "== 0".
    constant = problem.total <= 1e-24 * ((right**2).sum() + problem.means[-1] ** 2)
    return Solution(weights, intercept, float("nan") if constant else 1.0 - residual / float(problem.total))


def solve_all(
    problem: Reduced, subset: Sequence[int], method: RegressionMethod
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The weights (B, K) and R² (B,) of many regressions."""
    fits = [solve(Reduced(*each), subset, method) for each in zip(*problem, strict=True)]
    columns = problem.triangle.shape[-1] - 1
    return np.array([fit.weights for fit in fits]).reshape(-1, columns), np.array([fit.r2 for fit in fits])


def adjusted(r2: float, heads: int, columns: int, *, intercept: bool) -> float:
    """R² less what so many columns explain by chance; NaN if no degree of freedom is left."""
    free = heads - columns - intercept
    return 1.0 - (1.0 - r2) * (heads - 1) / free if free > 0 else float("nan")


def folds(layers: NDArray[np.int64], hold_out: HeldOut, count: int, seed: int) -> list[NDArray[np.bool_]]:
    """Masks (heads,) of the heads held out together.

    Args:
        layers: The layer of each head.
        hold_out: Random parts of the heads, or each layer in its turn.
        count: How many random parts, of equal size.
        seed: Of the random parts.
    """
    if hold_out == "layers":
        return [layers == layer for layer in np.unique(layers)]
    order = np.random.default_rng(seed).permutation(len(layers))
    return [np.isin(np.arange(len(layers)), part) for part in np.array_split(order, min(count, len(layers)))]


def held_out(
    x: Values,
    y: Values,
    parts: Sequence[NDArray[np.bool_]],
    choose: Callable[[Reduced], Sequence[Solution]],
    *,
    intercept: bool,
    centered: bool = True,
) -> Values:
    """Mean squared error of some candidates on heads that they were not fitted to.

    Args:
        x: (P, K).
        y: (P,).
        parts: F masks (P,) of what is held out together.
        choose: What is fitted to the other heads: C candidates, always as many.
        intercept: Whether a constant is fitted, too.
        centered: As :func:`reduce`.

    Returns:
        (1 + C, F): first that of the best constant, or of 0, then those of the candidates.
    """
    errors = []
    for part in parts:
        fits = choose(reduce(x[~part], y[~part], intercept=intercept, centered=centered))
        guesses = [
            y[~part].mean() if centered else 0.0,
            *(x[part] @ fit.weights + intercept * fit.intercept for fit in fits),
        ]
        errors.append([float(((y[part] - guess) ** 2).mean()) for guess in guesses])
    return np.array(errors).T


def cross_validated(errors: Values, parts: Sequence[NDArray[np.bool_]]) -> NDArray[np.float64]:
    """R² on held-out heads of each candidate of :func:`held_out`, (C,): 1 - its error / the constant's."""
    sums = errors @ np.array([part.sum() for part in parts])
    result: NDArray[np.float64] = np.where(sums[0] > 0, 1.0 - sums[1:] / max(sums[0], 1e-300), np.nan)
    return result


def shuffled(y: Values, layers: NDArray[np.int64], count: int, within: PermuteWithin, seed: int) -> Values:
    """``count`` copies (count, P) of a target with its heads permuted, each within its layer or over all layers.

    Args:
        y: (P,), P / heads numbers for each head.
        layers: (heads,) the layer of each head, in ascending order.
        count: How many copies.
        within: Among which heads.
        seed: Of the permutations.
    """
    rng = np.random.default_rng(seed)
    keys = rng.random((count, len(layers)))
    if within == "layer":
        keys += np.unique(layers, return_inverse=True)[1]  # heads stay in the order of their layers
    return y.reshape(len(layers), -1)[np.argsort(keys, axis=1)].reshape(count, len(y))


def forward(problem: Reduced, most: int, method: RegressionMethod) -> list[tuple[list[int], Solution]]:
    """Grows a basis greedily (orthogonal matching pursuit, with the weights of ``method``).

    Args:
        problem: One regression.
        most: How many columns at most.
        method: As :func:`solve`.

    Returns:
        ``most`` bases with their fits, of 1, 2, ... columns.
    """
    path: list[tuple[list[int], Solution]] = []
    chosen: list[int] = []
    for _ in range(most):
        rest = [k for k in range(problem.triangle.shape[-1] - 1) if k not in chosen]
        fits = [(solve(problem, [*chosen, k], method), k) for k in rest]
        best, k = max(fits, key=lambda fit: (fit[0].r2, -fit[1]))
        chosen = [*chosen, k]
        path.append((chosen, best))
    return path
