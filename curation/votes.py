"""What people decided about texts: their votes, and the edits that stand."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from store.records import Annotation, Candidate, Generator


@dataclass(frozen=True)
class Votes:
    """The final annotations of one candidate, skips left out."""

    annotations: tuple[Annotation, ...] = ()

    def count(self, verdict: str) -> int:
        """Return how many gave this verdict."""
        return sum(annotation.verdict == verdict for annotation in self.annotations)

    def agree_on(self, verdict: str) -> bool:
        """Return whether a strict majority gave this verdict; "unsure" counts against any other."""
        return 2 * self.count(verdict) > len(self.annotations)

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the annotations."""
        return tuple(annotation.id for annotation in self.annotations)


def votes_by_candidate(annotations: Iterable[Annotation]) -> dict[str, Votes]:
    """Return the votes on each candidate that has a final annotation other than a skip."""
    found: dict[str, list[Annotation]] = defaultdict(list)
    for annotation in annotations:
        if annotation.state == "final" and annotation.verdict != "skip":
            found[annotation.candidate_id].append(annotation)
    return {candidate_id: Votes(tuple(votes)) for candidate_id, votes in found.items()}


def standing_edits(candidates: Sequence[Candidate], generators: Iterable[Generator], annotations: Iterable[Annotation]) -> dict[str, tuple[Annotation, ...]]:
    """Return the edits by people that stand: candidate id -> the annotations that made it (none for an imported edit).

    An edit is taken back when its author's final annotation of the original holds another text, or none.
    """
    authors = {generator.id: generator.name for generator in generators if generator.kind == "person"}
    finals: dict[str, list[Annotation]] = defaultdict(list)
    for annotation in annotations:
        if annotation.state == "final":
            finals[annotation.candidate_id].append(annotation)
    standing = {}
    for edit in candidates:
        if edit.parent_id is None or edit.generator_id not in authors:
            continue
        told = finals.get(edit.parent_id, [])
        makers = tuple(a for a in told if (a.edited_text or "").strip() == edit.text.strip())
        if makers or all(a.annotator != authors[edit.generator_id] for a in told):
            standing[edit.id] = makers
    return standing
