"""One number per attention head: a pattern or a change, with its arithmetic and statistics."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import numpy as np

from headprint.base.errors import InputError
from headprint.base.options import CorrelationMethod, PatternKind
from headprint.patterns import statistics
from headprint.patterns.storage.pattern_file import load_pattern, save_pattern

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike, NDArray

    from headprint.base.shapes import HeadMatrix


ONE_ARCHITECTURE = "(layers, heads); only patterns of one architecture can be compared head by head"
"""Says why shapes must agree, after both of them in a message."""


class Head(NamedTuple):
    """One head and its value; layers and heads count from 0."""

    layer: int
    head: int
    value: float


@dataclass(frozen=True, eq=False, repr=False)
class Pattern:
    """One number per attention head: an activation pattern (the paper's AP, Eq. 2) or its change.

    A difference of patterns is of kind ``"change"``; a pattern plus or minus a change is a pattern
    again; whatever else has a change in it is a change. Arithmetic takes patterns of the same shape
    and plain numbers, works in float64 and rounds to float32. Division by 0 gives NaN: a relative
    change is unknown where nothing was there before. The operands' provenances are kept.

    Attributes:
        values: (L, H) float32, read-only.
        provenance: Where it comes from (JSON-able).
        kind: ``"pattern"`` or ``"change"``.

    Raises:
        InputError: The values are not a matrix, or if shapes differ in arithmetic.
    """

    values: HeadMatrix
    provenance: dict[str, Any] = field(default_factory=dict)
    kind: PatternKind = "pattern"

    __array_priority__ = 1000  # so that np.float64(2) * pattern is a Pattern

    def __post_init__(self) -> None:
        values = np.array(self.values, dtype=np.float32)
        if values.ndim != 2:
            raise InputError(f"a pattern has the shape (layers, heads), not {values.shape}")
        if self.kind not in get_args(PatternKind):
            raise InputError(f"unknown kind {self.kind!r}: choose from {', '.join(get_args(PatternKind))}")
        values.setflags(write=False)
        object.__setattr__(self, "values", values)

    @property
    def shape(self) -> tuple[int, int]:
        """(L, H)."""
        layers, heads = self.values.shape
        return layers, heads

    def __repr__(self) -> str:
        largest = [f", largest {x:.3g} at layer {layer} head {h}" for layer, h, x in self.top(1, by="absolute")]
        return "Pattern({}, {} layers x {} heads{})".format(self.kind, *self.shape, *largest or [""])

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.values, dtype=dtype, copy=copy)

    def __add__(self, other: Pattern | float) -> Pattern:
        return self._combine("+", operator.add, other)

    def __sub__(self, other: Pattern | float) -> Pattern:
        return self._combine("-", operator.sub, other)

    def __mul__(self, other: Pattern | float) -> Pattern:
        return self._combine("*", operator.mul, other)

    def __truediv__(self, other: Pattern | float) -> Pattern:
        return self._combine("/", statistics.ratio, other)

    __radd__ = __add__
    __rmul__ = __mul__

    def _combine(self, symbol: str, function: Callable[[Any, Any], Any], other: Pattern | float) -> Pattern:
        right: Any
        origin: dict[str, Any] | float
        if isinstance(other, Pattern):
            self._check_shape(other)
            right, origin = other.values.astype(np.float64), other.provenance
            is_change = "change" in (self.kind, other.kind)
            if symbol in "+-":  # patterns are points, and changes the steps between them
                is_change = function(self.kind == "pattern", int(other.kind == "pattern")) <= 0
        elif isinstance(other, int | float | np.integer | np.floating):
            right, origin, is_change = float(other), float(other), self.kind == "change"
        else:
            return NotImplemented
        with np.errstate(over="ignore"):
            values = function(self.values.astype(np.float64), right).astype(np.float32)
        provenance = {"operation": symbol, "operands": [self.provenance, origin]}
        return Pattern(values, provenance, "change" if is_change else "pattern")

    def _check_shape(self, other: Pattern) -> None:
        if self.shape != other.shape:
            raise InputError(f"shapes differ: {self.shape} and {other.shape} {ONE_ARCHITECTURE}")

    def gini(self) -> float:
        """Return the Gini coefficient over the heads; see :func:`headprint.patterns.statistics.gini`.

        Raises:
            InputError: For a change, whose values have signs.
        """
        if self.kind == "change":
            raise InputError("a change has no Gini coefficient: take those of the patterns before and after")
        return statistics.gini(self.values)

    def cv(self) -> float:
        """Return the coefficient of variation; see :func:`headprint.patterns.statistics.coefficient_of_variation`."""
        return statistics.coefficient_of_variation(self.values)

    def kurtosis(self) -> float:
        """Return the excess kurtosis; see :func:`headprint.patterns.statistics.kurtosis`."""
        return statistics.kurtosis(self.values)

    def correlation(self, other: Pattern, method: CorrelationMethod = "pearson") -> float:
        """Return the correlation with another pattern; see :func:`headprint.patterns.statistics.correlation`."""
        self._check_shape(other)
        return statistics.correlation(self.values, other.values, method=method)

    def mse(self, other: Pattern) -> float:
        """Return the mean squared difference from another pattern; see :func:`headprint.patterns.statistics.mse`."""
        self._check_shape(other)
        return statistics.mse(self.values, other.values)

    def top(self, k: int, *, by: Literal["value", "absolute"] = "value") -> list[Head]:
        """Return the k largest heads, largest first; ties in order of layer and head; NaN never.

        Args:
            k: How many; all of them if there are fewer.
            by: Order by the signed value or (of a change) by its size; what is returned is signed.

        Raises:
            InputError: K is less than 1 or ``by`` is unknown.
        """
        if k < 1:
            raise InputError(f"top takes a positive number of heads, not {k}")
        if by not in ("value", "absolute"):
            raise InputError(f"unknown order {by!r}: choose from value, absolute")
        flat = self.values.ravel()
        order = np.argsort(-(np.abs(flat) if by == "absolute" else flat), kind="stable")  # NaN last
        known = order[~np.isnan(flat[order])][:k]
        return [Head(*divmod(int(i), self.shape[1]), float(flat[i])) for i in known]

    def save(self, path: str | Path) -> None:
        """Write one safetensors file with JSON metadata; it takes its name only when it is whole.

        Raises:
            InputError: The file cannot be written there.
        """
        save_pattern(path, self.values, kind=self.kind, provenance=self.provenance)

    @classmethod
    def load(cls, path: str | Path) -> Pattern:
        """Read what :meth:`save` wrote.

        Raises:
            InputError: The file is missing, broken, or not a pattern.
        """
        values, kind, provenance = load_pattern(path)
        return cls(values, provenance, kind)


def shared_heads(*patterns: ArrayLike) -> NDArray[np.bool_]:
    """Find the heads that have a number in all of some patterns or changes.

    Args:
        patterns: (..., L, H) arrays.

    Returns:
        (L, H), False where one of them is NaN.

    Raises:
        InputError: Nothing is left, shapes differ, or an entry is infinite.
    """
    shapes = {np.shape(pattern)[-2:] for pattern in patterns}
    if len(shapes) > 1:
        raise InputError(f"shapes differ: {' and '.join(map(str, sorted(shapes)))} {ONE_ARCHITECTURE}")
    flat = np.concatenate([np.reshape(pattern, (-1, *np.shape(pattern)[-2:])) for pattern in patterns])
    if np.isinf(flat).any():
        raise InputError("there are infinite levels or changes: the run that made them overflowed")
    mask: NDArray[np.bool_] = ~np.isnan(flat).any(axis=0)
    if not mask.any():
        raise InputError("no head has a number in all of these patterns: every entry is NaN in one or another")
    return mask
