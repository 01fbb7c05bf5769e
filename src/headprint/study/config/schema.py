"""The whole config: the fields that all chapters share, and a block for each chapter that has settings of its own.

Every field is one line of the file. An unknown one is refused with the nearest name, so that a
typing error never silently runs another study.
"""

from __future__ import annotations

from dataclasses import asdict, field, fields, is_dataclass
from pathlib import Path
from types import NoneType
from typing import Any, Protocol, get_args, get_type_hints

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from headprint.base.errors import InputError, did_you_mean
from headprint.study.bounds import Distinct
from headprint.study.chapters import CHAPTERS
from headprint.study.chapters.ablation import Ablations
from headprint.study.chapters.evidence.settings import Evidence
from headprint.study.chapters.fits import Fits
from headprint.study.chapters.mixture import Mixtures
from headprint.study.chapters.selection import Selections
from headprint.study.config.files import absolute, read
from headprint.study.groundwork import BaseConfig
from headprint.study.records import STRICT


class Block(Protocol):
    """The settings of one chapter."""

    def check(self, config: BaseConfig) -> None:
        """Refuse what contradicts the rest of the config."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class StudyConfig(BaseConfig):
    """A study.

    Attributes:
        fits: Decompositions.
        mixtures: Table 2; None leaves it out.
        selections: Table 3; None leaves it out.
        ablations: Heads switched off; None leaves it out.
        evidence: Which scores of rows predict what training on them does; None leaves it out.
        chapters: Names of the chapters that are made; None: all that the config has settings for.
    """

    fits: Fits = field(default_factory=Fits)
    mixtures: Mixtures | None = None
    selections: Selections | None = None
    ablations: Ablations | None = None
    evidence: Evidence | None = None
    chapters: Distinct[str] | None = None

    def __post_init__(self) -> None:
        blocks: list[Block | None] = [self.fits, self.mixtures, self.selections, self.ablations, self.evidence]
        for block in blocks:
            if block is not None:
                block.check(self)
        for name, task in self.tasks.items():
            self.check_tasks(f"tasks.{name}.parts", task.parts)
        known = [chapter.name for chapter in CHAPTERS]
        for name in self.chapters or ():
            if name not in known:
                raise InputError(f"chapters: there is no chapter {name!r}; {did_you_mean(name, known)}")

    @property
    def basis(self) -> list[str]:
        """The tasks that others are composed of."""
        return self.fits.basis_of(self)

    @property
    def targets(self) -> list[str]:
        """The tasks that are decomposed."""
        return self.fits.targets_of(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain types; :func:`parse` reads them back."""
        return asdict(self)

    def resolved(self, folder: Path) -> StudyConfig:
        """The same study with every relative path made absolute.

        Args:
            folder: That the paths are relative to.
        """
        return parse(absolute(self.to_dict(), folder))


def load(name: str | Path) -> StudyConfig:
    """Read a config.

    Args:
        name: A YAML file, or the name of one that comes with headprint (:func:`.builtin`).

    Raises:
        InputError: There is none, it is not YAML, or a field is unknown or wrong.
    """
    return parse(read(name), where=str(name))


def parse(content: Any, *, where: str = "the config") -> StudyConfig:
    """Read a config from plain types.

    Args:
        content: Such as YAML gives.
        where: Its name, for messages.

    Raises:
        InputError: A field is unknown, missing or wrong: which, and the nearest name.
    """
    if not isinstance(content, dict):
        raise InputError(f"{where}: a study is a mapping of fields such as name, models and tasks")
    try:
        return TypeAdapter(StudyConfig).validate_python(content)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    except ValidationError as error:
        raise InputError(f"{where}: {_first(error)}") from error
    except RecursionError:
        raise InputError(f"{where}: it is nested too deeply") from None


def _first(error: ValidationError) -> str:
    """The first thing that is wrong, in one line."""
    first = error.errors()[0]
    place = [str(part) for part in first["loc"]]
    name = ".".join(place)
    if isinstance(own := first.get("ctx", {}).get("error"), InputError):
        return str(own)
    if first["type"] == "unexpected_keyword_argument":
        return f"{name}: there is no such field; {did_you_mean(place[-1], _fields_at(place[:-1]))}"
    if first["type"] == "missing":
        return f"{name} is missing"
    shown = repr(first["input"])
    shown = shown if len(shown) <= 80 else f"{shown[:80]}…"
    return f"{name} is {shown}: {first['msg'][0].lower()}{first['msg'][1:]}"


def _fields_at(place: list[str]) -> list[str]:
    """Names of the fields of the dataclass at a place of the config."""
    kind: Any = StudyConfig
    for name in place:
        if is_dataclass(kind):
            kind = get_type_hints(kind).get(name)
            if NoneType in get_args(kind):
                kind = next(each for each in get_args(kind) if each is not NoneType)
        else:  # a mapping
            kind = get_args(kind)[-1] if get_args(kind) else None
    return [each.name for each in fields(kind)] if is_dataclass(kind) else []
