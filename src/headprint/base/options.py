"""The values that options take, each list in one place.

The library checks them, the command line offers them, and a study's config is validated by them. Importing this module
loads neither torch nor NumPy.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

Placement: TypeAlias = Literal["example", "token", "none"]
"""Where the absolute value of a level is taken: of an example (the paper's Eq. 2), of each token's part, or nowhere."""

Loss: TypeAlias = Literal["mean", "sum", "batch-mean"]
"""Which loss levels are the gradients of: the mean or the sum over an example's tokens, or the mean over a batch."""

LossOn: TypeAlias = Literal["auto", "completion", "assistant", "all"]
"""Which tokens carry loss."""

Overlong: TypeAlias = Literal["cut", "drop"]
"""What happens to an example that is too long."""

Dtype: TypeAlias = Literal["auto", "float32", "bfloat16", "float16", "float64"]
"""Of the weights; ``auto`` is as they are stored."""

LowerDtype: TypeAlias = Literal["bfloat16", "float16"]
"""Of matrix products under autocast."""

PatternKind: TypeAlias = Literal["pattern", "change"]
"""Whether a number per head is an activation pattern or a difference of two."""

CorrelationMethod: TypeAlias = Literal["pearson", "spearman", "kendall"]
"""Of values, of their ranks, or tau-b."""

IntervalMethod: TypeAlias = Literal["percentile", "basic", "bc"]
"""How the draws of a bootstrap become an interval."""

RegressionMethod: TypeAlias = Literal["nnls", "lstsq"]
"""Least squares with non-negative weights, or with any."""

PermuteWithin: TypeAlias = Literal["layer", "all"]
"""Among which heads a null distribution permutes."""

NegativeWeights: TypeAlias = Literal["refuse", "clip"]
"""What becomes of a negative weight in a mixture."""

SelectionLevels: TypeAlias = Literal["raw", "standardized", "change"]
"""Which levels of two examples are compared."""

Pick: TypeAlias = Literal["top", "round-robin"]
"""How examples are ordered by their scores."""

AblationMode: TypeAlias = Literal["zero", "mean"]
"""What takes the place of an ablated head's output."""

AnswerBy: TypeAlias = Literal["generate", "likelihood"]
"""Whether a model writes its answer or chooses the likeliest one."""

_AMERICAN = {"standardised": "standardized"}


def american(value: str) -> str:
    """Return the American spelling of an option's value; the British one is understood, too."""
    return _AMERICAN.get(value, value)
