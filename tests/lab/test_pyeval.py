"""The small interpreter agrees with Python where it answers, and answers nothing dangerous."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headprint.lab import task_rows
from headprint.lab.pyeval import EvaluationError, call
from headprint.lab.tasks.code import TRIALS


def python(source: str, *arguments: Any) -> Any:
    """The reference: Python itself, on sources of our own only."""
    scope: dict[str, Any] = {}
    exec(source.strip(), scope)
    return next(v for k, v in scope.items() if k != "__builtins__")(*arguments)


def test_agrees_with_python_on_gold_functions() -> None:
    for row in task_rows("code", n=200):
        argument = row["answer"].split("(")[1].split(")")[0]
        for trial in TRIALS[argument]:
            assert call(row["answer"], trial) == python(row["answer"], trial)
    for row in task_rows("math_code", n=100):
        assert call(row["completion"]) == python(row["completion"]) == int(row["answer"])


@given(x=st.integers(-50, 50), a=st.integers(-9, 9), b=st.integers(1, 9))
def test_agrees_with_python_on_arithmetic(x: int, a: int, b: int) -> None:
    source = (
        f"def g(x):\n    y = (x + {a}) * {b} - x // {b}\n    y -= x % {b}\n"
        f"    if not y > {a}:\n        return -y\n    return y"
    )
    assert call(source, x) == python(source, x)


@pytest.mark.parametrize(
    "source",
    [
        "def f(items):\n    t = 0\n    for i in items:\n        t += i\n    return t",
        "def f(items):\n    return [i * 2 for i in items if i > 3]",
        "def f(items):\n    return sorted(items)[0] if len(items) > 1 else max(items)",
        "def f(items):\n    return {1: 'a', 2: 'b'}[len(items)]",
        "def f(items):\n    'only words'",
    ],
)
@pytest.mark.parametrize("items", [[3, 7], [9]])
def test_agrees_with_python_on_other_constructs(source: str, items: list[int]) -> None:
    assert call(source, items) == python(source, items)


@pytest.mark.parametrize(
    "source",
    [
        "",
        "x = 3",
        "def f(x):\n    return __import__('os')",
        "import os\ndef f(x):\n    return 1",
        "def f(x):\n    import os\n    return 1",
        "def f(x):\n    return x.__class__",
        "def f(x):\n    return open('a')",
        "def f(x):\n    return (lambda: 1)()",
        "def f(x):\n    while True:\n        x = 1",
        "def f(x):\n    return 9 ** 9 ** 9",
        "def f(x):\n    return 'a' * 99999",
        "def f(x):\n    return [1] * 99999",
        "def f(x):\n    return 99999 * 99999 * 99999",
        "def f(x):\n    return x + 'a'",
        "def f(x):\n    return y",
        "def f(x):\n    return x // 0",
        "def f(x):\n    return f(x)",
        "def f(x, y):\n    return x",
        "def f(x):\n    return x\nprint(1)",
        "def f(x):\n    return " + "(" * 500 + "x" + ")" * 500,
        "def f(x):\n    return " + "+".join(["x"] * 5000),
        "def f(x):\n    return \0",
        "def f(x)\n    return x",
    ],
)
def test_refuses(source: str) -> None:
    with pytest.raises(EvaluationError):
        call(source, 3)


def test_a_doubling_loop_runs_out_of_budget() -> None:
    lines = ["def f(x):", "    a = [1, 2, 3, 4]"] + ["    a = a + a"] * 40 + ["    return len(a)"]
    with pytest.raises(EvaluationError):
        call("\n".join(lines), 1)
    nested = "def f(x):\n" + "".join(f"{'    ' * (d + 1)}for i{d} in x:\n" for d in range(9))
    with pytest.raises(EvaluationError, match="steps"):
        call(nested + "    " * 10 + "y = 1\n    return 1", list(range(10)))
