"""headprint: see which attention heads a fine-tune wakes up.

    levels = headprint.extract(model, tokenizer, examples)    # a PatternSet, (N, L, H)
    pattern = levels.pattern()                                # a Pattern, (L, H)
    change = headprint.load("after.safetensors") - pattern

Importing the package is cheap: torch and the like are imported when a name that needs them is used.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from headprint.errors import InputError

if TYPE_CHECKING:
    from headprint.ablate import ablate as ablate
    from headprint.evaluate import evaluate as evaluate
    from headprint.extract import extract as extract
    from headprint.heads import locate as locate
    from headprint.pattern import Pattern as Pattern
    from headprint.pattern import PatternSet as PatternSet
    from headprint.pattern import load as load
    from headprint.switches import switched_off as switched_off
    from headprint.track import PatternTracker as PatternTracker
    from headprint.train import train as train
    from headprint.verify import verify as verify

    __version__: str

__all__ = [
    "InputError",
    "Pattern",
    "PatternSet",
    "PatternTracker",
    "__version__",
    "ablate",
    "evaluate",
    "extract",
    "load",
    "locate",
    "switched_off",
    "train",
    "verify",
]

_HOME = {
    "Pattern": "headprint.pattern",
    "PatternSet": "headprint.pattern",
    "PatternTracker": "headprint.track",
    "ablate": "headprint.ablate",
    "evaluate": "headprint.evaluate",
    "extract": "headprint.extract",
    "load": "headprint.pattern",
    "locate": "headprint.heads",
    "switched_off": "headprint.switches",
    "train": "headprint.train",
    "verify": "headprint.verify",
}


class _Package(ModuleType):
    def __setattr__(self, name: str, value: Any) -> None:
        # Importing the submodule headprint.extract puts it where the function headprint.extract
        # belongs (and so with verify): keep the function.
        if isinstance(value, ModuleType) and name in _HOME:
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from headprint.provenance import versions

        return versions().get("headprint", "0+unknown")
    if name not in _HOME:
        raise AttributeError(f"module 'headprint' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
