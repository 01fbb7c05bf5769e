"""``headprint verify``: is the measure exact for a model?"""

from typing import Any

from headprint.base.errors import InputError
from headprint.base.options import LoadingOptions
from headprint.cli import options, output


@options.takes_options(LoadingOptions)
def verify(model: options.ModelArgument, json: options.JsonOption = False, **loading: Any) -> None:
    """Compare a model's activation levels with the materialised attention times its gradient.

    Exit code 0: exact. 2: not exact, or refused, with the reason.
    """
    with output.working():
        from headprint.measure import verify as run

        verdict = run(model, **loading)
    if json:
        output.emit({"model": model, **verdict.to_dict()})
    else:
        output.show(_table(verdict.to_dict()))
    if not verdict.exact:
        raise InputError(f"{model}: not exact: {verdict.reason}; headprint refuses this model: choose another")


def _table(verdict: dict[str, Any]) -> Any:
    from rich.table import Table

    table = Table.grid(padding=(0, 3, 0, 0))
    for name, value in verdict.items():
        if isinstance(value, bool):
            shown = "yes" if value else "no"
        else:
            shown = f"{value:.1e}" if isinstance(value, float) else value
        if isinstance(shown, str):  # not the errors of single layers
            table.add_row(name.replace("_", " "), shown)
    return table
