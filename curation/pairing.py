"""Preference pairs: what edits, verdicts and side-by-side choices say about two texts of one subject."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import sqlite_utils

from curation.votes import Votes, standing_edits, votes_by_candidate
from store.annotations import first_annotations, flags_of_finals
from store.candidates import list_candidates, list_generators
from store.comparisons import comparisons_between, list_comparisons
from store.database import transaction
from store.decisions import list_rulings
from store.pairs import add_pair, list_pairs, pairs_of_ids, remove_pair, update_pair
from store.records import Annotation, Candidate, Comparison, Flag, PreferencePair
from store.rows import digest_id, utc_now
from store.synthesis import told_wrong

# The origin of pairs that no annotator's word makes: see curation.negatives.
CORRECTNESS = "correctness"


@dataclass(frozen=True)
class Evidence:
    """Why one text is thought better than another. `*_of` counts the people asked, `*_for` those who spoke for the pair.

    Where an adjudicator decided, that is why, whatever the counts say.
    """

    annotation_ids: tuple[str, ...] = ()
    comparison_ids: tuple[str, ...] = ()
    annotators: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()  # kinds, once for each flag on the rejected text
    chosen_for: int = 0
    chosen_of: int = 0
    rejected_for: int = 0
    rejected_of: int = 0
    chosen_by_decision: bool = False
    rejected_by_decision: bool = False

    def to_json(self) -> str:
        """Return the evidence as JSON text with the same fields for every origin."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "Evidence":
        """Return the evidence that `text` holds; what it does not say is empty."""
        told: dict[str, Any] = json.loads(text)
        known: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in told.items() if name in cls.__dataclass_fields__}
        return cls(**known)


def edit_pairs(
    candidates: Sequence[Candidate], edits: Mapping[str, tuple[Annotation, ...]], flags: Iterable[Flag], votes: Mapping[str, Votes]
) -> list[PreferencePair]:
    """Return a pair for each standing edit, over its original; none when a strict majority, or a decision in its place, rejects the edit.

    A decision on the original says which flags led to the edit, in place of those that its author set.
    """
    by_id = {candidate.id: candidate for candidate in candidates}
    kinds = _kinds_by_annotation(flags)
    pairs = []
    for edit_id, makers in edits.items():
        edit = by_id[edit_id]
        original = by_id.get(edit.parent_id or "")
        if original is None or not _differ(edit, original) or votes.get(edit_id, Votes()).agree_on("reject"):
            continue
        evidence = Evidence(
            annotation_ids=tuple(a.id for a in makers),
            annotators=tuple(a.annotator for a in makers),
            flags=Votes(makers, votes.get(original.id, Votes()).ruling).flag_kinds(kinds),
            chosen_for=len(makers),
            chosen_of=len(makers),
        )
        pairs.append(pair_of(edit, original, "edit", evidence))
    return pairs


def verdict_pairs(candidates: Sequence[Candidate], votes: Mapping[str, Votes], flags: Iterable[Flag]) -> list[PreferencePair]:
    """Return each candidate that a strict majority accepts over each of the same subject and kind that one rejects and somebody flagged.

    A decision counts in place of the votes, and so do its flags.
    """
    kinds = _kinds_by_annotation(flags)
    groups: dict[tuple[str, str], list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        if candidate.id in votes:
            groups[candidate.subject_id, candidate.kind].append(candidate)
    pairs = []
    for group in groups.values():
        accepted = [c for c in group if votes[c.id].agree_on("accept")]
        rejected = [c for c in group if votes[c.id].agree_on("reject") and votes[c.id].flag_kinds(kinds)]
        for better in accepted:
            for worse in rejected:
                if _differ(better, worse):
                    pairs.append(pair_of(better, worse, "verdict", _verdict_evidence(votes[better.id], votes[worse.id], kinds)))
    return pairs


def comparison_pairs(candidates: Iterable[Candidate], comparisons: Iterable[Comparison]) -> list[PreferencePair]:
    """Return a pair for each two candidates of which one won more comparisons: accepted when nobody said otherwise, else proposed.

    Ties and "both bad" win nothing, but they are "otherwise"; as many wins as losses give no pair. Round 1 alone counts: a repeat is no second vote.
    """
    by_id = {candidate.id: candidate for candidate in candidates}
    groups: dict[tuple[str, str], list[Comparison]] = defaultdict(list)
    for comparison in (one for one in comparisons if one.round == 1):
        groups[comparison.a_id, comparison.b_id].append(comparison)
    pairs = []
    for (a_id, b_id), told in groups.items():
        for_a, for_b = (sum(c.outcome == outcome for c in told) for outcome in ("a", "b"))
        better, worse = (by_id[a_id], by_id[b_id]) if for_a > for_b else (by_id[b_id], by_id[a_id])
        if for_a == for_b or not _differ(better, worse):
            continue
        wins = max(for_a, for_b)
        evidence = Evidence(comparison_ids=tuple(c.id for c in told), annotators=tuple(c.annotator for c in told), chosen_for=wins, chosen_of=len(told))
        pairs.append(replace(pair_of(better, worse, "comparison", evidence), state="accepted" if wins == len(told) else "proposed"))
    return pairs


def evidence_in_words(pair: PreferencePair) -> str:
    """Return where the pair comes from as a phrase with its counts."""
    evidence = Evidence.from_json(pair.evidence)
    # Not by name: who decides on a pair may still have to decide on what these people said.
    count = len(set(evidence.annotators))
    people = f"{count} {'person' if count == 1 else 'people'}" if count else "a person, imported"
    flags = _list([f"{kind.replace('_', ' ')} ×{evidence.flags.count(kind)}" for kind in sorted(set(evidence.flags))])
    if pair.origin == "edit":
        return f"edited by {people}" + (f"; flagged in the original: {flags}" if flags else "; no flag")
    if pair.origin == "verdict":
        chosen = "decision" if evidence.chosen_by_decision else f"{evidence.chosen_for} of {evidence.chosen_of}"
        rejected = "decision" if evidence.rejected_by_decision else f"{evidence.rejected_for} of {evidence.rejected_of}"
        return f"accepted by {chosen} over rejected by {rejected}; flagged: {flags or 'nothing'}; by {people}"
    if pair.origin == CORRECTNESS:
        return "the same accepted rationale, ending in a wrong option" if pair.kind == "rationale" else "a wrong option in place of the right one"
    return f"chosen side by side by {evidence.chosen_for} of {evidence.chosen_of}; asked: {people}"


def propose_pairs(db: sqlite_utils.Database) -> int:
    """Bring the stored pairs up to what edits, verdicts and comparisons say now; return how many are new. Reads all candidates.

    What a person decided stays; a proposal whose evidence is gone goes. None chooses a text whose writer was told a wrong answer.
    """
    candidates, annotations, flags = list_candidates(db), first_annotations(db), flags_of_finals(db)
    votes = votes_by_candidate(annotations, list_rulings(db))
    edits = standing_edits(candidates, list_generators(db), annotations)
    derived = [
        *edit_pairs(candidates, edits, flags, votes),
        *verdict_pairs(candidates, votes, flags),
        *comparison_pairs(candidates, list_comparisons(db)),
    ]
    return _reconcile(db, [pair for pair in list_pairs(db) if pair.origin != CORRECTNESS], _sound(db, derived))


def refresh_comparison_pairs(db: sqlite_utils.Database, a: Candidate, b: Candidate) -> None:
    """Bring the pair that side-by-side choices make of these two up to date. Call inside a transaction."""
    derived = comparison_pairs([a, b], comparisons_between(db, a.id, b.id))
    stored = pairs_of_ids(db, [_pair_id(a.id, b.id, "comparison"), _pair_id(b.id, a.id, "comparison")])
    _apply(db, stored, _sound(db, derived))


def _sound(db: sqlite_utils.Database, pairs: Sequence[PreferencePair]) -> list[PreferencePair]:
    """Return the pairs but for those that choose a text whose writer was told a wrong answer: it argues for what is not so, however well."""
    wrong = told_wrong(db, {pair.chosen_id for pair in pairs})
    return [pair for pair in pairs if pair.chosen_id not in wrong]


def _reconcile(db: sqlite_utils.Database, stored: Sequence[PreferencePair], derived: Sequence[PreferencePair]) -> int:
    """Write what changed in one short transaction, and nothing when nothing did."""
    if not any(changes(stored, derived)):
        return 0
    with transaction(db):
        return _apply(db, stored, derived)


def _apply(db: sqlite_utils.Database, stored: Sequence[PreferencePair], derived: Sequence[PreferencePair]) -> int:
    gone, changed, new = changes(stored, derived)
    for pair in gone:
        remove_pair(db, pair.id)
    for pair in changed:
        update_pair(db, pair)
    return sum(add_pair(db, pair) for pair in new)


def changes(stored: Sequence[PreferencePair], derived: Sequence[PreferencePair]) -> tuple[list[PreferencePair], list[PreferencePair], list[PreferencePair]]:
    """Return the pairs to remove, to update and to add, so that `stored` become `derived` but for what a person decided."""
    before, now = {pair.id: pair for pair in stored}, {pair.id: pair for pair in derived}
    gone = [pair for pair in stored if pair.id not in now and _undecided(pair)]
    changed = [_updated(before[pair.id], pair) for pair in derived if pair.id in before and before[pair.id].evidence != pair.evidence]
    return gone, changed, [pair for pair in derived if pair.id not in before]


def _undecided(pair: PreferencePair) -> bool:
    # A comparison's pair is accepted by its own evidence and a correctness pair by its making, so that they fall with it; others by a person.
    return pair.state == "proposed" or (pair.origin in ("comparison", CORRECTNESS) and pair.state == "accepted")


def _updated(stored: PreferencePair, derived: PreferencePair) -> PreferencePair:
    """Return the stored pair with today's evidence; new dissent takes an accepted comparison back to proposed, new consent accepts."""
    state = stored.state
    if stored.origin == "comparison" and state != "dropped":
        before, now = Evidence.from_json(stored.evidence), Evidence.from_json(derived.evidence)
        if derived.state == "accepted" or now.chosen_of - now.chosen_for > before.chosen_of - before.chosen_for:
            state = derived.state
    return replace(stored, evidence=derived.evidence, state=state)


def pair_of(chosen: Candidate, rejected: Candidate, origin: str, evidence: Evidence) -> PreferencePair:
    """Return the proposed pair of these two texts; the same texts and origin give the same id."""
    pair_id = _pair_id(chosen.id, rejected.id, origin)
    return PreferencePair(pair_id, chosen.subject_id, chosen.kind, chosen.id, rejected.id, origin, evidence.to_json(), "proposed", utc_now())


def _pair_id(chosen_id: str, rejected_id: str, origin: str) -> str:
    return digest_id("pair", chosen_id, rejected_id, origin)


def _verdict_evidence(better: Votes, worse: Votes, kinds: Mapping[str, Sequence[str]]) -> Evidence:
    told = (*better.annotations, *worse.annotations)
    return Evidence(
        annotation_ids=tuple(a.id for a in told),
        annotators=tuple(a.annotator for a in told),
        flags=worse.flag_kinds(kinds),
        chosen_for=better.count("accept"),
        chosen_of=len(better.annotations),
        rejected_for=worse.count("reject"),
        rejected_of=len(worse.annotations),
        chosen_by_decision=better.ruling is not None,
        rejected_by_decision=worse.ruling is not None,
    )


def _kinds_by_annotation(flags: Iterable[Flag]) -> defaultdict[str, list[str]]:
    kinds: defaultdict[str, list[str]] = defaultdict(list)
    for flag in flags:
        kinds[flag.annotation_id].append(flag.kind)
    return kinds


def _differ(one: Candidate, other: Candidate) -> bool:
    return one.id != other.id and one.text.strip() != other.text.strip()


def _list(words: Sequence[str]) -> str:
    return " and ".join(part for part in (", ".join(words[:-1]), *words[-1:]) if part)
