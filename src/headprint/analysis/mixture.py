"""The paper's application 1: rows of basic tasks in the shares of a decomposition (arXiv 2409.15820, section 5).

    budgets = mixture_budgets({"math": 0.7, "code": 0.4}, 1000)        # N α_i / Σ α_i
    mixed = mix({"math": "math.jsonl", "code": "code.jsonl"}, budgets, seed=1)
    mixed.write("mix.jsonl")

The baseline is :func:`random_budgets`: as many rows, drawn from all sources alike.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from headprint.base.errors import InputError, did_you_mean
from headprint.base.files import read_json, write_json, write_json_lines
from headprint.base.options import MixtureWeights, NegativeWeights
from headprint.data import Row, Source, describe, fingerprint, read_rows, row_id

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Mixed",
    "NegativeWeights",
    "Size",
    "load_weights",
    "mix",
    "mixture_budgets",
    "random_budgets",
    "token_size",
    "within_budget",
]

Size: TypeAlias = Callable[[Row], int]
"""What a row takes of its task's budget."""

# What TRL trains on. Other columns stay behind: they differ from source to source, and `datasets`
# does not load a file whose columns change their type on the way.
_COLUMNS = ("prompt", "completion", "messages", "text", "input_ids", "labels", "tools", "chat_template_kwargs")


@dataclass(frozen=True)
class Mixed:
    """Rows in training order, and where they come from.

    Attributes:
        rows: ``id``, ``task`` and TRL's columns.
        provenance: Seed, budgets, sources with their hashes, and the rows and size taken of each (JSON-able).
    """

    rows: list[dict[str, Any]]
    provenance: dict[str, Any]

    def write(self, path: str | Path) -> Path:
        """Write the rows as JSON Lines, and their provenance beside them as ``NAME.mix.json``.

        Returns:
            Where the provenance is.

        Raises:
            InputError: A file cannot be written.
        """
        path = Path(path)
        beside = path.with_suffix(".mix.json")
        write_json_lines(path, self.rows)
        write_json(beside, self.provenance)
        return beside


def mixture_budgets(
    weights: Mapping[str, float], total: int, *, negative: NegativeWeights = "refuse"
) -> dict[str, int]:
    """Share a budget out as N α_i / Σ α_i, rounded so that the sum is N (largest remainders).

    Args:
        weights: α by task. Of equal remainders, that of the task named first is rounded up.
        total: N, in rows or tokens.
        negative: What to do about a negative weight, which the paper leaves open: ``"refuse"`` it,
            or ``"clip"`` it to 0.

    Returns:
        The budget of each task, in the unit of ``total``.

    Raises:
        InputError: A weight is negative, NaN or infinite, none is positive, or the total is below 1.
    """
    if total < 1:
        raise InputError(f"the total of a mixture is {total}: ask for 1 or more")
    for task, weight in weights.items():
        if not np.isfinite(weight):
            raise InputError(f"the weight of {task!r} is {weight}: fit it again")
        if weight < 0 and negative == "refuse":
            raise InputError(
                f"the weight of {task!r} is {weight:.4g}, and a mixture cannot take fewer than 0 rows: decompose by "
                "nnls (--method nnls), or clip it to 0 (--negative clip)"
            )
    shares = np.maximum(0.0, list(weights.values()))
    if not shares.sum() > 0:
        raise InputError("no task has a positive weight: there is nothing to mix")
    exact = total * (shares / shares.sum())
    counts = np.floor(exact).astype(int)
    first = np.argsort(-(exact - counts), kind="stable")[: total - counts.sum()]
    counts[first] += 1
    return dict(zip(weights, counts.tolist(), strict=True))


def random_budgets(rows: Mapping[str, int], total: int, *, seed: int = 0, oversample: bool = False) -> dict[str, int]:
    """Draw N rows from all sources together, and count how many are of each task.

    Args:
        rows: Available rows, by task.
        total: N.
        seed: Of the draw.
        oversample: Draw with replacement, so that N may exceed the number of rows.

    Raises:
        InputError: There are fewer rows.
    """
    sizes = np.array(list(rows.values()))
    if total < 1 or sizes.sum() < 1 or (total > sizes.sum() and not oversample):
        raise InputError(
            f"{total:,} rows asked for, {sizes.sum():,} available: "
            "ask for fewer (--total) or repeat rows (--oversample)"
        )
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(total, sizes / sizes.sum()) if oversample else rng.multivariate_hypergeometric(sizes, total)
    return dict(zip(rows, drawn.tolist(), strict=True))


def mix(
    sources: Mapping[str, Source],
    budgets: Mapping[str, int],
    *,
    seed: int = 0,
    oversample: bool = False,
    size: Size | None = None,
    split: str = "train",
) -> Mixed:
    """Draw rows of each task and shuffle them.

    Rows are drawn without replacement. With ``oversample``, a source that is too small is gone
    through again in a new order, and each repeat gets an id of its own: loaders that mix by fractions
    never repeat, so the file itself must. Sources are read twice, and only the chosen rows are held.

    Args:
        sources: Where each task's rows are, as :func:`headprint.data.rows.read_rows`.
        budgets: Rows of each task, or what ``size`` counts.
        seed: Of the draw and the order. A task's rows do not depend on what other tasks there are.
        oversample: Repeat rows where there are too few.
        size: What a row takes of the budget, such as its tokens; 1 if None. Rows are taken until their
            sizes come nearest to the budget.
        split: Of a source that has several.

    Raises:
        InputError: A task has no source, a source has too few rows, or formats differ.
    """
    _check_names(sources, budgets)
    mixed: list[dict[str, Any]] = []
    taken: dict[str, Any] = {}
    format_of: dict[str, tuple[str, ...]] = {}
    for task in filter(budgets.get, budgets):  # tasks with something to take
        source = sources[task]
        sizes = np.array([size(row) if size else 1 for row in read_rows(source, split=split)])
        own = np.random.default_rng([seed, zlib.crc32(task.encode())])
        order = _draw(task, sizes, budgets[task], own, oversample)
        times = Counter(order.tolist())
        for index, row in enumerate(read_rows(source, split=split)):
            for repeat in range(times.get(index, 0)):
                mixed.append(_row(task, row, index, repeat, format_of))
        taken[task] = {
            "source": describe(source),
            "content": fingerprint(source, split=split),
            "available": len(sizes),
            "budget": budgets[task],
            "rows": len(order),
            "size": int(sizes[order].sum()),
        }
    shuffled = [mixed[index] for index in np.random.default_rng(seed).permutation(len(mixed))]
    return Mixed(shuffled, {"seed": seed, "oversample": oversample, "rows": len(shuffled), "tasks": taken})


def load_weights(path: str | Path, weights: MixtureWeights = "shares") -> dict[str, float]:
    """Read weights from a file that ``headprint decompose --out`` wrote.

    Args:
        path: The file.
        weights: ``"shares"``: those drawn towards the uniform mixture
            (:mod:`headprint.analysis.decomposition.shares`), or the weights of the fit if the target had no rows to
            find them with; or ``"fit"``: the weights of the fit, as in the paper.

    Raises:
        InputError: The file is missing or is not a decomposition, or the discovery found no basis.
    """
    content = read_json(path)
    if isinstance(content, dict) and "fit" in content:
        if content["fit"] is None:
            raise InputError(f"{path}: the discovery found no basis, so there is nothing to mix: name basic tasks")
        content = content["fit"]
    try:
        found = content["weights"]
        if weights == "shares" and content.get("mixture"):
            found = content["mixture"]["shares"]
        return {task: float(weight["value"]) for task, weight in found.items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is not a decomposition: give a file of headprint decompose --out") from error


def within_budget(sizes: ArrayLike, budget: int) -> int:
    """Return how many items, taken in order, come nearest to a budget; of two equally near, the fewer.

    Args:
        sizes: (M,) sizes in the order of taking, 0 or more: tokens, or 1 each for rows.
        budget: In the unit of the sizes.
    """
    sums = np.concatenate([[0], np.cumsum(np.asarray(sizes, dtype=np.int64))])
    return int(np.argmin(np.abs(sums - budget)))  # the first of equals


def token_size(tokenizer: Any) -> Size:
    """Return a function that counts the tokens of a row that training takes a loss on, as TRL does.

    Args:
        tokenizer: A transformers tokenizer, or the name of one (:func:`headprint.models.load_tokenizer`).

    Raises:
        InputError: If it cannot be loaded.
    """
    from headprint.data.tokenization import tokenize_row

    if isinstance(tokenizer, str):
        from headprint.models import load_tokenizer

        tokenizer = load_tokenizer(tokenizer)
    return lambda row: tokenize_row(row, tokenizer).supervised


def _check_names(sources: Mapping[str, Source], budgets: Mapping[str, int]) -> None:
    for task, budget in budgets.items():
        if budget and task not in sources:
            raise InputError(f"there are no rows of {task!r}: give --from {task}=FILE ({did_you_mean(task, sources)})")
    for task in sources:
        if task not in budgets:
            raise InputError(f"the weights have no task {task!r}: {did_you_mean(task, budgets)}")


def _draw(task: str, sizes: NDArray[Any], budget: int, rng: np.random.Generator, oversample: bool) -> NDArray[np.int64]:
    """Draw rows until their sizes come nearest to the budget; their indices."""
    available = int(sizes.sum())
    if available < budget and (not oversample or not available):
        raise InputError(
            f"{task}: {budget:,} asked for, {available:,} available: "
            "ask for less (--total) or repeat rows (--oversample)"
        )
    passes = -(-budget // available) if available else 0
    order = np.concatenate([np.empty(0, np.int64), *(rng.permutation(len(sizes)) for _ in range(passes))])
    return order[: within_budget(sizes[order], budget)]


def _row(task: str, row: Row, index: int, repeat: int, format_of: dict[str, tuple[str, ...]]) -> dict[str, Any]:
    data = {name: row.data[name] for name in _COLUMNS if row.data.get(name) is not None}
    columns = tuple(f"{name} ({type(value).__name__})" for name, value in data.items())
    other, known = next(iter(format_of.items()), (task, columns))
    format_of.setdefault(task, columns)
    if columns != known:
        raise InputError(
            f"{row.place}: its columns {', '.join(columns) or 'are none that TRL trains on'}, and those of {other} are "
            f"{', '.join(known)}: one file has one format"
        )
    name = f"{task}/{row_id(row, index)}"
    return {"id": f"{name}#{repeat + 1}" if repeat else name, "task": task, **data}
