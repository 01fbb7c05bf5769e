"""headprint: see which attention heads a fine-tune wakes up.

    levels = headprint.extract(model, tokenizer, examples)    # a PatternSet, (N, L, H)
    pattern = levels.pattern()                                # a Pattern, (L, H)
    change = headprint.load("after.safetensors") - pattern

Importing the package is cheap: torch and other large libraries are imported on the first use of a name that needs them.
"""

from typing import TYPE_CHECKING, Any

from headprint.base.errors import InputError
from headprint.base.lazy import lazy_names
from headprint.base.noise import silence_imports

if TYPE_CHECKING:
    from headprint.analysis.comparison import compare as compare
    from headprint.analysis.decomposition.fit import decompose as decompose
    from headprint.analysis.decomposition.fit import discover as discover
    from headprint.analysis.mixture import mix as mix
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
    from headprint.training.mixing import mix_for as mix_for
    from headprint.training.selection import explain as explain
    from headprint.training.selection import select as select
    from headprint.training.tracker import PatternTracker as PatternTracker

    __version__: str

silence_imports()  # here, before anything imports PEFT

_lazy, _names = lazy_names(
    __name__,
    {
        "analysis.comparison": ["compare"],
        "analysis.decomposition.fit": ["decompose", "discover"],
        "analysis.mixture": ["mix"],
        "evaluation.ablation": ["ablate"],
        "evaluation.evaluation": ["evaluate"],
        "evaluation.interventions": ["ablate_heads"],
        "measure.extraction": ["extract"],
        "measure.verification": ["verify"],
        "models.heads": ["locate"],
        "models.loading": ["load_model"],
        "patterns.pattern_set": ["Pattern", "PatternSet", "load"],
        "training.fine_tuning": ["train"],
        "training.mixing": ["mix_for"],
        "training.selection.explaining": ["explain"],
        "training.selection.from_rows": ["select"],
        "training.tracker": ["PatternTracker"],
    },
)
__all__ = ["InputError", "__version__", *_names]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from headprint.base.provenance import versions

        return versions().get("headprint", "0+unknown")
    return _lazy(name)


def __dir__() -> list[str]:
    return sorted(__all__)
