"""``headprint ls``: what a directory holds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from headprint.base.errors import InputError
from headprint.base.files import read_json
from headprint.cli import options, output

# The files that mark a run, named here since importing what writes them takes seconds (a test compares the names).
MANIFEST, CONFIG, TRAINED, RESULTS = "manifest.json", "config.yaml", "trained.json", "results.json"
_MODEL = {"config.json", "adapter_config.json"}


class Found(NamedTuple):
    """One thing that headprint wrote.

    Attributes:
        path: Its directory or file.
        kind: Such as ``"pattern set"``.
        state: How much there is, and whether that is all.
        of: Its model and data, or a study's name.
    """

    path: str
    kind: str
    state: str
    of: str


def ls(
    directory: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="Where to look, also in the directories within.")
    ] = Path("runs"),
    json: options.JsonOption = False,
) -> None:
    """List pattern sets, patterns, fine-tunes and studies: of which model and data, finished or not."""
    if not directory.is_dir():
        raise InputError(f"{directory} is not a directory: give the one that your runs are in")
    found = list(_walk(directory))
    if json:
        output.emit({"directory": str(directory), "found": [each._asdict() for each in found]})
    elif found:
        from headprint.plotting import WideTable

        output.show(WideTable(["", *Found._fields[1:]], found))
    else:
        output.say(f"{directory} holds nothing that headprint wrote")


def _walk(root: Path) -> Iterator[Found]:
    for folder, folders, files in os.walk(root):
        path = Path(folder)
        folders.sort()
        run = _pattern_set(path) if MANIFEST in files else _run(path) if CONFIG in files else None
        if run or _MODEL & set(files):
            folders.clear()  # they belong to the run or the model
        if run:
            yield run
        elif not _MODEL & set(files):
            patterns = (_pattern(path / name) for name in sorted(files) if name.endswith(".safetensors"))
            yield from filter(None, patterns)


def _pattern_set(path: Path) -> Found | None:
    from headprint.patterns import PatternSet

    try:
        if "pattern set" not in str(read_json(path / MANIFEST).get("format")):
            return None
        levels = PatternSet.load(path, partial=True)
    except (InputError, AttributeError) as error:
        return Found(str(path), "pattern set", "damaged", str(error))
    state = f"{len(levels):,} examples"
    try:
        PatternSet.load(path)
    except InputError:
        state += ", unfinished"
    return Found(str(path), "pattern set", state, _source(levels.provenance))


def _pattern(path: Path) -> Found | None:
    from headprint.patterns import Pattern

    try:
        found = Pattern.load(path)
    except InputError:  # another program's tensors
        return None
    layers, heads = found.shape
    return Found(str(path), found.kind, f"{layers} × {heads}", _source(found.provenance))


def _source(provenance: dict[str, Any]) -> str:
    """The model and data of a pattern; of a change, those that it is the difference of."""
    if operands := provenance.get("operands"):
        return " - ".join(dict.fromkeys(map(_source, operands)))
    model, data = (provenance.get(key) or {} for key in ("model", "data"))
    return f"{model.get('id', '?')} on {data.get('source', '?')}"


def _run(path: Path) -> Found | None:
    """The fine-tune or study whose configuration is in a directory."""
    import yaml

    try:
        config = yaml.safe_load((path / CONFIG).read_text("utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return None
    if not isinstance(config, dict):
        return None
    if str(config.get("format")).startswith("headprint train"):
        state = "unfinished"
        if (path / TRAINED).is_file():
            state = f"{read_json(path / TRAINED)['steps']:,} steps"
        return Found(str(path), "fine-tune", state, f"{config.get('model')} on {config.get('data')}")
    if {"models", "tasks"} <= config.keys():
        done = (path / RESULTS).is_file() and read_json(path / RESULTS).get("complete")
        return Found(str(path), "study", "finished" if done else "unfinished", str(config.get("name")))
    return None
