"""What people decided about texts: their votes, the decisions that stand in their place, and the edits that stand."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from store.records import Annotation, Candidate, Generator
from store.replay_decisions import Ruling


@dataclass(frozen=True)
class Votes:
    """The final annotations of one candidate, skips left out, and the adjudicator's decision, which counts in their place."""

    annotations: tuple[Annotation, ...] = ()
    ruling: Ruling | None = None

    def count(self, verdict: str) -> int:
        """Return how many gave this verdict."""
        return sum(annotation.verdict == verdict for annotation in self.annotations)

    def agree_on(self, verdict: str) -> bool:
        """Return whether the decision is this verdict, or, without one, a strict majority gave it; "unsure" counts against any other."""
        if self.ruling:
            return self.ruling.decision.verdict == verdict
        return 2 * self.count(verdict) > len(self.annotations)

    def enough(self, least: int) -> bool:
        """Return whether as many gave a verdict as are asked for; a decision is enough by itself."""
        return self.ruling is not None or len(self.annotations) >= least

    def flag_kinds(self, by_annotation: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
        """Return the kinds of the flags on the candidate: those of the decision, or, without one, those that each annotation has."""
        if self.ruling:
            return tuple(flag.kind for flag in self.ruling.flags)
        return tuple(kind for annotation_id in self.ids for kind in by_annotation.get(annotation_id, ()))

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the annotations."""
        return tuple(annotation.id for annotation in self.annotations)


def votes_by_candidate(annotations: Iterable[Annotation], rulings: Mapping[str, Ruling] | None = None) -> dict[str, Votes]:
    """Return the votes on each candidate that has a final annotation other than a skip, or a decision; `rulings` is by candidate id."""
    found: dict[str, list[Annotation]] = defaultdict(list)
    for annotation in annotations:
        if annotation.state == "final" and annotation.verdict != "skip":
            found[annotation.candidate_id].append(annotation)
    decided = rulings or {}
    return {candidate_id: Votes(tuple(found.get(candidate_id, ())), decided.get(candidate_id)) for candidate_id in found.keys() | decided.keys()}


def standing_edits(candidates: Sequence[Candidate], generators: Iterable[Generator], annotations: Iterable[Annotation]) -> dict[str, tuple[Annotation, ...]]:
    """Return the edits by people that stand: candidate id -> the final annotations that made it (none for an imported edit).

    An edit is taken back when its author's annotation of the original holds another text or none, or was reopened. `annotations` are those of
    round 1, drafts included.
    """
    authors = {generator.id: generator.name for generator in generators if generator.kind == "person"}
    told: dict[str, list[Annotation]] = defaultdict(list)
    for annotation in annotations:
        told[annotation.candidate_id].append(annotation)
    standing = {}
    for edit in candidates:
        if edit.parent_id is None or edit.generator_id not in authors:
            continue
        of_original = told.get(edit.parent_id, [])
        makers = tuple(a for a in of_original if a.state == "final" and (a.edited_text or "").strip() == edit.text.strip())
        if makers or all(a.annotator != authors[edit.generator_id] for a in of_original):
            standing[edit.id] = makers
    return standing
