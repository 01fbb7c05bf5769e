"""Options of commands, made from the option dataclasses of :mod:`headprint.base.options`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import typer

from headprint.base.options import Description, Options, defaults, described

F = TypeVar("F", bound=Callable[..., Any])


def takes_options(kind: type[Options], *, leave_out: tuple[str, ...] = ()) -> Callable[[F], F]:
    """Give a command one option for each field of a class; the command receives them as ``**fields``.

    Args:
        kind: The class of options.
        leave_out: Fields that the command does not offer, or declares itself.
    """

    def decorate(command: F) -> F:
        signature = inspect.signature(command, eval_str=True)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        default = defaults(kind)
        made = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=default[name],
                annotation=Annotated[hint, _typer_option(name, about)],
            )
            for name, (hint, about) in described(kind).items()
            if name not in leave_out
        ]
        required = [p for p in own if p.default is p.empty]
        optional = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own if p.default is not p.empty]
        target: Any = command
        target.__signature__ = signature.replace(parameters=[*required, *made, *optional])
        return command

    return decorate


def _typer_option(name: str, about: Description) -> Any:
    declaration, text = f"--{name.replace('_', '-')}", about.help
    if about.unset:
        text += f" [default: {about.unset}]"
    if about.switch:  # on by default: the command line has only the flag that turns it off
        declaration, text = f" /{about.switch[0]}", about.switch[1]
    return typer.Option(
        declaration,
        help=text.replace("[", "\\["),
        show_default=about.switch is None,
        min=about.minimum,
        metavar=about.metavar or None,
        rich_help_panel=about.panel or None,
    )
