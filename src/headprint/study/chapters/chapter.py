"""What a chapter is: the code of one claim, from its jobs to what a reader sees of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Generic, TypeAlias, TypeVar

from headprint.study.groundwork import Run
from headprint.study.pipeline import Cache, Job
from headprint.study.verdicts import Evidence, Finding, Verdict, concluded
from headprint.study.views import Figure, Text

ExhibitT = TypeVar("ExhibitT")
View: TypeAlias = Figure | Text

Jobs: TypeAlias = Mapping[tuple[str, ...], Job]
"""The jobs that a chapter reads, each under what it is of."""


@dataclass(frozen=True)
class Planned:
    """A chapter's jobs of one model and seed."""

    run: Run
    jobs: Jobs


@dataclass(frozen=True, kw_only=True)
class Claim(Generic[ExhibitT]):
    """What is claimed, and how an exhibit decides it.

    Attributes:
        text: In a sentence.
        evidence: What the exhibit says about it.
        meanings: What the verdicts mean for this claim.
        is_question: Whether the paper leaves it open.
    """

    text: str
    evidence: Callable[[ExhibitT], Evidence]
    meanings: Mapping[Verdict, str] = field(default_factory=dict)
    is_question: bool = False


@dataclass(frozen=True, kw_only=True)
class Chapter(Generic[ExhibitT]):
    """One claim of the paper, or a question of our own.

    Attributes:
        name: In messages, the attribute of the results that holds its exhibit, and the anchor on the page.
        exhibit: A record whose fields are keys of ``exhibits`` in ``results.json``.
        plan: The jobs of one model and seed that the exhibit is made of; none if the config leaves the chapter out.
        collect: Makes the exhibit from finished jobs, one :class:`Planned` for each model and seed.
        title: Heading.
        question: What is asked, in a sentence or two.
        views: What a reader sees of an exhibit, from top to bottom, given the seeds of the study.
        claim: None if the chapter only reports.
    """

    name: str
    exhibit: type[ExhibitT]
    plan: Callable[[Run], Jobs]
    collect: Callable[[Sequence[Planned], Cache], ExhibitT]
    title: str
    question: str
    views: Callable[[ExhibitT, Sequence[int]], Sequence[View]]
    claim: Claim[ExhibitT] | None = None

    @property
    def exhibits(self) -> tuple[str, ...]:
        """Keys of ``exhibits`` in ``results.json``."""
        return tuple(field.name for field in fields(self.exhibit))  # type: ignore[arg-type]

    def finding(self, exhibit: ExhibitT | None, seeds: Sequence[int]) -> Finding | None:
        """What became of the claim; None if the chapter makes none.

        Args:
            exhibit: Of this chapter; None if the study has none.
            seeds: Of the study.
        """
        if self.claim is None:
            return None
        evidence = Evidence() if exhibit is None else self.claim.evidence(exhibit)
        meanings, is_question = self.claim.meanings, self.claim.is_question
        count = len(seeds) if evidence.seeds is None else evidence.seeds
        return concluded(self.name, self.claim.text, evidence, seeds=count, meanings=meanings, is_question=is_question)
