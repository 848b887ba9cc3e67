"""A decision counts in place of the votes: for what is accepted, for its flags, for pairs and in a set's source; and for agreement it does not."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlite_utils
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.curating import AcceptRule, accepted_rows, pair_rows
from curation.export import freeze_set
from curation.pairing import Evidence, evidence_in_words, propose_pairs
from curation.study.agreement import agreement_table
from curation.votes import votes_by_candidate
from store.annotations import final_annotations
from store.database import open_store
from store.decisions import list_rulings
from store.pairs import list_pairs, set_pair_state
from store.replay_decisions import decision_id
from tests.curation.annotating import annotate, memory_store
from tests.curation.deciding import dispute, rule
from tests.seeds import Seeded, seed_project

VERDICTS = ["accept", "reject", "unsure"]


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite_utils.Database]:
    with open_store(tmp_path) as db:
        yield db


@pytest.fixture
def seeded(db: sqlite_utils.Database) -> Seeded:
    return seed_project(db, wanted=3)


@settings(deadline=None, max_examples=20)
@given(st.text("aru", min_size=2, max_size=5), st.sampled_from(VERDICTS), st.integers(1, 9))
def test_a_text_is_accepted_when_the_decision_accepts_it_whatever_the_votes_say(verdicts: str, verdict: str, least: int) -> None:
    with memory_store() as db:
        text = dispute(db, seed_project(db).narrative, verdicts)
        rule(db, text, verdict)
        rows = accepted_rows(db, AcceptRule(min_annotations=least)).rows
    assert [row.id for row in rows] == ([text.id] if verdict == "accept" else [])


def test_the_source_of_a_row_names_the_decision_and_no_person(db: sqlite_utils.Database, seeded: Seeded) -> None:
    for text in (seeded.narrative, seeded.rationale):
        dispute(db, text, "aar")
    rule(db, seeded.narrative, "accept")
    sources = {row.id: row.source for row in accepted_rows(db, AcceptRule()).rows}
    assert sources[seeded.narrative.id]["decision_ids"] == [decision_id(seeded.narrative.id)]
    assert sources[seeded.rationale.id]["decision_ids"] == [], "the control: accepted by its votes"
    assert len(sources[seeded.narrative.id]["annotation_ids"]) == 3
    assert "judge" not in str(sources)


def test_the_datasheet_says_behind_how_many_rows_a_decision_stands(tmp_path: Path) -> None:
    with open_store(tmp_path) as db:
        seeded = seed_project(db, wanted=3)
        for text in (seeded.narrative, seeded.rationale):
            dispute(db, text, "aar")
        rule(db, seeded.narrative, "accept")
    made = freeze_set(tmp_path, "sft", "decided")
    assert "in place of votes behind 1 of the 2 rows" in (tmp_path / made.directory / "datasheet.md").read_text(encoding="utf-8")


def test_an_edit_that_the_decision_rejects_is_not_accepted(db: sqlite_utils.Database, seeded: Seeded) -> None:
    edit = annotate(db, seeded.narrative, "ann", "reject", ["other"], edited="A man runs.")
    assert edit
    dispute(db, edit, "aar")
    assert edit.id in [row.id for row in accepted_rows(db, AcceptRule()).rows]
    rule(db, edit, "reject")
    assert not accepted_rows(db, AcceptRule()).rows


def test_the_flags_of_the_decision_stand_in_place_of_those_of_the_votes(db: sqlite_utils.Database, seeded: Seeded) -> None:
    dispute(db, seeded.rationale, "aa")
    dispute(db, seeded.rival, "rra")
    assert propose_pairs(db) == 1, "the control: rejected by two of three, with flags"
    rule(db, seeded.rival, "reject", ["justified_fabrication"])
    propose_pairs(db)
    (pair,) = list_pairs(db)
    assert Evidence.from_json(pair.evidence).flags == ("justified_fabrication",)
    assert evidence_in_words(pair).startswith("accepted by 2 of 2 over rejected by decision; flagged: justified fabrication ×1")
    rule(db, seeded.rival, "reject", [])
    propose_pairs(db)
    assert not list_pairs(db), "the decision leaves no flag that says why"


def test_a_decision_makes_and_unmakes_a_pair(db: sqlite_utils.Database, seeded: Seeded) -> None:
    dispute(db, seeded.rationale, "ar")
    dispute(db, seeded.rival, "rr")
    assert propose_pairs(db) == 0, "the control: half of the votes is no majority"
    rule(db, seeded.rationale, "accept")
    assert propose_pairs(db) == 1
    (pair,) = list_pairs(db)
    set_pair_state(db, pair.id, "accepted")
    (row,) = pair_rows(db).rows
    assert row.source["decision_ids"] == [decision_id(seeded.rationale.id)]
    rule(db, seeded.rationale, "reject", ["other"])
    selection = pair_rows(db)
    assert (selection.rows, selection.left_out) == ((), {"a decision has rejected the chosen text": 1})


def test_a_decision_counts_even_when_its_annotations_were_taken_back(db: sqlite_utils.Database, seeded: Seeded) -> None:
    dispute(db, seeded.narrative, "ar")
    rule(db, seeded.narrative, "accept")
    db.execute("UPDATE annotation SET state = 'draft'")
    assert votes_by_candidate(final_annotations(db), list_rulings(db))[seeded.narrative.id].agree_on("accept")


def test_agreement_stays_on_the_annotators_own_words(db: sqlite_utils.Database, seeded: Seeded) -> None:
    for text in (seeded.narrative, seeded.rationale, seeded.rival):
        dispute(db, text, "aar")
    before = agreement_table(db)
    rule(db, seeded.narrative, "accept", ["temporal_error"])
    assert agreement_table(db) == before
