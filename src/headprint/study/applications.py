"""Whether the paper's two applications help: arms of training compared seed by seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

from headprint.study.checks import Check, Finding, judged, listed
from headprint.study.estimates import Estimate, difference, mean_of, number, value_of, values_of, written

Measure: TypeAlias = Literal["accuracy", "loss"]
Rows: TypeAlias = Sequence[Mapping[str, Any]]

_SIMILARITIES = ("correlation", "cosine")


def gap(rows: Rows, arm: str, other: str, measure: Measure) -> Estimate:
    """How much more of a measure one arm has than another, over the seeds that have both.

    Args:
        rows: Of one model and target: ``{"arm", "seed", "accuracy", "loss"}``.
        arm: The one.
        other: The other.
        measure: ``"accuracy"`` or ``"loss"``.

    Returns:
        Mean and Student's interval of the differences; of one seed, that of the same test rows (``over``) where it is
        known, or else the difference of two estimates over examples.
    """
    found = {name: {row["seed"]: row.get(measure) for row in rows if row["arm"] == name} for name in (arm, other)}
    pairs = [(found[arm][seed], found[other][seed]) for seed in found[arm] if seed in found[other]]
    pairs = [(a, b) for a, b in pairs if value_of(a) is not None and value_of(b) is not None]
    if len(pairs) == 1:
        own = next((row.get("over") or {} for row in rows if row["arm"] == arm), {})
        return (own.get(other) or {}).get(measure) or difference(*pairs[0])
    return mean_of(value_of(a) - value_of(b) for a, b in pairs)  # type: ignore[operator]


def is_pattern_method(arm: str) -> bool:
    """Whether an arm of Table 3 selects by patterns (``raw-correlation``, ``change-cosine``, ...)."""
    return arm.endswith(_SIMILARITIES)


def mixture(exhibits: Mapping[str, Any]) -> Finding:
    """Table 2: the pattern mixture first against target rows only and against a random mixture first."""
    table = exhibits.get("table2") or {}
    paper = "; ".join(
        "{model}, MathBench: {target:.1f} → {mixture:.1f} % (random {random:.1f} %)".format(**row)
        for row in table.get("paper") or []
    )
    checks, told, numbers = [], [], []
    for target, rows in _targets(table).items():
        known = [
            each
            for label, other in (("target rows only", "target"), ("a random mixture first", "random"))
            if (each := _compared(rows, target, "the pattern mixture first", "mixture", label, other))
        ]
        if not known:
            continue
        checks += [check for check, _ in known]
        told.append(f"on {target} {' and '.join(text for _, text in known)}")
        numbers.append(f"{target}: {_line(rows, ('base', 'target', 'random', 'mixture'))}")
        control = _compared(rows, target, "the pattern mixture first", "mixture", "its shares permuted", "permuted")
        if control:  # our own control, no claim of the paper's: told, and not judged
            told[-1] += f" (and {control[1]} over the tasks)"
    return _finding(paper or None, checks, "Training on the pattern mixture first changes, ", told, "; ".join(numbers))


def selection(exhibits: Mapping[str, Any]) -> Finding:
    """Table 3: every method of selecting by patterns against random rows of the pool."""
    table = exhibits.get("table3") or {}
    checks, told, numbers = [], [], []
    for target, rows in _targets(table).items():
        methods = [arm for arm in dict.fromkeys(row["arm"] for row in rows) if is_pattern_method(arm)]
        known = {
            method: each
            for method in methods
            if (each := _compared(rows, target, method, method, "random rows", "random"))
        }
        if not known:
            continue
        checks += [check for check, _ in known.values()]
        better = [method for method, (check, _) in known.items() if check.holds]
        worse = [method for method, (check, _) in known.items() if check.holds is False]
        counts = f"on {target} {len(better)} of {len(known)} pattern methods beat random rows"
        counts += f" ({listed(better)})" if better else ""
        counts += f", {listed(worse)} did worse" if worse else ""
        told.append(counts)
        numbers.append(f"{target}: {_line(rows, ('random', *known))}")
    return _finding(None, checks, "", told, "; ".join(numbers))


def _compared(rows: Rows, target: str, name: str, arm: str, label: str, other: str) -> tuple[Check, str] | None:
    """The check of one arm against another, and the measure that decides in words."""
    right, loss = gap(rows, arm, other, "accuracy"), gap(rows, arm, other, "loss")
    told = []
    if right["value"] is not None:
        told.append((f"accuracy by {_points(right)}", judged(right)))
    if loss["value"] is not None:
        told.append((f"loss by {written(loss, signed=True)} nats", judged(loss, -1)))
    if not told:
        return None
    # Accuracies that are the same in all seeds (of tasks that nobody solves) cannot tell.
    text, holds = told[-1] if right["value"] == 0 and _same(rows, arm, other) else told[0]
    return (
        Check(f"{target}: {name} against {label} changes {', '.join(text for text, _ in told)}", holds),
        f"{text} against {label}",
    )


def _same(rows: Rows, arm: str, other: str) -> bool:
    """Whether both arms have one and the same accuracy in all seeds."""
    return len(set(values_of(row.get("accuracy") for row in rows if row["arm"] in (arm, other)))) == 1


def _points(share: Estimate) -> str:
    return written(share, percent=True, signed=True).replace(" %", " points")


def _line(rows: Rows, arms: Sequence[str]) -> str:
    """Mean accuracies of some arms over seeds; losses if no accuracies tell the arms apart."""
    for measure, percent in (("accuracy", True), ("loss", False)):
        means = {
            arm: mean_of(values_of(row.get(measure) for row in rows if row["arm"] == arm))["value"] for arm in arms
        }
        known = {arm: mean for arm, mean in means.items() if mean is not None}
        if len(set(known.values())) > 1:
            return f"{measure} {', '.join(f'{arm} {number(mean, percent=percent)}' for arm, mean in known.items())}"
    return "no difference"


def _finding(paper: str | None, checks: list[Check], start: str, told: list[str], numbers: str) -> Finding:
    if not checks:
        return Finding(paper=paper)
    text = start + "; ".join(told)
    held, failed = (sum(check.holds is state for check in checks) for state in (True, False))
    counts = f" Of {len(checks)} comparisons {held} are clearly better and {failed} clearly worse."
    return Finding(paper, text[:1].upper() + text[1:] + "." + counts, numbers or None, checks)


def _targets(table: Mapping[str, Any]) -> dict[str, list[Mapping[str, Any]]]:
    """Rows by target, and by model where there are several."""
    rows = table.get("rows") or []
    several = len({row["model"] for row in rows}) > 1
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(f"{row['target']} ({row['model']})" if several else row["target"], []).append(row)
    return groups
