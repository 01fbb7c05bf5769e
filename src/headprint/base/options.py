"""The options of the library's functions, each described once: its type, default, bounds and help text.

An option is a field of a frozen dataclass that derives from :class:`Options`::

    class ReadingOptions(Options):
        split: str = option(default="train", help="Split to read.", panel="Data")
        limit: int | None = option(default=None, min=1, help="Only the first rows.", panel="Data")

That description serves everybody who needs it:

- Making the object checks it. A value of the wrong type, one that is not among the choices or out of bounds is refused
  in one line, with the nearest choice; British spelling is accepted and becomes American.
- :func:`takes_options` lets a function take the fields as keyword arguments and shows each of them in its signature and
  docstring. Inside, :func:`from_keywords` makes the object of them.
- ``headprint.cli.options.takes_options`` turns the same fields into the options of a command.
- :meth:`Options.settings` are the fields that decide a result, for a manifest, a cache key or a resume.

A new option is one field, and it appears in the function, the command, the documentation and the manifest at once.
Importing this module loads neither torch nor NumPy.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from types import NoneType, UnionType
from typing import Any, Literal, TypeAlias, TypeVar, Union, dataclass_transform, get_args, get_origin, get_type_hints

from headprint.base.errors import InputError, did_you_mean

Placement: TypeAlias = Literal["example", "token", "none"]
"""Where the absolute value of a level is taken: of an example (the paper's Eq. 2), of each token's part, or nowhere."""

Reading: TypeAlias = Literal["level", "signed", "share", "elasticity", "margin"]
"""What an example adds to a pattern: its level, or that with its sign, as a share of all heads', or per nat of loss."""

Objective: TypeAlias = Literal["loss", "margin"]
"""What levels are the gradients of: the loss, or the negative log odds of its tokens."""

Block: TypeAlias = Literal["heads", "mlp"]
"""A kind of part whose gradient is sketched."""

Blocks: TypeAlias = Literal["heads", "heads,mlp"]
"""Which of them are."""

Loss: TypeAlias = Literal["mean", "sum", "batch-mean"]
"""Which loss levels are the gradients of: the mean or the sum over an example's tokens, or the mean over a batch."""

LossOn: TypeAlias = Literal["auto", "completion", "assistant", "all"]
"""Which tokens carry loss."""

Overlong: TypeAlias = Literal["truncate", "drop"]
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

DecomposedBy: TypeAlias = Literal["levels", "gradients"]
"""What a decomposition fits: changes of activation levels, or mean head gradients."""

HeldOut: TypeAlias = Literal["heads", "layers"]
"""What a fit is tested on in turn: random parts of the heads, or each layer."""

PermuteWithin: TypeAlias = Literal["layer", "all"]
"""Among which heads a null distribution permutes."""

MixtureWeights: TypeAlias = Literal["shares", "fit"]
"""Which weights of a decomposition are mixed: the shares drawn towards the uniform mixture, or those of the fit."""

NegativeWeights: TypeAlias = Literal["refuse", "clip"]
"""What becomes of a negative weight in a mixture."""

SelectionLevels: TypeAlias = Literal["raw", "standardized", "change"]
"""Which levels of two examples are compared."""

Pick: TypeAlias = Literal["top", "max", "round-robin"]
"""How examples are ordered by their scores."""

AblationMode: TypeAlias = Literal["zero", "mean"]
"""What takes the place of an ablated head's output."""

AnswerBy: TypeAlias = Literal["generate", "likelihood"]
"""Whether a model writes its answer or chooses the likeliest one."""

EMBEDDING_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
"""What embeds rows unless another model is named."""

METHOD_NAMES = (
    "head-gradient, head-gradient-mlp, correlation, cosine, signed-levels; bm25, tf-idf, token-overlap, embeddings; "
    "rds+, perplexity, ifd, target-selects, less; random, random-by-source, length-matched, longest; "
    "shuffled-heads, half-heads, layer-means"
)
"""headprint's own ways to score the rows of a pool."""

_METADATA = "headprint"
_AMERICAN = (
    (re.compile(r"is(e|ed|es|ing|ation)\b"), r"iz\1"),
    (re.compile(r"colour"), "color"),
)


def american(value: str) -> str:
    """Return the American spelling of an option's value; the British one is understood, too."""
    for british, spelling in _AMERICAN:
        value = british.sub(spelling, value)
    return value


@dataclass(frozen=True, kw_only=True)
class Description:
    """What an option's field says about it beside its type and default.

    Attributes:
        help: One line, for the command line and the documentation.
        details: What the documentation adds.
        minimum: Smallest number allowed.
        between: Two numbers that the value lies between.
        flag: What the command line calls it, such as ``"--bootstrap"``; by its name if empty.
        panel: The heading that ``--help`` shows it under.
        metavar: What ``--help`` shows for the value; by its type if empty.
        unset: What None means, in a few words.
        switch: Of an option that is on by default: the flag that turns it off, and the help text of that.
        decides: Whether the result depends on it, so that a manifest and a resume have to know.
    """

    help: str
    details: str = ""
    minimum: float | None = None
    between: tuple[float, float] | None = None
    flag: str = ""
    panel: str = ""
    metavar: str = ""
    unset: str = ""
    switch: tuple[str, str] | None = None
    decides: bool = True


def option(*, default: Any, help: str, min: float | None = None, **about: Any) -> Any:
    """Describe an option; a field of a class that derives from :class:`Options`.

    Args:
        default: Its default.
        help: One line, for the command line and the documentation.
        min: Smallest number allowed.
        **about: Whatever else :class:`Description` has.
    """
    return field(default=default, metadata={_METADATA: Description(help=help, minimum=min, **about)})


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(option,))
class Options:
    """The base of all options: subclasses are frozen, keyword-only dataclasses that check their values."""

    def __init_subclass__(cls, **rest: Any) -> None:
        super().__init_subclass__(**rest)
        dataclass(frozen=True, kw_only=True)(cls)

    def __post_init__(self) -> None:
        for name, (kind, about) in described(type(self)).items():
            object.__setattr__(self, name, _checked(name, getattr(self, name), kind, about))

    def settings(self) -> dict[str, Any]:
        """The options that decide the result, by name."""
        return {name: getattr(self, name) for name, (_, about) in described(type(self)).items() if about.decides}

    def keywords(self, of: type[Options] | None = None) -> dict[str, Any]:
        """All options by name, as they are given to a function; or those that a base class has."""
        return {name: getattr(self, name) for name in described(of or type(self))}


O = TypeVar("O", bound=Options)  # noqa: E741
F = TypeVar("F", bound=Callable[..., Any])


def described(kind: type[Options]) -> dict[str, tuple[Any, Description]]:
    """The options of a class: name -> type and description."""
    hints = get_type_hints(kind)
    return {each.name: (hints[each.name], each.metadata[_METADATA]) for each in _fields(kind)}


def defaults(kind: type[Options]) -> dict[str, Any]:
    """The options of a class: name -> default."""
    return {each.name: each.default for each in _fields(kind) if each.default is not MISSING}


def _fields(kind: type[Options]) -> tuple[Field[Any], ...]:
    found: tuple[Field[Any], ...] = fields(kind)  # type: ignore[arg-type]
    return found


def from_keywords(kind: type[O], options: O | None, given: Mapping[str, Any]) -> O:
    """The options that a function was called with: an object, keyword arguments, or an object changed by some.

    Args:
        kind: The class of options.
        options: The object, which may have more options than the class; or None for the defaults.
        given: Keyword arguments.

    Raises:
        InputError: There is no such option, or a value is wrong.
    """
    names = described(kind)
    for name in given:
        if name not in names:
            raise InputError(f"there is no option {name!r}: {did_you_mean(name, names)}")
    if options is None:
        return kind(**given)
    return kind(**(options.keywords(kind) | dict(given)))


def takes_options(kind: type[Options]) -> Callable[[F], F]:
    """Show each option of a class in the signature and the docstring of a function with ``**fields``.

    The docstring has ``{options}`` on a line of its own where they go in ``Args``.
    """

    def decorate(function: F) -> F:
        signature = inspect.signature(function)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        default = defaults(kind)
        shown = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default[name], annotation=hint)
            for name, (hint, _) in described(kind).items()
        ]
        target: Any = function
        target.__signature__ = signature.replace(parameters=[*own, *shown])
        if function.__doc__:
            target.__doc__ = re.sub(r"^( *)\{options\}$", _documented(kind), function.__doc__, flags=re.M)
        return function

    return decorate


def _documented(kind: type[Options]) -> Callable[[re.Match[str]], str]:
    """One entry of a Google-style ``Args`` section for each option."""

    def lines(found: re.Match[str]) -> str:
        indent = found[1]
        return "\n".join(
            textwrap.fill(f"{name}: {explained(about)}", 120, initial_indent=indent, subsequent_indent=indent + "    ")
            for name, (_, about) in described(kind).items()
        )

    return lines


def explained(about: Description) -> str:
    """An option in full: its help text, its details, and what None means."""
    unset = f"None: {about.unset}." if about.unset else ""
    return " ".join(part for part in (about.help, about.details, unset) if part)


def choices(kind: Any) -> tuple[str, ...]:
    """The values of a ``Literal``, also of one that may be None; empty for another type."""
    if get_origin(kind) is Literal:
        return get_args(kind)
    return next((found for part in get_args(kind) if (found := choices(part))), ())


def _checked(name: str, value: Any, kind: Any, about: Description) -> Any:
    """The value, in American spelling where it is one of several words.

    Raises:
        InputError: It is of another type, not among the choices, or out of bounds.
    """
    types = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    if value is None and NoneType in types:
        return None
    if allowed := choices(kind):
        word = american(value) if isinstance(value, str) else value
        for candidate in (value, word):
            if candidate in allowed:
                return candidate
        hint = f"; {did_you_mean(value, allowed)}" if isinstance(value, str) else ""
        raise InputError(f"{name} is {value!r}: choose from {', '.join(allowed)}{hint if 'mean' in hint else ''}")
    simple = tuple(each for each in types if isinstance(each, type) and each is not NoneType)
    numbers = (int,) if float in simple else ()
    fits = isinstance(value, simple + numbers) and (not isinstance(value, bool) or bool in simple)
    if simple and not fits:
        wanted = " or ".join(_CALLED.get(each, each.__name__) for each in simple)
        raise InputError(f"{name} is {value!r}: it has to be {wanted}")
    if about.minimum is not None and not value >= about.minimum:
        raise InputError(f"{name} is {value}: it has to be at least {about.minimum:g}")
    if about.between and not about.between[0] < value < about.between[1]:
        low, high = about.between
        raise InputError(f"{name} is {value}: it has to be between {low:g} and {high:g}")
    return value


_CALLED = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


_SPLIT = "Split of a folder, a datasets id or a built-in task."


class RowOptions(Options):
    """Which rows are read, and which of their tokens carry loss."""

    split: str = option(default="train", panel="Data", help=_SPLIT)
    limit: int | None = option(
        default=None, min=1, panel="Data", metavar="N", help="Only the first rows.", unset="all of them"
    )
    loss_on: LossOn = option(
        default="auto",
        panel="Data",
        help="Tokens with loss; auto: completion, assistant's turns, or all of plain text.",
    )


class ReadingOptions(RowOptions):
    """What becomes of rows that are too long."""

    max_length: int | None = option(
        default=None, min=2, panel="Data", metavar="N", help="Tokens per example at most.", unset="no limit"
    )
    overlong: Overlong = option(
        default="truncate",
        panel="Data",
        help="What happens to examples over max_length.",
        details='``"truncate"`` at the end, as TRL does, or ``"drop"``; both are counted in ``provenance["report"]``.',
    )


class MeasureOptions(Options):
    """How activation levels are measured."""

    placement: Placement = option(
        default="example",
        panel="Measure",
        help="Where the absolute value is taken: per example (the paper's), per token, or not at all.",
        details='``"example"`` and ``"none"`` store signed levels; ``"token"`` stores Σ_i |⟨z_i, ∂L/∂z_i⟩|.',
    )
    loss: Loss = option(
        default="mean",
        panel="Measure",
        help="Each example's mean token loss (the paper's), its sum, or the mean of a batch (the authors' script).",
        details='Under ``"batch-mean"``, ``batch_size`` examples (4 by default) in input order share one mean.',
    )
    objective: Objective = option(
        default="loss",
        panel="Measure",
        help="Differentiate the loss (the paper's), or the tokens' log odds, which do not vanish as the loss falls.",
        details='``"margin"`` is of -log(p / (1 - p)), with 1 - p at least 1e-3, and gives the reading ``"margin"``.',
    )
    sketch: int | None = option(
        default=None,
        min=0,
        panel="Measure",
        metavar="K",
        help="Also each head's gradient in K random directions; 0: as many as make 8,192 numbers a row.",
        details="They become ``PatternSet.sketches`` (:mod:`headprint.measure.sketch`).",
        unset="levels only",
    )
    blocks: Blocks = option(
        default="heads",
        panel="Measure",
        help="Whose gradients are sketched: the heads', or each layer's MLP's as well.",
        details="MLPs become ``PatternSet.mlp_sketches``, as many numbers as a layer's heads have "
        "(:mod:`headprint.measure.mlp_tap`).",
    )
    sketch_seed: int = option(default=0, min=0, panel="Measure", metavar="N", help="Seed of those directions.")
    verify: bool = option(
        default=True,
        panel="Measure",
        switch=("--no-verify", "Skip the check of a model that headprint's tests do not cover."),
        decides=False,
        help="Check a model that headprint's tests do not cover against the materialised definition first.",
    )
    compute_dtype: LowerDtype | None = option(
        default=None,
        panel="Model",
        help="Precision of matrix products under autocast; the rest is float32.",
        details="The weights are float32 or of this precision already.",
        unset="that of the weights",
    )


class LoadingOptions(Options):
    """How a model that is given by name is loaded."""

    dtype: Dtype = option(
        default="auto", panel="Model", decides=False, help="Of the weights of a model given by name; auto: as stored."
    )
    device: str | None = option(
        default=None,
        panel="Model",
        metavar="DEVICE",
        decides=False,
        help="For a model given by name, such as cpu, cuda:1, or auto: over all devices.",
        unset="a GPU if there is one",
    )
    attn_implementation: str | None = option(
        default=None,
        panel="Model",
        metavar="KERNEL",
        decides=False,  # the manifest has the kernel that was used
        help="Attention kernel, such as sdpa, eager, flash_attention_2.",
        unset="the model's own",
    )
    trust_remote_code: bool = option(
        default=False, panel="Model", decides=False, help="Run code that comes with a model given by name."
    )


class BatchOptions(Options):
    """How many rows go through a model at once."""

    batch_tokens: int | None = option(
        default=None,
        min=1,
        panel="Batches",
        metavar="N",
        decides=False,
        help="Tokens per batch, padding included.",
        details="Halved when memory runs out.",
        unset="what fits and is fast",
    )


class ExtractOptions(BatchOptions, LoadingOptions, MeasureOptions, ReadingOptions):  # fields from the last to the first
    """The options of :func:`headprint.extract`."""

    batch_size: int | None = option(
        default=None,
        min=1,
        panel="Batches",
        metavar="N",
        decides=False,  # but for the batch mean: see measure.extraction
        help="Examples per batch at most.",
    )
    checkpointing: bool = option(
        default=False,
        panel="Batches",
        decides=False,
        help="Recompute layers in the backward: less memory, about a third more time.",
    )
    shard_size: int = option(
        default=512,
        min=1,
        panel="Batches",
        metavar="N",
        help="Examples per file, the unit that is written and resumed.",
    )


class TuningOptions(Options):
    """How selectors that train the model first do so: a few steps of AdamW on a copy, at a constant rate."""

    tuning_steps: int = option(default=32, min=1, panel="Tuning", metavar="N", help="Steps of training before scores.")
    tuning_batch: int = option(default=8, min=1, panel="Tuning", metavar="N", help="Rows a step.")
    tuning_rate: float = option(default=1e-4, min=0, panel="Tuning", metavar="RATE", help="Learning rate of those.")


class ScoreOptions(TuningOptions):
    """How the rows of a pool are scored for a target, and taken by their scores."""

    method: str | None = option(
        default=None,
        panel="Scores",
        metavar="NAME",
        help=f"How rows are scored: {METHOD_NAMES}, or what a package adds (docs: select).",
        details="A name in :data:`headprint.analysis.selection.SELECTORS`.",
        unset="head-gradient; correlation of sets without head gradients",
    )
    pick: Pick = option(
        default="top",
        panel="Scores",
        help="top: by the target as a whole; max: by the best score for one of its rows; round-robin: each of its rows "
        "in turn takes its best.",
    )
    levels: SelectionLevels = option(
        default="raw",
        panel="Scores",
        help="standardized: over the pool, head by head; change: less the levels before training.",
    )
    signed: bool = option(default=False, panel="Scores", help="Compare signed levels, not their sizes.")
    embedding_model: str = option(
        default=EMBEDDING_MODEL,
        panel="Scores",
        metavar="MODEL",
        help="Of sentence-transformers, a directory or hub id.",
    )
    near_duplicates: float | None = option(
        default=None,
        between=(0, 1),
        panel="Scores",
        metavar="SHARE",
        help="Leave out a row that has this share of its runs of five words in common with one taken before.",
        unset="none is left out",
    )
    diversity: float | None = option(
        default=None,
        between=(0, 1),
        panel="Scores",
        metavar="WEIGHT",
        help="Weight of being unlike the rows taken before (maximal marginal relevance).",
        unset="score only",
    )
    seed: int = option(default=0, min=0, panel="Scores", metavar="N", help="Seed of whatever is random.")


class SelectOptions(ScoreOptions, ExtractOptions):
    """The options of :func:`headprint.select`."""


class AnswerOptions(BatchOptions, LoadingOptions, RowOptions):
    """Which rows a model is evaluated on, and how it answers."""

    split: str = option(default="test", panel="Data", help=_SPLIT)
    max_new_tokens: int = option(default=256, min=1, panel="Answers", metavar="N", help="Tokens of an answer at most.")


class EvaluateOptions(AnswerOptions):
    """The options of :func:`headprint.evaluate`."""

    loss: bool = option(
        default=True,
        panel="Data",
        switch=("--no-loss", "Answers only: rows need no completion."),
        help="Take the held-out loss as well, on the tokens that training learns.",
    )


class AblateOptions(AnswerOptions):
    """The options of :func:`headprint.ablate`."""

    mode: AblationMode = option(
        default="zero",
        panel="Heads",
        help="Replace a head's output by zero, or by its mean over tokens.",
        details="The mean keeps what does not depend on the input (Wang et al. 2022, https://arxiv.org/abs/2211.00593).",
    )
    random: int = option(
        default=20, min=0, panel="Heads", metavar="N", help="Draws of as many random heads, from all heads alike."
    )
    layer_matched: int = option(
        default=0,
        min=0,
        panel="Heads",
        metavar="N",
        help="Draws of random heads with as many of each layer as the ranking has.",
        details="Do the heads matter, or only the layers they are in?",
    )
    seed: int = option(
        default=0,
        min=0,
        panel="Heads",
        help="Seed of the draws.",
        details="The draws of one number of heads do not depend on the others.",
    )
    other_model: bool = option(
        default=False,
        panel="Heads",
        help="Accept a pattern of another model of the same shape.",
        details="Such as the model before fine-tuning.",
    )
    scored_draws: int = option(
        default=3, min=0, panel="Answers", metavar="N", help="Random draws for which answers are scored, too."
    )
    confidence: float = option(default=0.95, between=(0, 1), panel="Output", help="Of all intervals, between 0 and 1.")


class BootstrapOptions(Options):
    """How intervals over examples are made: the options of :class:`headprint.analysis.Bootstrap`."""

    draws: int = option(
        default=1000,
        min=0,
        flag="--bootstrap",
        panel="Intervals",
        metavar="N",
        help="Resamples of the examples; 0: no intervals.",
    )
    seed: int = option(default=0, min=0, panel="Intervals", metavar="N", help="Seed of the resamples.")
    confidence: float = option(
        default=0.95, between=(0, 1), panel="Intervals", help="Of the intervals, between 0 and 1."
    )
    method: IntervalMethod = option(default="basic", panel="Intervals", help="How draws become an interval.")


class DecompositionOptions(Options):
    """How a decomposition is fitted and judged."""

    by: DecomposedBy = option(
        default="levels",
        panel="Fit",
        help="Changes of activation levels (the paper's), or head gradients before training.",
        details="Head gradients are sketches (:mod:`headprint.measure.sketch`) and need no fine-tuning.",
    )
    method: RegressionMethod = option(
        default="nnls",
        panel="Fit",
        help="nnls: no negative weights, so that they can become shares; lstsq: of any sign.",
    )
    relative: bool = option(
        default=False,
        panel="Fit",
        help="Fit change rates ΔAP/AP, not ΔAP.",
        details="The paper speaks of both.",
    )
    intercept: bool = option(default=False, panel="Fit", help="Fit a constant, too.")
    hold_out: HeldOut = option(
        default="heads",
        panel="Intervals and nulls",
        help="Test the fit on random parts of the heads in turn, or each layer.",
    )
    folds: int = option(default=10, min=2, panel="Intervals and nulls", metavar="N", help="Parts of the heads.")
    permutations: int = option(
        default=1000,
        min=0,
        panel="Intervals and nulls",
        metavar="N",
        help="Targets with permuted heads; by gradients also random tasks.",
        details="0 for no null.",
    )
    permute_within: PermuteWithin = option(
        default="layer",
        panel="Intervals and nulls",
        help="Permute heads within layers or all.",
        details="Within layers keeps the profile over depth that all tasks share, and asks for more than it.",
    )
    seed: int = option(default=0, min=0, panel="Intervals and nulls", help="Seed of everything random.")


class MixOptions(ExtractOptions):
    """How weights become rows, and the options of :func:`headprint.mix_for`, which finds them."""

    measured: int = option(
        default=512,
        min=4,
        panel="Mixture",
        metavar="N",
        help="Rows of each task, at most, whose head gradients are measured.",
    )

    weights: MixtureWeights = option(
        default="shares",
        panel="Mixture",
        help="Of the decomposition: the shares drawn towards the uniform mixture, or those of the fit (the paper's).",
    )
    negative: NegativeWeights = option(default="refuse", panel="Mixture", help="What becomes of a negative weight.")
    oversample: bool = option(default=False, panel="Mixture", help="Repeat rows where there are too few.")
    seed: int = option(default=0, min=0, panel="Mixture", metavar="N", help="Seed of the draw and the order.")


class TrainOptions(Options):
    """Which rows a fine-tune reads, and how its model is loaded."""

    split: str = option(default="train", panel="Data", help=_SPLIT)
    limit: int | None = option(
        default=None, min=1, panel="Data", metavar="N", help="Only the first rows.", unset="all of them"
    )
    dtype: Dtype | None = option(
        default=None,
        panel="Model",
        help="Of the weights of a model given by name.",
        details="TRL trains float32 in bfloat16 by autocast where there is a CUDA device.",
        unset="float32",
    )
    attn_implementation: str | None = option(
        default=None,
        panel="Model",
        metavar="KERNEL",
        help="For a model given by name: attention kernel, such as sdpa, eager.",
        unset="the model's own",
    )
    trust_remote_code: bool = option(
        default=False, panel="Model", help="Run code that comes with a model given by name."
    )
