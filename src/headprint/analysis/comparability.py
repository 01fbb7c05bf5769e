"""Whether patterns may be compared, by what their provenance says of the model, the measure and the data.

Two tasks of one model, and one task before and after training, are fair comparisons; patterns of two unrelated
models are not. What a provenance does not say is not held against it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from headprint.base.errors import InputError
from headprint.patterns import reading_of

Provenance: TypeAlias = Mapping[str, Any]

_QUANTITY = ("placement", "loss", "objective")
_SETTINGS = (*_QUANTITY, "reading", "loss_on", "max_length", "overlong", "dtype", "compute_dtype", "batch_size")


def same_model(one: Provenance, other: Provenance) -> bool | None:
    """Whether two patterns are of the same model; None if either does not say.

    Of a difference or a ratio of patterns, the model before counts. It is the same model if the weights are equal to
    the bit, in two dtypes, or if one of the two is that of a LoRA training that has not begun, which changes nothing.
    """
    one, other = _before(one), _before(other)
    first, second = _model(one), _model(other)
    if not ("weights" in first and "weights" in second):
        return None
    if first["weights"] == second["weights"]:
        return True
    if _identity(one) != _identity(other):
        return False
    untrained = any(origin.get("step") == 0 and _model(origin).get("adapters") for origin in (one, other))
    return untrained or one.get("dtype") != other.get("dtype")


def same_data(one: Provenance, other: Provenance) -> bool | None:
    """Whether two patterns are of the same rows; None if either does not say."""
    first, second = one.get("data"), other.get("data")
    if not (isinstance(first, Mapping) and isinstance(second, Mapping) and "content" in first and "content" in second):
        return None
    return all(first.get(key) == second.get(key) for key in ("content", "limit"))


def check_comparable(patterns: Mapping[str, Provenance], *, one_model: bool) -> None:
    """Refuse patterns that cannot be compared.

    Args:
        patterns: Provenance by name, at least one.
        one_model: Whether all must be of the same model, such as those of several tasks before training.

    Raises:
        InputError: They measure different quantities, or are of different models.
    """
    names = list(patterns)
    for name in names[1:]:
        one, other = patterns[names[0]], patterns[name]
        pairs = {key: (one[key], other[key]) for key in _QUANTITY if key in one and key in other}
        pairs["reading"] = reading_of(one), reading_of(other)
        if differing := {key: pair for key, pair in pairs.items() if pair[0] != pair[1] and None not in pair}:
            values = ", ".join(f"{key} is {a!r} in one and {b!r} in the other" for key, (a, b) in differing.items())
            raise InputError(
                f"{names[0]} and {name} measure different quantities ({values}): extract both with the same settings"
            )
        if one_model and same_model(one, other) is False:
            raise InputError(
                f"{names[0]} and {name} are of different models ({_called(one)} and {_called(other)}): "
                "extract both with the same one"
            )


def doubts(before: Provenance, after: Provenance) -> list[str]:
    """Reasons why the difference of two patterns may not be due to training alone, or to the task alone."""
    found = []
    differing = [
        f"{name} ({before[name]} and {after[name]})"
        for name in _SETTINGS
        if name in before and name in after and before[name] != after[name]
    ]
    if differing:
        found.append(f"the settings differ: {', '.join(differing)}; extract both with the same")
    model, data = same_model(before, after), same_data(before, after)
    if (model, data) == (False, False):
        found.append("both the model and the data differ, so the change is not due to one of them alone")
    if (model, data) == (True, True) and not differing:
        found.append("the model's weights and the data are the same in both")
    return found


def _before(origin: Provenance) -> Provenance:
    """The provenance of the pattern that a change starts from; of a plain pattern, its own."""
    while "operation" in origin:  # after - before, or a change / before
        origin = [operand for operand in origin["operands"] if isinstance(operand, Mapping)][-1]
    return origin


def _model(origin: Provenance) -> Mapping[str, Any]:
    model = origin.get("model")
    return model if isinstance(model, Mapping) else {}


def _identity(origin: Provenance) -> list[Any]:
    """What tells models apart whose weights have different hashes."""
    model, step = _model(origin), origin.get("step")
    return [model.get("id"), model.get("revision"), step or 0, [] if step == 0 else model.get("adapters") or []]


def _called(origin: Provenance) -> str:
    origin = _before(origin)
    model = _model(origin)
    step = f" after {origin['step']} steps" if origin.get("step") else ""
    return f"{model.get('id', 'a model')}{step}, weights {str(model.get('weights'))[:8]}"
