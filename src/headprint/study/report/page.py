"""Writes the page: templates, style and script become one HTML file that loads nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headprint.base.files import write_atomically
from headprint.study.estimates import number
from headprint.study.report.compare import comparison
from headprint.study.report.drawings import drawings
from headprint.study.report.sections import sections
from headprint.study.report.tables import stages

if TYPE_CHECKING:
    from jinja2 import Environment

_SCRIPTS = ("base.js", "heat.js", "charts.js", "figures.js", "page.js")
VERDICTS = {
    "replicates": ("✓", "replicates", "yes"),
    "mixed": ("≈", "mixed", "partly"),
    "does not": ("✗", "does not replicate", "no"),
    "not tested": ("–", "not tested", "not tested"),
}


def write(results: Mapping[str, Any], path: str | Path) -> None:
    """Writes a study's page.

    Args:
        results: What ``results.json`` holds; exhibits may be absent.
        path: An HTML file.

    Raises:
        InputError: If it cannot be written there.
    """
    _write("study.html.j2", study_page(results), path)


def write_comparison(first: Mapping[str, Any], second: Mapping[str, Any], path: str | Path) -> None:
    """Writes two studies beside each other: differences of their numbers, and the same heat maps of both.

    Args:
        first: What its ``results.json`` holds.
        second: The same of another study.
        path: An HTML file.

    Raises:
        InputError: If it cannot be written there.
    """
    _write("comparison.html.j2", comparison(*({**results, **described(results)} for results in (first, second))), path)


def study_page(results: Mapping[str, Any]) -> dict[str, Any]:
    """What the template of one study is filled with."""
    drawn, told = drawings(results), described(results)
    return {
        "results": told,
        "sections": sections({**told, "exhibits": results["exhibits"]}, drawn),
        "stages": [each for each in stages(results) if each],
        "data": {"drawings": drawn},
    }


_MODEL = ("id", "layers", "heads", "parameters")
_FINDING: dict[str, Any] = {"paper": None, "number": None, "checks": []}
_TASK = ("kind", "description", "parts", "train", "probe", "test", "scorer")


def described(results: Mapping[str, Any]) -> dict[str, Any]:
    """What stands about a study as a whole, with None for what its results leave out."""
    told = {key: results.get(key) for key in ("name", "created", "config")}
    # Of all its stages: the call that finished a study may have found most of them done.
    told["seconds"] = sum(stage.get("seconds") or 0 for stage in results.get("stages") or [])
    told |= {key: results.get(key) or {} for key in ("versions", "machine")}
    told["seeds"] = results.get("seeds") or []
    told["findings"] = [{**_FINDING, **each} for each in results.get("findings") or []]
    for key, fields in (("models", _MODEL), ("tasks", _TASK)):
        told[key] = {name: {**dict.fromkeys(fields), **each} for name, each in (results.get(key) or {}).items()}
    return told


def _write(template: str, content: Mapping[str, Any], path: str | Path) -> None:
    page = (
        _environment()
        .get_template(template)
        .render(
            **{key: value for key, value in content.items() if key != "data"},
            data=embedded(content["data"]),
            style=_asset("page.css"),
            script="\n".join(_asset(name) for name in _SCRIPTS),
            verdicts=VERDICTS,
            data_has_maps="runs" in content["data"]["drawings"],
        )
    )
    write_atomically(Path(path), page.encode())


def embedded(data: Any) -> str:
    """JSON that may stand inside a script element, whatever strings it holds."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    escapes = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
    for character, escape in escapes.items():
        text = text.replace(character, escape)
    return text


def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("headprint.study.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "duration": _duration, "tidy_json": _tidy}
    return environment


def _asset(name: str) -> str:
    return files("headprint.study.report").joinpath("assets", name).read_text("utf-8")


def _duration(seconds: float) -> str:
    """``42 s``, ``8 min 32 s``, ``2 h 5 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _tidy(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)
