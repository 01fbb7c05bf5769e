r"""Is an answer right? One function for each way of telling, from a row and a model's output.

    exact    the same text, but for spaces, letter case and a final full stop
    final    the same final number or word: after the last "####" (GSM8K), or else the last number
    boxed    the same content of the last \boxed{...}, as the MATH data set compares them
    letter   the same option letter
    python   running the output's function gives the answer
    lab      the laboratory task's own check

What is right stands in the row's ``answer``, or else in its completion, which is read as an output is.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from headprint.base.errors import InputError

Judge: TypeAlias = Callable[[Mapping[str, Any], str], bool]
"""Whether a model's output (what follows the prompt, without special tokens) answers a row."""

_NUMBER = re.compile(r"[-+]?(?:\d+(?:,\d{3})*(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?(?:/\d+)?")
_FENCE = re.compile(r"```(?:python|py)?[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL | re.IGNORECASE)


def gold(row: Mapping[str, Any]) -> str:
    """The right answer as text: the row's ``answer``, or else its completion.

    Raises:
        InputError: The row has neither.
    """
    for name in ("answer", "completion", "messages"):
        value = row.get(name)
        if isinstance(value, list) and value:  # a conversation: what is said last
            value = value[-1].get("content")
        if value is not None:
            return str(value)
    raise InputError("no right answer; give the row an 'answer', or a completion")


def exact(row: Mapping[str, Any], output: str) -> bool:
    """The same text, but for spaces, letter case, Unicode form and a final full stop."""
    return _normalised(output) == _normalised(gold(row))


def final(row: Mapping[str, Any], output: str) -> bool:
    """The same final answer: what follows the last ``####`` (as in GSM8K), or else the last number."""
    said = final_answer(output)
    return said is not None and same_value(said, final_answer(gold(row)) or gold(row))


def boxed(row: Mapping[str, Any], output: str) -> bool:
    r"""The same content of the last ``\boxed{}``, compared as the MATH data set does."""
    said, right = last_boxed(output), gold(row)
    return said is not None and same_latex(said, last_boxed(right) or right)


def letter(row: Mapping[str, Any], output: str) -> bool:
    """The same option letter, of as many as the row has ``choices`` or ``options`` (A to E if it does not say)."""
    right, labels = _right_letter(row)
    return option_letter(output, labels) == right


def _right_letter(row: Mapping[str, Any]) -> tuple[str, list[str]]:
    """The letter that is right, and all that there are."""
    if listed := row.get("choices") or row.get("options"):
        labels = read_choices(listed)[1]
        return labels[right_choice(row)], labels
    labels = list("ABCDE")
    right = option_letter(gold(row), labels)
    if right is None:
        raise InputError(f"the answer {gold(row)!r} names none of the options {', '.join(labels)}")
    return right, labels


def python(row: Mapping[str, Any], output: str) -> bool:
    """Running the output's ``solution()`` gives the answer (:mod:`headprint.evaluation.sandbox.runner`).

    Without an ``answer``, the completion is run to know it.
    """
    from headprint.evaluation.sandbox import runner as sandbox

    right = row.get("answer")
    if right is None:
        known = sandbox.run(source_of(gold(row)))
        if known.error:
            raise InputError(f"the completion does not run ({known.error}: {known.message}); give the row an 'answer'")
        right = known.value
    found = sandbox.run(source_of(output))
    return found.error is None and same_value(found.value, right)


def lab(row: Mapping[str, Any], output: str) -> bool:
    """What the row's task of the laboratory says."""
    from headprint.lab import TASKS

    return TASKS[row["task"]].check(dict(row), output)


JUDGES: dict[str, Judge] = {f.__name__: f for f in (exact, final, boxed, letter, python, lab)}


def check_row(name: str, row: Mapping[str, Any]) -> None:
    """Refuse a row that a judge could not judge, before a model is asked.

    Raises:
        InputError: What the row lacks.
    """
    if name == "lab":
        from headprint.lab import TASKS

        if row.get("task") not in TASKS or "answer" not in row:
            raise InputError(f"not a row of the laboratory (its task is {row.get('task')!r}); give rows of lab:TASK")
    elif name == "letter":
        _right_letter(row)
    else:
        gold(row)


def _normalised(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).removesuffix(".")


def final_answer(text: str) -> str | None:
    """What follows the last ``####`` up to the end of its line, or else the last number; None without either."""
    before, mark, after = text.rpartition("####")
    if mark and after.strip():
        return after.strip().splitlines()[0].strip()
    numbers: list[str] = _NUMBER.findall(before if mark else text)
    return numbers[-1] if numbers else None


def same_value(said: Any, right: Any) -> bool:
    """Numbers to a relative 1e-6, however they are written (1,000, $5, 50%, 1/2); anything else as text or in parts."""
    if isinstance(said, list) and isinstance(right, list):
        return len(said) == len(right) and all(map(same_value, said, right))
    numbers = _number(said), _number(right)
    if None not in numbers:
        return math.isclose(*numbers, rel_tol=1e-6, abs_tol=1e-9)  # type: ignore[arg-type]
    return _normalised(str(said)) == _normalised(str(right))


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        if not isinstance(value, str):
            return float(value)
        over, slash, under = value.strip().strip("$€£%").rstrip(".").replace(",", "").partition("/")
        return float(over) / float(under) if slash else float(over)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None


def last_boxed(text: str) -> str | None:
    r"""The content of the last ``\boxed{...}`` or ``\fbox{...}``, braces balanced; None without one."""
    starts = [match.end() for match in re.finditer(r"\\(?:boxed|fbox)\s*", text)]
    if not starts:
        return None
    rest = text[starts[-1] :]
    if not rest.startswith("{"):  # \boxed 5
        return rest.split("$")[0].strip() or None
    depth = 0
    for at, character in enumerate(rest):
        depth += {"{": 1, "}": -1}.get(character, 0)
        if depth == 0:
            return rest[1:at]
    return None


_LATEX = (
    (r"\\!|\\ |\\,|\\;|\\left|\\right|\^\{?\\circ\}?|\\\$|\\%|[$%]", ""),
    (r"\\[dt]frac", r"\\frac"),
    (r"\\text\{ .*?\}$", ""),  # units behind a number
    (r"\\(?:text|mbox|mathrm)\{(.*?)\}", r"\1"),
    (r"^[a-zA-Z]\s*=", ""),  # k = 5
    (r"\s+", ""),
    (r"\\sqrt(\w)", r"\\sqrt{\1}"),
    (r"\\frac(\w)(\w)", r"\\frac{\1}{\2}"),
    (r"\\frac(\w)\{", r"\\frac{\1}{"),
    (r"\\frac(\{\w+\})(\w)", r"\\frac\1{\2}"),
    (r"^(-?\d+)/(\d+)$", r"\\frac{\1}{\2}"),
    (r"(?<!\d)\.(\d)", r"0.\1"),
    (r"(\d),(?=\d{3}(?!\d))", r"\1"),
    (r"\.$", ""),
)


def same_latex(said: str, right: str) -> bool:
    r"""Two formulas are the same once spacing, units, ``\dfrac``, ``\left`` and the like are brought to one form.

    After the rules of the MATH data set (https://github.com/hendrycks/math, ``math_equivalence.py``); and numbers
    are compared as numbers.
    """

    def plain(text: str) -> str:
        for pattern, to in _LATEX:
            text = re.sub(pattern, to, text.strip())
        return text

    said, right = plain(said), plain(right)
    return said == right or (None not in (_number(said), _number(right)) and same_value(said, right))


def read_choices(choices: Any) -> tuple[list[str], list[str]]:
    """Texts and labels of a row's choices: a list of texts (A, B, ...), or ``{"text": [...], "label": [...]}``.

    Raises:
        InputError: It is neither, or there are fewer than two.
    """
    if isinstance(choices, Mapping):
        texts, labels = choices.get("text"), choices.get("label")
    else:
        texts, labels = choices, None
    if not isinstance(texts, list) or len(texts) < 2 or not all(isinstance(text, str) for text in texts):
        raise InputError("'choices' wants to be a list of two texts or more")
    labels = list(labels) if labels else [chr(ord("A") + i) for i in range(len(texts))]
    if len(labels) != len(texts):
        raise InputError(f"{len(texts)} choices and {len(labels)} labels; they want one length")
    return texts, labels


def right_choice(row: Mapping[str, Any]) -> int:
    """Which of a row's choices is right: its ``answer`` is a label, a text, or a number counted from 0.

    Raises:
        InputError: It is none of these.
    """
    texts, labels = read_choices(row.get("choices") or row.get("options"))
    answer = row.get("answer")
    if isinstance(answer, int) and not isinstance(answer, bool) and 0 <= answer < len(texts):
        return answer
    said = gold(row).strip()
    stripped = [text.strip() for text in texts]
    for options in (labels, stripped):
        if said in options:
            return options.index(said)
    if answer is None and (found := option_letter(said, labels)):
        return labels.index(found)
    raise InputError(f"the answer {said!r} is none of the choices' labels ({', '.join(labels)}) or texts")


def option_letter(text: str, labels: list[str]) -> str | None:
    """The option that an output names: "The answer is B", or "B" or "(B)" at its beginning, or else its last.

    Args:
        text: An output.
        labels: The letters that there are.
    """
    label = f"({'|'.join(map(re.escape, labels))})"
    ends = r"(?=[)\].:,*}]|\s*$)"  # a capital A between words is mostly the article
    for pattern in (
        rf"(?i:answer|option|choice)(?i:\s+is)?\s*:?\s*[(\[*]*{label}(?![\w'])",
        rf"\A\s*[(\[*]*{label}{ends}",
        rf"(?<![\w'\\]){label}{ends}",
    ):
        if found := re.findall(pattern, text, re.MULTILINE):
            return str(found[-1])
    return None


def source_of(output: str) -> str:
    """The Python in an output: its first fenced block, or else all of it up to the end of its function.

    Models tend to go on after a function; what is not indented after its body, other than another
    definition or an import, is left out.
    """
    if fenced := _FENCE.search(output):
        return fenced[1]
    kept: list[str] = []
    inside = False
    for line in output.strip("\n").splitlines():
        starts = re.match(r"(?:def|import|from|class|@)\b|@|#", line)
        if inside and line.strip() and not line[0].isspace() and not starts:
            break
        inside = inside or line.startswith("def ")
        kept.append(line)
    return "\n".join(kept)
