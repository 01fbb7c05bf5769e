"""A Sphinx directive that documents what a folder's ``__all__`` says is public: ``.. public-names:: headprint.data``.

Each object is documented once, under the shortest name that it is public by; where a folder lists it again, that name
is linked to.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective

TOP = "headprint"
INTERNAL = (
    "headprint.cli",
    "headprint.study.chapters",
    "headprint.study.config",  # docs/study.md lists its fields
    "headprint.study.groundwork",
    "headprint.study.pipeline",
)
"""Not meant to be imported by others: CONTRIBUTING.md is their guide."""


def folders() -> list[str]:
    """The package and every folder of it with public names, the highest first."""
    root = Path(import_module(TOP).__file__ or "").parent
    found = []
    for file in root.rglob("__init__.py"):
        name = ".".join([TOP, *file.parent.relative_to(root).parts])
        if not name.startswith(INTERNAL) and getattr(import_module(name), "__all__", []):
            found.append(name)
    return sorted(found, key=lambda name: (name.count("."), name))


def documented_as() -> dict[str, str]:
    """Each public name with its folder, such as ``headprint.data.Row``, and the name that it is documented under."""
    first: dict[str, str] = {}
    names = {}
    for folder in folders():
        for name in import_module(folder).__all__:
            if name.startswith("__"):
                continue
            place = f"{folder}.{name}"
            names[place] = first.setdefault(_origin(folder, name), place)
    return names


def described(folder: str) -> str:
    """The reStructuredText about a folder: what it is for, then each of its names."""
    own = {place: name for place, name in documented_as().items() if place.rpartition(".")[0] == folder}
    elsewhere = [f":py:obj:`{name}`" for place, name in own.items() if place != name]
    parts = [] if folder == TOP else [inspect.getdoc(import_module(folder)) or ""]
    if elsewhere:
        parts.append(f"Documented above: {', '.join(elsewhere)}.")
    parts += [_entry(folder, place.rpartition(".")[2]) for place, name in own.items() if place == name]
    return "\n\n".join(parts) + "\n"


def _origin(folder: str, name: str) -> str:
    """Where a public name is defined, such as ``headprint.data.rows.Row``: the imports of its folder say so."""
    for alias, module in _imports(folder):
        if alias == name:
            source = import_module(module)
            if isinstance(getattr(source, name, None), ModuleType):
                return f"{module}.{name}"
            return f"{module}.{name}" if module == folder else _origin(module, name)
    return f"{folder}.{name}"


def _imports(module: str) -> Iterator[tuple[str, str]]:
    """What a module imports from headprint, and from where; also under ``if TYPE_CHECKING``."""
    source = Path(import_module(module).__file__ or "").read_text("utf-8")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(TOP):
            for alias in node.names:
                yield alias.asname or alias.name, node.module or ""


def _entry(folder: str, name: str) -> str:
    """The directive for one name."""
    place, thing = f"{folder}.{name}", getattr(import_module(folder), name)
    if isinstance(thing, ModuleType):
        return f".. automodule:: {place}\n   :members:"
    if inspect.isclass(thing) and issubclass(thing, BaseException):
        return f".. autoexception:: {place}"
    if inspect.isclass(thing):
        return f".. autoclass:: {place}\n   :members:\n   :special-members: __getitem__, __len__, __call__"
    if inspect.isroutine(thing):
        return f".. autofunction:: {place}"
    text = "\n".join(f"   {line}" for line in _comment(_origin(folder, name)))
    return f".. py:data:: {place}\n\n{text}"


def _comment(origin: str) -> list[str]:
    """The docstring that follows a constant where it is defined."""
    module, _, name = origin.rpartition(".")
    return ModuleAnalyzer.for_module(module).find_attr_docs().get(("", name), [])


class PublicNames(SphinxDirective):
    """``.. public-names:: headprint.data``."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Parse what :func:`described` writes, as if it stood on the page."""
        (folder,) = self.arguments
        self.env.note_dependency(import_module(folder).__file__ or "")
        container = nodes.container()
        lines = described(folder).splitlines()
        self.state.nested_parse(StringList(lines, source=f"<public names of {folder}>"), self.content_offset, container)
        return container.children


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directive."""
    app.add_directive("public-names", PublicNames)
    return {"parallel_read_safe": True}
