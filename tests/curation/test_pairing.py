"""Preference pairs: what makes one, what unmakes it, and that choosing by hand is blind."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlite_utils
from hypothesis import given
from hypothesis import strategies as st

from curation.contrast import word_diff
from curation.pairing import Evidence, comparison_pairs, edit_pairs, evidence_in_words, propose_pairs, verdict_pairs
from curation.votes import Votes, standing_edits, votes_by_candidate
from store.annotations import first_annotations
from store.candidates import add_candidate, candidate_of, generator_of, list_candidates, list_generators
from store.comparisons import list_comparisons
from store.database import open_store
from store.pairs import list_pairs, set_pair_state
from store.records import Annotation, Candidate, Comparison, Flag, Generator, PreferencePair
from store.rows import digest_id
from tests.curation.annotating import annotate, annotation_of, flag_of, memory_store
from tests.curation.choosing import choose_side, choose_text, shown_of, undo
from tests.seeds import OTHER_WRITER, WRITER, seed_project

PEOPLE = ("ann", "bo", "cy")


@dataclass(frozen=True)
class World:
    """Everything that pairs are made from, without a store."""

    candidates: tuple[Candidate, ...]
    generators: tuple[Generator, ...]
    annotations: tuple[Annotation, ...]
    flags: tuple[Flag, ...]
    comparisons: tuple[Comparison, ...]

    def pairs(self) -> list[PreferencePair]:
        votes = votes_by_candidate(self.annotations)
        edits = standing_edits(self.candidates, self.generators, self.annotations)
        return [
            *edit_pairs(self.candidates, edits, self.flags, votes),
            *verdict_pairs(self.candidates, votes, self.flags),
            *comparison_pairs(self.candidates, self.comparisons),
        ]

    def renamed(self, names: dict[str, str]) -> "World":
        def rename(records: tuple, field: str) -> tuple:
            return tuple(dataclasses.replace(one, **{field: names.get(getattr(one, field), getattr(one, field))}) for one in records)

        return dataclasses.replace(
            self,
            generators=rename(self.generators, "name"),
            annotations=rename(self.annotations, "annotator"),
            comparisons=rename(self.comparisons, "annotator"),
        )


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Return one to three subjects with a few texts each, some the same, some edits, annotated and compared at random."""
    people = [generator_of("person", name) for name in PEOPLE]
    candidates, annotations, flags, comparisons = {}, [], [], []
    for subject in range(draw(st.integers(1, 3))):
        own = [
            candidate_of("rationale", "clip", f"qa {subject}", draw(st.sampled_from([WRITER, OTHER_WRITER])), text)
            for text in draw(st.lists(st.sampled_from(["one", "two", " two "]), max_size=3))
        ]
        for original in list({one.id: one for one in own}.values()):
            for annotator in draw(st.lists(st.sampled_from(PEOPLE), unique=True)):
                edited = draw(st.sampled_from([None, None, "two", "three"]))
                made = annotation_of(original, annotator, draw(st.sampled_from(["accept", "reject", "unsure", "skip"])), edited)
                annotations.append(made)
                flags += [flag_of(made, kind, number) for number, kind in enumerate(draw(st.lists(st.sampled_from(["omission", "other"]), max_size=2)))]
                if edited is not None:
                    own.append(candidate_of("rationale", "clip", original.qa_id, generator_of("person", annotator), edited, original.id))
        ids = sorted({one.id for one in own})
        for a_id, b_id in [(a, b) for a in ids for b in ids if a < b]:
            for annotator in draw(st.lists(st.sampled_from(PEOPLE), unique=True)):
                outcome = draw(st.sampled_from(["a", "b", "tie", "both_bad"]))
                made_id = digest_id(annotator, a_id, b_id)
                comparisons.append(Comparison(made_id, annotator, f"qa {subject}", "rationale", a_id, b_id, a_id, 1, outcome, None, ""))
        candidates |= {one.id: one for one in own}
    return World(tuple(candidates.values()), (WRITER, OTHER_WRITER, *people), tuple(annotations), tuple(flags), tuple(comparisons))


def facts(pairs: list[PreferencePair]) -> set[tuple[str, ...]]:
    return {(pair.id, pair.chosen_id, pair.rejected_id, pair.origin, pair.state) for pair in pairs}


@given(worlds())
def test_a_pair_is_two_different_texts_of_one_subject_and_kind_and_stands_once(world: World) -> None:
    by_id = {candidate.id: candidate for candidate in world.candidates}
    pairs = world.pairs()
    for pair in pairs:
        chosen, rejected = by_id[pair.chosen_id], by_id[pair.rejected_id]
        assert (chosen.subject_id, chosen.kind) == (rejected.subject_id, rejected.kind) == (pair.subject_id, pair.kind)
        assert chosen.text.strip() != rejected.text.strip()
    assert len({pair.id for pair in pairs}) == len(pairs)


@given(worlds())
def test_no_pair_prefers_what_a_majority_rejects_nor_says_both_ways_by_one_road(world: World) -> None:
    votes = votes_by_candidate(world.annotations)
    pairs = world.pairs()
    for pair in pairs:
        assert pair.origin == "comparison" or not votes.get(pair.chosen_id, Votes()).agree_on("reject")
        assert not any((other.origin, other.chosen_id, other.rejected_id) == (pair.origin, pair.rejected_id, pair.chosen_id) for other in pairs)


@given(worlds(), st.permutations(PEOPLE))
def test_who_the_annotators_are_changes_no_pair(world: World, others: list[str]) -> None:
    assert facts(world.renamed(dict(zip(PEOPLE, others, strict=True))).pairs()) == facts(world.pairs())


@given(worlds(), st.randoms(use_true_random=False))
def test_the_order_of_the_records_changes_no_pair(world: World, random) -> None:
    mixed = {}
    for field in dataclasses.fields(world):
        records = list(getattr(world, field.name))
        random.shuffle(records)
        mixed[field.name] = tuple(records)
    assert facts(World(**mixed).pairs()) == facts(world.pairs())


@given(worlds())
def test_evidence_survives_being_kept_and_names_only_what_is_there(world: World) -> None:
    ids = {record.id for record in (*world.annotations, *world.comparisons)}
    for pair in world.pairs():
        evidence = Evidence.from_json(pair.evidence)
        assert Evidence.from_json(evidence.to_json()) == evidence
        assert {*evidence.annotation_ids, *evidence.comparison_ids} <= ids
        assert set(evidence.annotators) <= set(PEOPLE)
        assert evidence_in_words(pair)


# With a store.


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite_utils.Database]:
    with open_store(tmp_path) as db:
        yield db


def test_an_edit_is_proposed_over_its_original_with_the_flags_that_led_to_it(db: sqlite_utils.Database) -> None:
    rationale = seed_project(db).rationale
    edit = annotate(db, rationale, "ann", "reject", ["temporal_error"], edited="He runs after the ball.")
    assert edit
    assert propose_pairs(db) == 1
    (pair,) = list_pairs(db)
    assert (pair.origin, pair.state, pair.chosen_id, pair.rejected_id) == ("edit", "proposed", edit.id, rationale.id)
    assert evidence_in_words(pair) == "edited by 1 person; flagged in the original: temporal error ×1"
    assert propose_pairs(db) == 0


def test_an_accepted_text_is_proposed_over_a_rejected_one_only_when_somebody_flagged_it(db: sqlite_utils.Database) -> None:
    seeded = seed_project(db)
    for annotator in ("ann", "bo"):
        annotate(db, seeded.rationale, annotator, "accept")
        annotate(db, seeded.rival, annotator, "reject")
    assert propose_pairs(db) == 0, "the control: rejected, but no flag says why"
    annotate(db, seeded.rival, "bo", "reject", ["justified_fabrication"])
    assert propose_pairs(db) == 1
    (pair,) = list_pairs(db)
    assert (pair.origin, pair.chosen_id, pair.rejected_id) == ("verdict", seeded.rationale.id, seeded.rival.id)
    assert len(Evidence.from_json(pair.evidence).annotation_ids) == 4
    assert "accepted by 2 of 2 over rejected by 2 of 2; flagged: justified fabrication ×1; by 2 people" in evidence_in_words(pair)


@pytest.mark.parametrize("second", ["reject", "unsure"])
def test_half_of_the_votes_is_no_majority_and_a_skip_is_no_vote(db: sqlite_utils.Database, second: str) -> None:
    seeded = seed_project(db)
    annotate(db, seeded.rival, "ann", "reject", ["other"])
    annotate(db, seeded.rationale, "ann", "accept")
    annotate(db, seeded.rationale, "bo", second)
    assert propose_pairs(db) == 0
    annotate(db, seeded.rationale, "bo", "skip")
    assert propose_pairs(db) == 1


def test_a_proposal_goes_when_its_evidence_goes_but_what_a_person_decided_stays(db: sqlite_utils.Database) -> None:
    one, two = seed_project(db, "one"), seed_project(db, "two")
    for seeded in (one, two):
        annotate(db, seeded.narrative, "ann", "reject", ["other"], edited="Better.")
    assert propose_pairs(db) == 2
    decided = next(pair for pair in list_pairs(db) if pair.rejected_id == one.narrative.id)
    set_pair_state(db, decided.id, "accepted")
    for seeded in (one, two):
        annotate(db, seeded.narrative, "ann", "reject", ["other"])  # takes the edit back
    assert propose_pairs(db) == 0
    assert [pair.id for pair in list_pairs(db)] == [decided.id]


@pytest.mark.parametrize("state", ["accepted", "dropped"])
def test_proposing_again_leaves_a_decision_alone_and_brings_its_evidence_up_to_date(db: sqlite_utils.Database, state: str) -> None:
    seeded = seed_project(db)
    annotate(db, seeded.rationale, "ann", "accept")
    annotate(db, seeded.rival, "ann", "reject", ["other"])
    propose_pairs(db)
    set_pair_state(db, list_pairs(db)[0].id, state)
    annotate(db, seeded.rationale, "bo", "accept")
    assert propose_pairs(db) == 0
    (pair,) = list_pairs(db)
    assert pair.state == state
    assert Evidence.from_json(pair.evidence).chosen_of == 2


def test_an_edit_that_others_reject_is_not_proposed(db: sqlite_utils.Database) -> None:
    edit = annotate(db, seed_project(db).rationale, "ann", "reject", edited="He flies.")
    assert edit
    annotate(db, edit, "bo", "reject", ["plain_hallucination"])
    assert propose_pairs(db) == 0


# Side by side.


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_choice_is_a_pair_accepted_at_once_and_the_side_shown_is_logged(db: sqlite_utils.Database, side: str) -> None:
    ids = seed_two(db)
    shown = shown_of("ann", *ids)
    choose_side(db, "ann", *ids, side)
    (kept,), (pair,) = list_comparisons(db), list_pairs(db)
    assert kept.left_id == shown.left_id
    winner = shown.left_id if side == "left" else shown.right_id
    assert {"a": kept.a_id, "b": kept.b_id}[kept.outcome] == winner == pair.chosen_id
    assert (pair.origin, pair.state) == ("comparison", "accepted")
    assert evidence_in_words(pair) == "chosen side by side by 1 of 1; asked: 1 person"


@pytest.mark.parametrize(
    "outcomes, expected", [("aab", ("a", "proposed")), ("ab", None), ("at", ("a", "proposed")), ("t", None), ("n", None), ("bb", ("b", "accepted"))]
)
def test_most_wins_make_the_pair_and_any_other_word_sends_it_to_a_lead(outcomes: str, expected: tuple[str, str] | None) -> None:
    with memory_store() as db:
        a_id, b_id = seed_two(db)
        for number, outcome in enumerate(outcomes):
            annotator = f"annotator {number}"
            if outcome in "ab":
                choose_text(db, annotator, *((a_id, b_id) if outcome == "a" else (b_id, a_id)))
            else:
                choose_side(db, annotator, a_id, b_id, {"t": "tie", "n": "both_bad"}[outcome])
        found = [({a_id: "a", b_id: "b"}[pair.chosen_id], pair.state) for pair in list_pairs(db)]
        assert found == ([expected] if expected else [])
        assert propose_pairs(db) == 0, "the pairs are those that the rule gives anyway"


def test_changing_ones_mind_changes_the_pair_and_a_drop_by_hand_stands(db: sqlite_utils.Database) -> None:
    ids = seed_two(db)
    choose_side(db, "ann", *ids, "left")
    first = list_pairs(db)[0]
    choose_side(db, "ann", *ids, "right")
    (second,) = list_pairs(db)
    assert second.chosen_id == first.rejected_id
    assert len(list_comparisons(db)) == 1
    set_pair_state(db, second.id, "dropped")
    choose_text(db, "bo", second.chosen_id, second.rejected_id)
    assert [pair.state for pair in list_pairs(db)] == ["dropped"]


def test_a_choice_that_is_taken_back_takes_its_pair_with_it(db: sqlite_utils.Database) -> None:
    ids = seed_two(db)
    choose_side(db, "ann", *ids, "left")
    undo(db, "ann")
    assert (list_comparisons(db), list_pairs(db)) == ([], [])


def test_a_repeat_is_no_second_vote(db: sqlite_utils.Database) -> None:
    better, worse = seed_two(db)
    choose_text(db, "ann", better, worse)
    choose_text(db, "ann", worse, better, round_=2)
    (pair,) = list_pairs(db)
    assert (pair.chosen_id, pair.state, Evidence.from_json(pair.evidence).chosen_of) == (better, "accepted", 1)
    choose_text(db, "bo", worse, better)
    assert list_pairs(db) == [], "the control: a vote of another person counts"


def test_a_lead_who_accepts_in_spite_of_dissent_is_asked_again_only_after_more_dissent(db: sqlite_utils.Database) -> None:
    ids = seed_two(db)
    choose_text(db, "ann", *ids)
    choose_side(db, "dee", *ids, "tie")
    set_pair_state(db, list_pairs(db)[0].id, "accepted")
    choose_text(db, "bo", *ids)
    assert list_pairs(db)[0].state == "accepted"
    choose_side(db, "eve", *ids, "both_bad")
    assert list_pairs(db)[0].state == "proposed"


def seed_two(db: sqlite_utils.Database) -> tuple[str, str]:
    """Return two candidates of one subject, in order."""
    seeded = seed_project(db)
    first, second = sorted((seeded.rationale.id, seeded.rival.id))
    return first, second


@given(st.text(), st.text())
def test_the_word_diff_spells_both_texts(rejected: str, chosen: str) -> None:
    pieces = word_diff(rejected, chosen)
    for where, text in (("rejected", rejected), ("chosen", chosen)):
        assert " ".join(piece.words for piece in pieces if piece.where in ("same", where)) == " ".join(text.split())


def test_one_word_changed_in_a_long_text_of_few_different_words_is_one_mark() -> None:
    words = ["a", "man", "runs", "and"] * 1000
    changed = [*words[:2000], "the", *words[2001:]]
    assert [(piece.where, piece.words) for piece in word_diff(" ".join(words), " ".join(changed)) if piece.where != "same"] == [
        ("rejected", "a"),
        ("chosen", "the"),
    ]


def test_the_same_text_by_two_writers_makes_no_pair() -> None:
    with memory_store() as db:
        seeded = seed_project(db)
        writer = generator_of("person", "dee")
        same = candidate_of("rationale", seeded.clip.id, seeded.qa.id, writer, seeded.rationale.text + " ")
        add_candidate(db, same, writer)
        annotate(db, same, "ann", "accept")
        annotate(db, seeded.rationale, "ann", "reject", ["other"])
        annotate(db, seeded.rival, "ann", "reject", ["other"])
        assert propose_pairs(db) == 1, "over the rival only"


def test_an_edit_whose_annotation_was_reopened_does_not_stand_until_it_is_submitted_again() -> None:
    with memory_store() as db:
        seeded = seed_project(db)
        edit = annotate(db, seeded.narrative, "ann", "reject", edited="A man walks.")
        assert edit is not None
        everything = (list_candidates(db), list_generators(db))
        assert edit.id in standing_edits(*everything, first_annotations(db)), "the control"
        db.execute("UPDATE annotation SET state = 'draft'")
        assert standing_edits(*everything, first_annotations(db)) == {}
