"""headprint: see which attention heads a fine-tune wakes up.

    levels = headprint.extract(model, tokenizer, examples)    # a PatternSet, (N, L, H)
    pattern = levels.pattern()                                # a Pattern, (L, H)
    change = headprint.load("after.safetensors") - pattern

Importing the package is cheap: torch and other large libraries are imported on the first use of a name that needs them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from headprint.base.errors import InputError
from headprint.base.noise import silence_imports

if TYPE_CHECKING:
    from headprint.analysis.comparison import compare as compare
    from headprint.analysis.decomposition.fit import decompose as decompose
    from headprint.analysis.decomposition.fit import discover as discover
    from headprint.analysis.mixture import mix as mix
    from headprint.analysis.selection import select as select
    from headprint.evaluation.ablation import ablate as ablate
    from headprint.evaluation.evaluation import evaluate as evaluate
    from headprint.evaluation.interventions import ablate_heads as ablate_heads
    from headprint.measure.extraction import extract as extract
    from headprint.measure.verification import verify as verify
    from headprint.models.heads import locate as locate
    from headprint.models.loading import load_model as load_model
    from headprint.patterns.pattern_set import Pattern as Pattern
    from headprint.patterns.pattern_set import PatternSet as PatternSet
    from headprint.patterns.pattern_set import load as load
    from headprint.training.fine_tuning import train as train
    from headprint.training.tracker import PatternTracker as PatternTracker

    __version__: str

silence_imports()  # here, before anything imports PEFT

__all__ = [
    "InputError",
    "Pattern",
    "PatternSet",
    "PatternTracker",
    "__version__",
    "ablate",
    "ablate_heads",
    "compare",
    "decompose",
    "discover",
    "evaluate",
    "extract",
    "load",
    "load_model",
    "locate",
    "mix",
    "select",
    "train",
    "verify",
]

_MODULES = {
    "Pattern": "headprint.patterns.pattern_set",
    "PatternSet": "headprint.patterns.pattern_set",
    "PatternTracker": "headprint.training.tracker",
    "ablate": "headprint.evaluation.ablation",
    "ablate_heads": "headprint.evaluation.interventions",
    "compare": "headprint.analysis.comparison",
    "decompose": "headprint.analysis.decomposition.fit",
    "discover": "headprint.analysis.decomposition.fit",
    "evaluate": "headprint.evaluation.evaluation",
    "extract": "headprint.measure.extraction",
    "load": "headprint.patterns.pattern_set",
    "load_model": "headprint.models.loading",
    "locate": "headprint.models.heads",
    "mix": "headprint.analysis.mixture",
    "select": "headprint.analysis.selection",
    "train": "headprint.training.fine_tuning",
    "verify": "headprint.measure.verification",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from headprint.base.provenance import versions

        return versions().get("headprint", "0+unknown")
    if name not in _MODULES:
        raise AttributeError(f"module 'headprint' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
