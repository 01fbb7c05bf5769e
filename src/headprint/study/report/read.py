"""Reads the results of a finished study."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headprint.base.errors import InputError

RESULTS = "results.json"
FORMAT = 1


def read_results(run: str | Path) -> dict[str, Any]:
    """The results of a study's directory.

    Args:
        run: The directory, or its ``results.json``.

    Raises:
        InputError: There are none, they are of an unfinished study, or of no study at all.
    """
    run = Path(run)
    path = run if run.is_file() else run / RESULTS
    if not path.is_file():
        where = f"{run} has no {RESULTS}" if run.is_dir() else f"there is no directory {run}"
        raise InputError(f"{where}: give the directory of a study, or run `headprint study [CONFIG] --out {run}` first")
    try:
        results = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read as JSON ({error}): run the study again, it goes on where it was"
        ) from error
    if not isinstance(results, dict) or "format" not in results:
        raise InputError(f"{path} is no study's results: give the directory that `headprint study --out` wrote")
    if results["format"] != FORMAT:
        raise InputError(
            f"{path} has format {results['format']}, and this headprint reads {FORMAT}: run the study again"
        )
    if not results.get("complete"):
        raise InputError(
            f"{path}: {_unfinished(results)}; run `headprint study` again with the same --out and it goes on"
        )
    return results


def _unfinished(results: Mapping[str, Any]) -> str:
    """What is missing, in words: names if the study left them, else how many stages."""
    missing, done = results.get("missing"), len(results.get("stages") or [])
    if isinstance(missing, list) and missing:
        shown = ", ".join(map(str, missing[:5])) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        return f"the study is not finished, {done} stages are done and {len(missing)} missing ({shown})"
    count = missing if isinstance(missing, int) and missing else "some"
    return f"the study is not finished, {done} stages are done and {count} missing"
