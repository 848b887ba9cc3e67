"""What was read in an answer: the text that becomes a candidate, and what was cut out of it and found about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Source:
    """A stretch of the text and the QA pairs that it says it rests on. Code points of `Reading.text`, the end excluded."""

    start: int
    end: int
    qa_ids: tuple[str, ...]


@dataclass(frozen=True)
class Citation:
    """A stretch of the text and when it says that this is seen, in seconds from the start of what is shown."""

    start: int
    end: int
    start_s: float
    end_s: float
    problem: str | None = None  # a sentence; None: the citation is sound


@dataclass(frozen=True)
class Problem:
    """A way in which an answer does not do what was asked: how many of how many, and in words which."""

    name: str  # "uncovered_pairs", "unsourced_sentences", "unknown_sources", "bad_citations", "uncited_sentences" or "order_not_followed"
    count: int
    of: int
    words: str  # a sentence for people

    @property
    def share(self) -> float | None:
        """Return the count as a share; None of nothing."""
        return self.count / self.of if self.of else None


@dataclass(frozen=True)
class Reading:
    """An answer, read."""

    text: str  # without the marks that were asked for; what becomes the candidate
    sources: tuple[Source, ...] = ()
    citations: tuple[Citation, ...] = ()
    answer: str | None = None  # the final answer that the text ended on; None: it names none
    problems: tuple[Problem, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return it as it stands in a line of results: text, sources, citations, answer and problems."""
        # Not by asdict, which copies every value in depth: half a millisecond a text.
        parts = {"sources": self.sources, "citations": self.citations, "problems": self.problems}
        return {**vars(self), **{name: [dict(vars(one)) for one in values] for name, values in parts.items()}}


def reading_of(line: Mapping[str, Any]) -> Reading:
    """Return what `as_json` wrote, from JSON or not; other fields of the line are left alone. Raises KeyError when one lacks."""
    return Reading(
        line["text"],
        sources_of(line["sources"]),
        citations_of(line["citations"]),
        line["answer"],
        tuple(Problem(**one) for one in line["problems"]),
    )


def sources_of(told: list[Mapping[str, Any]]) -> tuple[Source, ...]:
    """Return sources from their JSON."""
    return tuple(Source(one["start"], one["end"], tuple(one["qa_ids"])) for one in told)


def citations_of(told: list[Mapping[str, Any]]) -> tuple[Citation, ...]:
    """Return citations from their JSON."""
    return tuple(Citation(**one) for one in told)
