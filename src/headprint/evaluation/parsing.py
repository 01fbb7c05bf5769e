"""Read rows and outputs: what a row asks and expects, and the answer that an output gives."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping
from typing import Any, TypeAlias

from headprint.base.errors import InputError

Prompt: TypeAlias = str | list[dict[str, Any]]
"""A text, or the messages of a conversation."""

_NUMBER = re.compile(r"[-+]?(?:\d+(?:,\d{3})*(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?(?:/\d+)?")
_FENCE = re.compile(r"```(?:python|py)?[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL | re.IGNORECASE)


def prompt_of(row: Mapping[str, Any]) -> Prompt:
    """Return what a row asks: its ``prompt``, or its ``messages`` without the assistant's last one.

    Raises:
        InputError: The row has neither.
    """
    prompt = row.get("prompt")
    messages = row.get("messages")
    if prompt is None and isinstance(messages, list) and messages:
        answered = isinstance(messages[-1], Mapping) and messages[-1].get("role") == "assistant"
        prompt = messages[:-1] if answered else messages
    if isinstance(prompt, str) or (isinstance(prompt, list) and prompt):
        return prompt
    found = ", ".join(str(name) for name, value in row.items() if value is not None) or "nothing"
    raise InputError(f"nothing to answer (found: {found}); give each row a prompt, or messages")


def expected_answer(row: Mapping[str, Any]) -> str:
    """Return the right answer as text: the row's ``answer``, or else its completion.

    Raises:
        InputError: The row has neither.
    """
    for name in ("answer", "completion", "messages"):
        value = row.get(name)
        if isinstance(value, list) and value and isinstance(value[-1], Mapping):  # a conversation: its last message
            value = value[-1].get("content")
        if value is not None:
            return str(value)
    raise InputError("no right answer; give the row an 'answer', or a completion")


def normalized(text: str) -> str:
    """Return a text without differences of spacing, letter case, Unicode form and a final full stop."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).removesuffix(".")


def final_answer(text: str) -> str | None:
    """Return what follows the last ``####`` on its line, or else the last number; None without either."""
    before, mark, after = text.rpartition("####")
    if mark and after.strip():
        return after.strip().splitlines()[0].strip()
    numbers: list[str] = _NUMBER.findall(before if mark else text)
    return numbers[-1] if numbers else None


def same_value(said: Any, right: Any) -> bool:
    """Compare two answers.

    Numbers are compared to a relative 1e-6, however they are written (1,000, $5, 50%, 1/2), lists item by item, and
    anything else as text.
    """
    if isinstance(said, list) and isinstance(right, list):
        return len(said) == len(right) and all(map(same_value, said, right))
    numbers = _number(said), _number(right)
    if None not in numbers:
        return math.isclose(*numbers, rel_tol=1e-6, abs_tol=1e-9)  # type: ignore[arg-type]
    return normalized(str(said)) == normalized(str(right))


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
    r"""Return the content of the last ``\boxed{...}`` or ``\fbox{...}``, braces balanced; None without one."""
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
    r"""Compare two formulas with spacing, units, ``\dfrac``, ``\left`` and the like normalized.

    Follows the rules of the MATH data set (https://github.com/hendrycks/math, ``math_equivalence.py``), and compares
    numbers as numbers.
    """

    def plain(text: str) -> str:
        for pattern, to in _LATEX:
            text = re.sub(pattern, to, text.strip())
        return text

    said, right = plain(said), plain(right)
    return said == right or (None not in (_number(said), _number(right)) and same_value(said, right))


def read_choices(choices: Any) -> tuple[list[str], list[str]]:
    """Return the texts and labels of a row's choices.

    Args:
        choices: A list of texts, labelled A, B, ..., or ``{"text": [...], "label": [...]}`` as in ARC.

    Raises:
        InputError: It is neither, or there are fewer than two.
    """
    if isinstance(choices, Mapping):
        texts, labels = choices.get("text"), choices.get("label")
    else:
        texts, labels = choices, None
    if not isinstance(texts, list) or len(texts) < 2 or not all(isinstance(text, str) for text in texts):
        raise InputError("'choices' must be a list of at least two texts")
    labels = list(labels) if labels else [chr(ord("A") + i) for i in range(len(texts))]
    if len(labels) != len(texts):
        raise InputError(f"{len(texts)} choices and {len(labels)} labels; give each choice one label")
    return texts, labels


def choices_of(row: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Return the texts and labels of a row's ``choices`` (or ``options``).

    Raises:
        InputError: The row has none, or they are not a list of texts.
    """
    if not (listed := row.get("choices") or row.get("options")):
        raise InputError("no 'choices'; give the row a list of texts to choose from")
    return read_choices(listed)


def right_choice(row: Mapping[str, Any]) -> int:
    """Return the index of the right choice: the row's ``answer`` is a label, a text, or an index from 0.

    Raises:
        InputError: It is none of these, or the row has no choices.
    """
    texts, labels = choices_of(row)
    answer = row.get("answer")
    if isinstance(answer, int) and not isinstance(answer, bool) and 0 <= answer < len(texts):
        return answer
    said = expected_answer(row).strip()
    stripped = [text.strip() for text in texts]
    for options in (labels, stripped):
        if said in options:
            return options.index(said)
    if answer is None and (found := option_letter(said, labels)):
        return labels.index(found)
    raise InputError(f"the answer {said!r} is none of the choices' labels ({', '.join(labels)}) or texts")


def right_letter(row: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Return the letter of a row's right option, and the letters of all its options (A to E if it lists none).

    Raises:
        InputError: The right answer is not one of the options.
    """
    if row.get("choices") or row.get("options"):
        _, labels = choices_of(row)
        return labels[right_choice(row)], labels
    labels = list("ABCDE")
    expected = expected_answer(row)
    if (right := option_letter(expected, labels)) is None:
        raise InputError(f"the answer {expected!r} names none of the options {', '.join(labels)}")
    return right, labels


def option_letter(text: str, labels: list[str]) -> str | None:
    """Return the option that an output names; None if it names none.

    That is the last "The answer is B", or else a "B" or "(B)" at the beginning, or else the last one anywhere.

    Args:
        text: An output.
        labels: The letters to choose from.
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
    """Return the Python code in an output: its first fenced block, or else all of it up to the end of its function.

    Models tend to keep writing after a function; what follows its body without indentation, other than another
    definition or an import, is left out.
    """
    if fenced := _FENCE.search(output):
        return fenced[1]
    lines: list[str] = []
    inside = False
    for line in output.strip("\n").splitlines():
        starts = re.match(r"(?:def|import|from|class|@)\b|@|#", line)
        if inside and line.strip() and not line[0].isspace() and not starts:
            break
        inside = inside or line.startswith("def ")
        lines.append(line)
    return "\n".join(lines)
