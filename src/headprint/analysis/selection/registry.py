"""What a selector is, and what it says of itself: what it reads, and what its scores cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, cast

from headprint.base.registry import Registry

if TYPE_CHECKING:
    from headprint.analysis.selection.inputs import SelectionInputs
    from headprint.base.shapes import Values

Needs: TypeAlias = Literal["nothing", "levels", "gradients", "mlp-gradients", "rows", "model"]
"""What a selector reads of its inputs beside names and token counts: levels, sketches of head gradients, of MLPs as
well, rows, or rows and a model."""

MEASURED: tuple[Needs, ...] = ("levels", "gradients", "mlp-gradients")
"""What only an extraction gives; methods that need something else can do without one."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What scores cost, in forward passes of the model: 2 FLOPs a parameter and token.

    A backward pass through frozen weights costs one more, a training step three in all. Levels and head gradients that
    are on disk already cost nothing again.

    Attributes:
        pool: Per row of the pool.
        query: Per row of the target.
        step_rows: Per row of every training step, where a selector trains the model first.
    """

    pool: float = 0
    query: float = 0
    step_rows: float = 0


class Selector(Protocol):
    """Scores every example of a pool for every query; a higher score is a better example."""

    def __call__(self, inputs: SelectionInputs) -> Values:
        """Return (Q, M) scores, or (1, M) if they do not depend on single queries; NaN where there is no score."""


@dataclass(frozen=True)
class SelectorInfo:
    """What a selector says of itself.

    Attributes:
        needs: What it reads.
        cost: What its scores cost; None if it does not say.
    """

    needs: Needs
    cost: Cost | None


def selector(*, needs: Needs, cost: Cost | None = None) -> Callable[[Selector], Selector]:
    """Say what a selector reads and costs; a selector without it is taken to need rows, and levels of both sets.

    Args:
        needs: What it reads.
        cost: What its scores cost.
    """

    def decorate(function: Selector) -> Selector:
        function.info = SelectorInfo(needs, cost)  # type: ignore[attr-defined]
        return function

    return decorate


def selector_info(method: str) -> SelectorInfo:
    """What the selector of this name says of itself.

    Raises:
        InputError: There is none.
    """
    return cast(SelectorInfo, getattr(SELECTORS.load(method), "info", SelectorInfo("levels", None)))


_HERE = "headprint.analysis.selection"
_RUNNING = "headprint.training.selection"

SELECTORS: Registry[Selector] = Registry(
    "headprint.selectors",
    "selection method",
    {
        "head-gradient": f"{_HERE}.gradients:head_gradient",
        "head-gradient-mlp": f"{_HERE}.gradients:head_gradient_mlp",
        "shuffled-heads": f"{_HERE}.gradients:shuffled_heads",
        "half-heads": f"{_HERE}.gradients:half_heads",
        "layer-means": f"{_HERE}.gradients:layer_means",
        "correlation": f"{_HERE}.levels:correlation",
        "cosine": f"{_HERE}.levels:cosine",
        "signed-levels": f"{_HERE}.levels:signed_levels",
        "bm25": f"{_HERE}.text:bm25",
        "tf-idf": f"{_HERE}.text:tf_idf",
        "token-overlap": f"{_HERE}.text:token_overlap",
        "embeddings": f"{_HERE}.text:embeddings",
        "rds+": f"{_RUNNING}.forward:rds_plus",
        "perplexity": f"{_RUNNING}.forward:perplexity",
        "ifd": f"{_RUNNING}.forward:ifd",
        "target-selects": f"{_RUNNING}.tuned:target_selects",
        "less": f"{_RUNNING}.less:less",
        "random": f"{_HERE}.baselines:random",
        "random-by-source": f"{_HERE}.baselines:random_by_source",
        "length-matched": f"{_HERE}.baselines:length_matched",
        "longest": f"{_HERE}.baselines:longest",
    },
)
"""The selectors by name; an installed package adds its own under the entry point group ``headprint.selectors``."""
