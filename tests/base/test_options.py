"""One description of an option: checked, shown in signature and docstring, and offered by the command."""

from __future__ import annotations

import dataclasses
import inspect
import subprocess
import sys
from typing import Any, Literal

import pytest
import typer
from typer.testing import CliRunner

import headprint
from headprint.base.errors import InputError
from headprint.base.options import (
    ExtractOptions,
    Options,
    defaults,
    described,
    explained,
    from_keywords,
    option,
    takes_options,
)
from headprint.cli import options as cli


class Basic(Options):
    scale: Literal["standardized", "color", "raw"] = option(default="raw", help="How.", panel="Numbers")
    count: int | None = option(default=None, min=1, help="How many.", unset="all", metavar="N", decides=False)


class Made(Basic):
    rate: float = option(default=0.5, min=0.0, help="How fast.", details="In rows per second.")
    check: bool = option(default=True, help="Check it.", switch=("--no-check", "Skip the check."))
    name: str = option(default="a", help="What it is called.")


def test_options_are_frozen_and_have_their_defaults() -> None:
    assert (
        Made().keywords() == defaults(Made) == {"scale": "raw", "count": None, "rate": 0.5, "check": True, "name": "a"}
    )
    assert Made(rate=1).rate == 1
    assert list(Made().settings()) == ["scale", "rate", "check", "name"]  # what decides a result
    with pytest.raises(dataclasses.FrozenInstanceError):
        Made().rate = 2.0


@pytest.mark.parametrize(("british", "american"), [("standardised", "standardized"), ("colour", "color")])
def test_values_are_american_and_british_is_accepted(british, american) -> None:
    assert Made(scale=british).scale == Made(scale=american).scale == american


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"scale": "rwa"}, "scale is 'rwa': choose from standardized, color, raw; did you mean 'raw'?"),
        ({"scale": 3}, "scale is 3: choose from standardized, color, raw"),
        ({"count": 0}, "count is 0: it has to be at least 1"),
        ({"count": 1.5}, "count is 1.5: it has to be a whole number"),
        ({"count": True}, "count is True: it has to be a whole number"),
        ({"rate": -0.1}, "rate is -0.1: it has to be at least 0"),
        ({"rate": float("nan")}, "rate is nan: it has to be at least 0"),
        ({"rate": "fast"}, "rate is 'fast': it has to be a number"),
        ({"check": "no"}, "check is 'no': it has to be true or false"),
        ({"name": None}, "name is None: it has to be text"),
        ({"cuont": 3}, "there is no option 'cuont': did you mean 'count'?"),
    ],
)
def test_wrong_options_are_refused_in_one_line(given, message) -> None:
    with pytest.raises(InputError) as caught:
        from_keywords(Made, None, given)
    assert str(caught.value) == message


def test_keywords_change_an_object() -> None:
    made = from_keywords(Made, Made(rate=2.0, name="b"), {"name": "c"})
    assert (made.rate, made.name) == (2.0, "c")


def test_a_function_shows_every_option() -> None:
    @takes_options(Made)
    def act(data: str, *, out: str = "", **fields: Any) -> Made:
        """Act.

        Args:
            data: What on.
            {options}
        """
        return from_keywords(Made, None, fields)

    signature = inspect.signature(act)
    assert list(signature.parameters) == ["data", "out", *described(Made)]
    assert signature.parameters["rate"].default == 0.5
    assert signature.parameters["count"].annotation == int | None
    assert "    rate: How fast. In rows per second.\n" in act.__doc__
    assert "    count: How many. None: all.\n" in act.__doc__
    assert act("x", rate=3).rate == 3


def test_a_command_offers_every_option() -> None:
    app, seen = typer.Typer(), []

    @app.command()
    @cli.takes_options(Made, leave_out=("name",))
    def act(data: str, quiet: bool = False, **fields: Any) -> None:
        seen.append((data, quiet, Made(**fields)))

    runner = CliRunner()
    assert runner.invoke(app, ["x", "--no-check", "--count", "3", "--scale", "color", "--quiet"]).exit_code == 0
    assert runner.invoke(app, ["y"]).exit_code == 0
    assert seen == [("x", True, Made(check=False, count=3, scale="color")), ("y", False, Made())]
    assert runner.invoke(app, ["x", "--count", "0"]).exit_code == 2
    assert runner.invoke(app, ["x", "--name", "b"]).exit_code == 2
    shown = " ".join(runner.invoke(app, ["--help"]).output.replace("│", " ").split())
    assert "Numbers" in shown
    assert "[default: all]" in shown
    assert "Skip the check." in shown


def test_extract_is_described_in_one_place() -> None:
    """The function, its docstring, its command and its manifest have the same options."""
    from headprint.cli.commands.extract import extract as command

    named = described(ExtractOptions)
    assert set(named) < set(inspect.signature(headprint.extract).parameters)
    assert set(named) < set(inspect.signature(command).parameters)
    words = " ".join(headprint.extract.__doc__.split())
    for name, (_, about) in named.items():
        assert f"{name}: {explained(about)}" in words


def test_options_import_nothing_heavy() -> None:
    script = "import sys, headprint.base.options; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"torch", "numpy", "transformers", "typer", "pydantic"} & set(done.stdout.split())
