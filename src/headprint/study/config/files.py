"""Config files: YAML that may extend other YAML.

    extends: llama-3-8b          # or a file beside this one, or a list of several
    seeds: [0, 1, 2]

``extends`` names the configs that a file starts from; what the file says itself goes over them. Mappings are merged
field by field; anything else, lists and ``null`` too, takes the place of what was there.

Relative paths are relative to the file that they stand in, so a study is the same from wherever it is run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from headprint.base.errors import InputError, did_you_mean
from headprint.data.rows import SUFFIXES

EXTENDS = "extends"

_MOST = 20_000
"""Values that a config file may hold, with everything that its aliases repeat."""

_PATHS = ("models.*.model", "tasks.*.data", "tasks.*.test", "selections.pool.data", "selections.pool.test")
"""The fields that may be paths."""

_SUFFIXES = (*SUFFIXES, ".gguf")
"""By which a name is known as one of a file, even where there is none."""


def builtin() -> dict[str, Path]:
    """The configs that come with headprint, by name; ``lab`` is the default."""
    return {path.stem: path for path in sorted(_folder().glob("*.yaml"))}


def read(name: str | Path) -> Any:
    """The content of a config with all that it extends.

    Args:
        name: A YAML file, or the name of a config that comes with headprint.

    Raises:
        InputError: There is none, it is not YAML, or it extends itself.
    """
    return _read(_find(name, None), (), {})


def _read(path: Path, above: tuple[Path, ...], known: dict[Path, Any]) -> Any:
    """A file with all that it extends.

    Args:
        path: The file.
        above: The files that extend it, the outermost first.
        known: The files that have been read: a base of several is read once.
    """
    place = path.resolve()
    if place in above:
        chain = " extends ".join(each.name for each in (*above[above.index(place) :], path))
        raise InputError(f"{path}: it extends itself: {chain}")
    if place not in known:
        known[place] = _merged(path, (*above, place), known)
    return known[place]


def _merged(path: Path, above: tuple[Path, ...], known: dict[Path, Any]) -> Any:
    content = _parsed(path)
    if not isinstance(content, dict):
        return content
    bases = content.pop(EXTENDS, [])
    bases = [bases] if isinstance(bases, str) else bases
    if not (isinstance(bases, list) and all(isinstance(base, str) for base in bases)):
        raise InputError(f"{path}: {EXTENDS} is {bases!r}: give the name of a config, or a list of names")
    merged: dict[str, Any] = {}
    for base in dict.fromkeys(bases):
        found = _read(_find(base, path.parent), above, known)
        if not isinstance(found, dict):
            raise InputError(f"{path}: {EXTENDS}: {base} is not a mapping of fields")
        merged = merge(merged, found)
    merged = merge(merged, content)
    # What comes with headprint has no files beside it: its paths are the extending file's.
    return merged if _folder() in path.parents else absolute(merged, path.parent)


def absolute(content: Any, folder: Path) -> Any:
    """A config with its relative paths made absolute: names of files, and whatever is there under its name.

    Args:
        content: Plain types; not changed.
        folder: That the paths are relative to.
    """
    for field in _PATHS:
        content = _replaced(content, field.split("."), folder)
    return content


def _replaced(content: Any, field: list[str], folder: Path) -> Any:
    if not field:
        return _absolute(content, folder) if isinstance(content, str) else content
    if not isinstance(content, dict):
        return content
    names = list(content) if field[0] == "*" else [field[0]] if field[0] in content else []
    return content | {name: _replaced(content[name], field[1:], folder) for name in names}


def _absolute(value: str, folder: Path) -> str:
    path = Path(value).expanduser()
    there = folder / path
    is_path = value.startswith((".", "~")) or value.endswith(_SUFFIXES) or (value != "lab" and there.exists())
    return os.path.abspath(there) if is_path else value


def merge(under: Any, over: Any) -> Any:
    """Two configs in one: mappings field by field, of anything else the second."""
    if not (isinstance(under, dict) and isinstance(over, dict)):
        return over
    return under | {name: merge(under.get(name), value) for name, value in over.items()}


def _folder() -> Path:
    return Path(str(files("headprint.study.config"))) / "builtin"


def _find(name: str | Path, beside: Path | None) -> Path:
    places = [] if beside is None else [beside / name]
    for path in (*places, Path(name), _folder() / f"{name}.yaml"):
        if path.is_file():
            return path
    raise InputError(f"{name}: no such file, and no config of that name; {did_you_mean(str(name), builtin())}")


def _parsed(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
        if (node := yaml.compose(text, Loader=yaml.SafeLoader)) is None:
            return None
        _check_size(node, path)
        return yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {error}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise InputError(f"{path}{line}: not YAML: {getattr(error, 'problem', None) or error}") from error
    except (ValueError, RecursionError) as error:  # an integer of thousands of digits; nested too deeply
        raise InputError(f"{path}: not YAML that can be read: {error}") from error


def _check_size(root: yaml.Node, path: Path) -> None:
    """Refuse aliases that contain themselves, or whose repetitions multiply to more than any study needs."""
    sizes: dict[int, int] = {}
    under_way: set[int] = set()

    def size(node: yaml.Node) -> int:
        if id(node) in under_way:
            raise InputError(f"{path}:{node.start_mark.line + 1}: an alias contains itself")
        if id(node) not in sizes:
            under_way.add(id(node))
            sizes[id(node)] = 1 + sum(size(child) for child in _children(node))
            under_way.remove(id(node))
        if sizes[id(node)] > _MOST:
            raise InputError(f"{path}:{node.start_mark.line + 1}: more than {_MOST:,} values, aliases written out")
        return sizes[id(node)]

    size(root)


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        yield from node.value
    elif isinstance(node, yaml.MappingNode):
        for pair in node.value:
            yield from pair
