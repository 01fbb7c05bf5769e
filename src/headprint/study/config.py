"""What a study does: a YAML file, read strictly into dataclasses.

Every field is one line of the file. An unknown one is refused with the nearest name, so that a
typing error never silently runs another study.
"""

from __future__ import annotations

from dataclasses import asdict, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from headprint.base.errors import InputError
from headprint.study.configfile import builtin as builtin
from headprint.study.configfile import nearest, read

_STRICT = ConfigDict(extra="forbid")

Kind: TypeAlias = Literal["basic", "complex"]
Arm: TypeAlias = Literal["random", "mixture", "permuted", "named", "longer"]
Method: TypeAlias = Literal[
    "random",
    "raw-correlation",
    "raw-cosine",
    "standardised-correlation",
    "standardised-cosine",
    "change-correlation",
    "change-cosine",
]


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class ModelConfig:
    """One model.

    Attributes:
        model: Directory, hub id, or ``lab``.
        dtype: Of the weights: ``auto`` as stored, ``float32``, ``bfloat16`` ...
        attn_implementation: Attention kernel; None is the model's default.
        sft: Fields of TRL's ``SFTConfig`` for this model, over those of the study.
        lora: Fields of PEFT's ``LoraConfig``; None tunes all weights.
        trust_remote_code: Run code that comes with the model.
    """

    model: str
    dtype: str = "auto"
    attn_implementation: str | None = None
    sft: dict[str, Any] = field(default_factory=dict)
    lora: dict[str, Any] | None = None
    trust_remote_code: bool = False


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class TaskConfig:
    """One task and where its rows are.

    Attributes:
        data: Rows: a file, a folder, a hub id (``name`` or ``name:config``), or ``lab:TASK``.
        kind: ``basic``, or ``complex``: one that others may compose.
        test: Where held-out rows are, if not in another split of ``data``. A single file is divided at random, and so
            is a split that is named for both.
        train_split: Split of ``data`` to train on.
        test_split: Split that probes and tests come from.
        prompt: Jinja template of a row's columns; None: the row has ``prompt`` or ``messages`` already.
        completion: Likewise.
        columns: More columns by Jinja expression, such as ``answer: "choices.label.index(answerKey)"``.
        keep: Jinja expression: the rows that are taken.
        train: Rows to train on, if not the study's own number. A scarce task has few.
        scorer: How an answer is judged (:data:`headprint.evaluation.scorers.SCORERS`); None measures the loss only.
        parts: Of a complex task: the basic tasks that people say it is made of.
        description: For the report.
    """

    data: str
    kind: Kind = "basic"
    test: str | None = None
    train_split: str = "train"
    test_split: str = "test"
    prompt: str | None = None
    completion: str | None = None
    columns: dict[str, str] = field(default_factory=dict)
    keep: str | None = None
    train: int | None = None
    scorer: str | None = None
    parts: list[str] | None = None
    description: str = ""


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Sizes:
    """Rows of each task.

    Attributes:
        train: To train on.
        reserve: To draw mixtures from; None: all that there are.
        probe: Held-out rows whose patterns are measured.
        test: Other held-out rows, whose answers are judged.
    """

    train: int = 1000
    reserve: int | None = None
    probe: int = 100
    test: int = 200


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Fits:
    """Figure 4, and the weights of the mixtures.

    Attributes:
        targets: Tasks to decompose; None: all complex ones.
        basis: Tasks to compose them of; None: all basic ones.
        methods: ``nnls``, ``lstsq``.
        relative: Fit change rates instead of changes.
        permutations: Targets with permuted heads, beside which a fit stands.
        draws: Of the bootstrap, here and in every other exhibit.
    """

    targets: list[str] | None = None
    basis: list[str] | None = None
    methods: list[Literal["nnls", "lstsq"]] = field(default_factory=lambda: ["nnls", "lstsq"])
    relative: bool = False
    permutations: int = 1000
    draws: int = 1000


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Mixtures:
    """Table 2: rows of basic tasks first, the target's few rows then.

    Attributes:
        targets: Complex tasks.
        rows: N, rows of the mixture. All arms train on its supervised tokens.
        arms: What the first stage is. ``mixture``: the decomposition's shares (nnls);
            ``random``: rows drawn from all basic tasks; ``permuted``: the mixture's shares handed to other
            tasks at random; ``named``: the target's ``parts`` in equal shares; ``longer``: the target's own rows again.
        first: Fields of ``SFTConfig`` for the first stage, over the study's.
    """

    targets: list[str]
    rows: int = 1000
    arms: list[Arm] = field(default_factory=lambda: ["random", "mixture"])
    first: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Selections:
    """Table 3: rows of a pool first, the target's few rows then.

    Attributes:
        targets: Complex tasks.
        pool: Where the pool is, as a task.
        pool_rows: Rows of it that are scored.
        rows: K: every method takes the tokens of K average rows of the pool.
        methods: What is compared with the target's pattern, and how.
        first: Fields of ``SFTConfig`` for the first stage, over the study's.
    """

    targets: list[str]
    pool: TaskConfig
    pool_rows: int = 1000
    rows: int = 200
    methods: list[Method] = field(default_factory=lambda: ["random", "raw-correlation", "standardised-cosine"])
    first: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Ablations:
    """Does the level of a head matter causally? After SFT, heads are switched off.

    Attributes:
        tasks: Which tasks' models; None: all.
        ks: How many heads.
        modes: ``zero``, ``mean``.
        random: Draws of as many random heads.
        same_layers: Draws of as many random heads of the same layers as the chosen ones.
        rows: Test rows whose loss is measured; None: all.
    """

    tasks: list[str] | None = None
    ks: list[int] = field(default_factory=lambda: [1, 2, 4, 8, 16])
    modes: list[Literal["zero", "mean"]] = field(default_factory=lambda: ["zero", "mean"])
    random: int = 20
    same_layers: int = 20
    rows: int | None = None


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class StudyConfig:
    """A study.

    Attributes:
        name: For the report.
        models: By name.
        tasks: By name.
        seeds: Of rows, training and draws; every exhibit is made for each.
        sizes: Rows of each task.
        sft: Fields of TRL's ``SFTConfig``.
        scarce_sft: The same for complex tasks, over ``sft``: few rows want more epochs.
        track: Steps at which patterns are taken: ``dense``, a list, or every so many.
        fits: Decompositions.
        mixtures: Table 2; None leaves it out.
        selections: Table 3; None leaves it out.
        ablations: Heads switched off; None leaves it out.
        batch_tokens: Tokens per batch of measuring; None finds a budget.
        max_new_tokens: Of an answer.
    """

    name: str
    models: dict[str, ModelConfig]
    tasks: dict[str, TaskConfig]
    seeds: list[int] = field(default_factory=lambda: [0])
    sizes: Sizes = field(default_factory=Sizes)
    sft: dict[str, Any] = field(default_factory=dict)
    scarce_sft: dict[str, Any] = field(default_factory=dict)
    track: Literal["dense"] | int | list[int] = "dense"
    fits: Fits = field(default_factory=Fits)
    mixtures: Mixtures | None = None
    selections: Selections | None = None
    ablations: Ablations | None = None
    batch_tokens: int | None = None
    max_new_tokens: int = 64

    def __post_init__(self) -> None:
        if not (self.models and self.tasks and self.seeds):
            raise InputError("a study wants at least one of each: models, tasks, seeds")
        for where, names in self._mentions():
            for name in names or ():
                if name not in self.tasks:
                    raise InputError(f"{where}: there is no task {name!r}; {nearest(name, self.tasks)}")
        for name in [*(self.mixtures.targets if self.mixtures else ()), *(self.fits.targets or ())]:
            if name in self.basis:
                raise InputError(f"fits.basis: {name} cannot be composed of itself; name a basis without it")
        if self.mixtures:
            self._check_mixtures(self.mixtures)

    def _check_mixtures(self, given: Mixtures) -> None:
        if not self.basis:
            raise InputError("mixtures: there is no basic task to mix rows of")
        for name in given.targets if "named" in given.arms else ():
            if strange := [part for part in self.tasks[name].parts or [] if part not in self.basis]:
                raise InputError(f"tasks.{name}.parts: {strange[0]} is not of the basis, which arm 'named' mixes")

    def _mentions(self) -> list[tuple[str, list[str] | None]]:
        found = [("fits.targets", self.fits.targets), ("fits.basis", self.fits.basis)]
        for where in ("mixtures", "selections"):
            part = getattr(self, where)
            found.append((f"{where}.targets", part.targets if part else None))
        found.append(("ablations.tasks", self.ablations.tasks if self.ablations else None))
        return found + [(f"tasks.{name}.parts", task.parts) for name, task in self.tasks.items()]

    @property
    def basis(self) -> list[str]:
        """The tasks that others are composed of."""
        return self.fits.basis or [name for name, task in self.tasks.items() if task.kind == "basic"]

    @property
    def targets(self) -> list[str]:
        """The tasks that are decomposed."""
        if self.fits.targets is not None:
            return self.fits.targets
        return [name for name, task in self.tasks.items() if task.kind == "complex"]

    def to_dict(self) -> dict[str, Any]:
        """Plain types; :func:`parse` reads them back."""
        return asdict(self)


def load(name: str | Path) -> StudyConfig:
    """Read a config: a YAML file, or the name of one that comes with headprint (:mod:`headprint.study.configfile`).

    Raises:
        InputError: There is none, it is not YAML, or a field is unknown or wrong.
    """
    return parse(read(name), where=str(name))


def parse(content: Any, *, where: str = "the config") -> StudyConfig:
    """Read a config from plain types.

    Raises:
        InputError: A field is unknown, missing or wrong: which, and the nearest name.
    """
    if not isinstance(content, dict):
        raise InputError(f"{where}: want a mapping of fields such as name, models and tasks")
    try:
        return TypeAdapter(StudyConfig).validate_python(content)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    except ValidationError as error:
        raise InputError(f"{where}: {_told(error)}") from error


def _told(error: ValidationError) -> str:
    """The first thing that is wrong, in one line."""
    first = error.errors()[0]
    place = [str(part) for part in first["loc"]]
    name = ".".join(place)
    if isinstance(own := first.get("ctx", {}).get("error"), InputError):
        return str(own)
    if first["type"] == "unexpected_keyword_argument":
        return f"{name}: there is no such field; {nearest(place[-1], _fields_at(place[:-1]))}"
    if first["type"] == "missing":
        return f"{name} is missing"
    return f"{name} is {first['input']!r}: {first['msg'][0].lower()}{first['msg'][1:]}"


def _fields_at(place: list[str]) -> list[str]:
    """Names of the fields of the dataclass at a place of the config."""
    under: dict[str, Any] = {
        "models": ModelConfig,
        "tasks": TaskConfig,
        "sizes": Sizes,
        "fits": Fits,
        "mixtures": Mixtures,
        "selections": Selections,
        "ablations": Ablations,
    }
    kind: Any = under[place[0]] if place else StudyConfig
    if place[1:] and place[0] == "selections":
        kind = TaskConfig
    return [each.name for each in fields(kind)] if is_dataclass(kind) else []
