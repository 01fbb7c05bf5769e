"""Numbers with intervals, as ``results.json`` holds them: ``{"value", "low", "high"}``, null where there is none."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from pydantic.dataclasses import dataclass

from headprint.analysis.intervals import mean_interval
from headprint.study.records import STRICT


@dataclass(frozen=True, config=STRICT)
class Estimate:
    """A number and the ends of its 95% interval.

    Attributes:
        value: The number; None if there is none.
        low: Lower end; None without an interval.
        high: Upper end.
    """

    value: float | None
    low: float | None = None
    high: float | None = None


Number: TypeAlias = Estimate | float | None
"""A number with or without an interval; None where there is none."""

NOTHING = Estimate(None)


def value_of(number: Number) -> float | None:
    """The number without its interval; None where there is none."""
    value = number.value if isinstance(number, Estimate) else number
    return None if value is None or not math.isfinite(value) else float(value)


def ends_of(number: Number) -> tuple[float, float] | None:
    """The ends of the interval, if there is one."""
    if not isinstance(number, Estimate):
        return None
    low, high = value_of(number.low), value_of(number.high)
    return None if low is None or high is None else (low, high)


def values_of(numbers: Iterable[Number]) -> list[float]:
    """The numbers that exist, without their intervals."""
    return [value for value in map(value_of, numbers) if value is not None]


def mean_of(values: Iterable[float], confidence: float = 0.95) -> Estimate:
    """Mean with Student's interval; of a single number only the number."""
    known = list(values)
    return Estimate(**mean_interval(known, confidence).to_dict()) if known else NOTHING


def average(estimates: Sequence[Estimate | None]) -> Estimate | None:
    """The mean over seeds with Student's interval; of a single seed its own estimate; None if a seed has none."""
    if any(each is None for each in estimates):
        return None
    return estimates[0] if len(estimates) == 1 else mean_of(values_of(estimates))


def difference(a: Number, b: Number) -> Estimate:
    """``a - b`` of two estimates with intervals of their own, taken as independent (the square-and-add method).

    Zou and Donner, *Construction of confidence limits about effect measures*, 2008. Of numbers that were
    measured on the same rows it is too wide rather than too narrow.
    """
    x, y = value_of(a), value_of(b)
    if x is None or y is None:
        return NOTHING
    ends_x, ends_y = ends_of(a), ends_of(b)
    if ends_x is None or ends_y is None:
        return Estimate(x - y)
    return Estimate(
        x - y,
        x - y - math.hypot(x - ends_x[0], ends_y[1] - y),
        x - y + math.hypot(ends_x[1] - x, y - ends_y[0]),
    )


def log_of(number: Number) -> Estimate:
    """The natural logarithm of a positive number and of the ends of its interval."""
    value, ends = value_of(number), ends_of(number)
    if value is None or value <= 0:
        return NOTHING
    if ends is None or ends[0] <= 0:
        return Estimate(math.log(value))
    return Estimate(math.log(value), *map(math.log, ends))


def log_ratio(a: Sequence[float], b: Sequence[float]) -> Estimate:
    """``ln(mean(a) / mean(b))`` of numbers that are paired, with Student's interval by the delta method.

    Args:
        a: Positive in the mean, such as the losses of one model.
        b: Those of another on the same rows.
    """
    mean_a, mean_b = (sum(each) / len(each) for each in (a, b))
    if mean_a <= 0 or mean_b <= 0:
        return NOTHING
    ratio = math.log(mean_a / mean_b)
    spread = mean_of(x / mean_a - y / mean_b for x, y in zip(a, b, strict=True))
    ends = ends_of(spread)
    return Estimate(ratio) if ends is None else Estimate(ratio, ratio + ends[0], ratio + ends[1])


def number(value: float | None, digits: int | None = 2, *, percent: bool = False, signed: bool = False) -> str:
    """Write a number for people: ``0.42``, ``−3.1``, ``12.0 %``; a dash where there is none.

    Args:
        value: The number.
        digits: After the point; of a percentage two fewer, but at least one; None: three significant ones.
        percent: Write a share in percent.
        signed: Write a plus, too.
    """
    if value is None:
        return "–"
    plus = "+" if signed else ""
    if percent:
        text = f"{100 * value:{plus},.{max((digits or 0) - 2, 1)}f} %"
    else:
        text = f"{value:{plus}.3g}" if digits is None else f"{value:{plus},.{digits}f}"
    return text.replace("-", "−")


def written(of: Number, digits: int | None = 2, *, percent: bool = False, signed: bool = False) -> str:
    """Write a number with its interval for people: ``0.42 [0.38, 0.46]``."""
    text = number(value_of(of), digits, percent=percent, signed=signed)
    ends = ends_of(of)
    if ends is None:
        return text
    low, high = (number(end, digits, percent=percent, signed=signed).removesuffix(" %") for end in ends)
    return f"{text} [{low}, {high}]"
