"""Config files: YAML that may extend other YAML.

    extends: llama-3-8b          # or a file beside this one, or a list of several
    seeds: [0, 1, 2]

``extends`` names the configs that a file starts from; what the file says itself goes over them. Mappings are merged
field by field; anything else, lists and ``null`` too, takes the place of what was there.
"""

from __future__ import annotations

from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from headprint.base.errors import InputError

EXTENDS = "extends"


def builtin() -> dict[str, Path]:
    """The configs that come with headprint, by name; ``lab`` is the default."""
    return {path.stem: path for path in sorted(_folder().glob("*.yaml"))}


def read(name: str | Path, *, beside: Path | None = None, above: tuple[Path, ...] = ()) -> Any:
    """The content of a config with all that it extends.

    Args:
        name: A YAML file, or the name of a config that comes with headprint.
        beside: The folder of the file that extends it, where it is looked for first.
        above: The files that extend it, the outermost first.

    Raises:
        InputError: There is none, it is not YAML, or it extends itself.
    """
    path = _find(name, beside)
    if path.resolve() in above:
        chain = " extends ".join(each.name for each in (*above[above.index(path.resolve()) :], path))
        raise InputError(f"{path}: it extends itself: {chain}")
    content = _parsed(path)
    if not isinstance(content, dict) or EXTENDS not in content:
        return content
    bases = content.pop(EXTENDS)
    bases = [bases] if isinstance(bases, str) else bases
    if not (isinstance(bases, list) and all(isinstance(base, str) for base in bases)):
        raise InputError(f"{path}: {EXTENDS} is {bases!r}: it wants the name of a config, or a list of names")
    merged: dict[str, Any] = {}
    for base in bases:
        found = read(base, beside=path.parent, above=(*above, path.resolve()))
        if not isinstance(found, dict):
            raise InputError(f"{path}: {EXTENDS}: {base} is no mapping of fields")
        merged = merge(merged, found)
    return merge(merged, content)


def merge(under: Any, over: Any) -> Any:
    """Two configs in one: mappings field by field, of anything else the second."""
    if not (isinstance(under, dict) and isinstance(over, dict)):
        return over
    return under | {name: merge(under.get(name), value) for name, value in over.items()}


def nearest(name: str, names: Any) -> str:
    """A hint: the nearest of the names there are, or all of them."""
    close = get_close_matches(name, list(names), n=1)
    return f"did you mean {close[0]!r}?" if close else f"there are {', '.join(names)}"


def _folder() -> Path:
    return Path(str(files("headprint.study"))) / "configs"


def _find(name: str | Path, beside: Path | None) -> Path:
    places = [] if beside is None else [beside / name]
    for path in (*places, Path(name), _folder() / f"{name}.yaml"):
        if path.is_file():
            return path
    raise InputError(f"{name}: no such file, and no config of that name; {nearest(str(name), builtin())}")


def _parsed(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {error}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise InputError(f"{path}{line}: not YAML: {getattr(error, 'problem', None) or error}") from error
