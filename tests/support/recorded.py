"""Results of real studies, and variations of them, for tests of everything that reads results."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from headprint.study.results import Results

STUDIES = Path(__file__).parents[2] / "studies"


@cache
def recorded(name: str) -> str:
    """The text of a recorded study: ``lab`` has five seeds, ``real`` has one."""
    return (STUDIES / name / "results.json").read_text("utf-8")


def results(name: str, *changes: Callable[[dict[str, Any]], Any]) -> Results:
    """A recorded study with its findings drawn anew, after some changes to its plain types."""
    content = json.loads(recorded(name))
    for change in changes:
        content = change(content) or content
    return Results.from_json(content).concluded()


def keep(*exhibits: str) -> Callable[[dict[str, Any]], None]:
    """Drops all other exhibits."""

    def change(content: dict[str, Any]) -> None:
        content["exhibits"] = {key: each for key, each in content["exhibits"].items() if key in exhibits}

    return change


def seeds(*kept: int) -> Callable[[dict[str, Any]], None]:
    """Drops the runs of other seeds; summaries stay those of all seeds."""

    def change(content: dict[str, Any]) -> None:
        content["seeds"] = list(kept)
        content["exhibits"] = _without_seeds(content["exhibits"], kept)

    return change


def models(*names: str) -> Callable[[dict[str, Any]], None]:
    """Repeats everything for several models."""

    def change(content: dict[str, Any]) -> None:
        (facts,) = content["models"].values()
        content["models"] = dict.fromkeys(names, facts)
        content["exhibits"] = {
            key: {name: _repeated(part, names) for name, part in each.items() if name != "paper"}
            | {name: part for name, part in each.items() if name == "paper"}
            for key, each in content["exhibits"].items()
        }

    return change


def renamed(old: str, new: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Puts another string in the place of one, wherever it stands."""

    def change(content: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = _replaced(content, old, new)
        return found

    return change


def nulled(value: Any) -> Any:
    """The same with every number that has an interval unknown."""
    if isinstance(value, dict) and set(value) == {"value", "low", "high"} and not isinstance(value["value"], list):
        return dict.fromkeys(value)
    if isinstance(value, dict):
        return {key: nulled(inner) for key, inner in value.items()}
    return [nulled(inner) for inner in value] if isinstance(value, list) else value


def _repeated(part: Any, names: tuple[str, ...]) -> Any:
    if isinstance(part, list) and part and isinstance(part[0], dict) and "model" in part[0]:
        return [{**row, "model": name} for name in names for row in part]
    return part


def _without_seeds(value: Any, kept: tuple[int, ...]) -> Any:
    if isinstance(value, dict):
        return {key: _without_seeds(inner, kept) for key, inner in value.items()}
    if isinstance(value, list):
        return [
            _without_seeds(inner, kept)
            for inner in value
            if not isinstance(inner, dict) or inner.get("seed", kept[0]) in kept
        ]
    return value


def _replaced(value: Any, old: str, new: str) -> Any:
    if isinstance(value, dict):
        return {_replaced(key, old, new): _replaced(inner, old, new) for key, inner in value.items()}
    if isinstance(value, list):
        return [_replaced(inner, old, new) for inner in value]
    return value.replace(old, new) if isinstance(value, str) else value
