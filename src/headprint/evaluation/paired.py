"""Two models' answers to the same rows, compared row by row.

What makes rows easy or hard is the same for both models, so it cancels in the differences: a paired comparison sees
smaller changes than two intervals beside each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from scipy.stats import binomtest

from headprint.analysis.intervals import Interval, mean_interval, wilson
from headprint.base.errors import InputError
from headprint.base.files import numbered_json_lines


@dataclass(frozen=True)
class PairedAnswers:
    """What changes from one model's answers to another's.

    Attributes:
        n: Rows that both answered.
        before: Share of right answers of the first (Wilson); None if the answers were not scored.
        after: Of the second; None likewise, as are the next four.
        change: After minus before, with Student's t interval over the rows' differences, as has ``loss``.
        gained: Rows that only the second has right.
        lost: Rows that only the first has right.
        p_value: Exact McNemar test: how likely as many of the changed rows go one way if either way is as likely.
        loss: Change of the mean loss in nats; None without losses.
    """

    n: int
    before: Interval | None
    after: Interval | None
    change: Interval | None
    gained: int | None
    lost: int | None
    p_value: float | None
    loss: Interval | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain types for JSON."""
        return {name: x.to_dict() if isinstance(x, Interval) else x for name, x in vars(self).items()}


class _Answer(NamedTuple):
    prompt: object
    right: bool | None
    loss: float | None


def compare_answers(before: str | Path, after: str | Path, *, confidence: float = 0.95) -> PairedAnswers:
    """Compare two files of answers row by row.

    Args:
        before: What ``headprint evaluate --out`` or :meth:`Evaluation.write` wrote, or a file of samples of
            lm-evaluation-harness (``--log_samples``), whose first metric has to be 0 or 1.
        after: Likewise, of the same rows.
        confidence: Of all intervals, between 0 and 1.

    Raises:
        InputError: A file cannot be read, or they are not of the same rows.
    """
    first, second = _read(before), _read(after)
    if odd := sorted(first.keys() ^ second.keys()):
        there, lacking = (before, after) if odd[0] in first else (after, before)
        raise InputError(
            f"{lacking} has no answer to the row {odd[0]!r} of {there} ({len(odd)} rows are in one file only): "
            "compare answers to the same rows"
        )
    for name, answer in first.items():
        if answer.prompt != second[name].prompt:
            raise InputError(f"the row {name!r} has another prompt in {after} than in {before}: compare the same rows")
    pairs = [(answer, second[name]) for name, answer in first.items()]
    right = [(a.right, b.right) for a, b in pairs if a.right is not None and b.right is not None]
    losses = [b.loss - a.loss for a, b in pairs if a.loss is not None and b.loss is not None]
    scored: dict[str, Any] = dict.fromkeys(("before", "after", "change", "gained", "lost", "p_value"))
    if right:
        gained, lost = (sum((a, b) == way for a, b in right) for way in ((False, True), (True, False)))
        scored = {
            "before": wilson(sum(a for a, _ in right), len(right), confidence),
            "after": wilson(sum(b for _, b in right), len(right), confidence),
            "change": mean_interval([float(b) - float(a) for a, b in right], confidence),
            "gained": gained,
            "lost": lost,
            "p_value": float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0,
        }
    loss = mean_interval(losses, confidence) if losses else None
    return PairedAnswers(len(pairs), **scored, loss=loss)


def _read(path: str | Path) -> dict[str, _Answer]:
    answers: dict[str, _Answer] = {}
    for number, line in numbered_json_lines(path):
        try:
            name, answer = _harness_sample(line) if "doc_id" in line else _own_answer(line)
        except (KeyError, TypeError, IndexError) as error:
            raise InputError(
                f"{path}:{number}: not an answer; give a file of `headprint evaluate --out`, or samples of "
                "lm-evaluation-harness (--log_samples)"
            ) from error
        if name in answers:
            raise InputError(f"{path}:{number}: a second answer to the row {name!r}; give each file one answer a row")
        answers[name] = answer
    if not answers:
        raise InputError(f"{path} holds no answers")
    return answers


def _own_answer(line: Mapping[str, Any]) -> tuple[str, _Answer]:
    return line["id"], _Answer(line["prompt"], line["right"], line["loss"])


def _harness_sample(line: Mapping[str, Any]) -> tuple[str, _Answer]:
    value = line[line["metrics"][0]]
    if value not in (0, 1):
        raise TypeError("a share, not right or wrong")
    return f"{line['doc_id']} {line.get('filter', '')}".strip(), _Answer(line["doc"], bool(value), None)
