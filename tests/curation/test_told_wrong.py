"""A text whose writer was told a wrong answer argues for what is not so: nothing learns from it, whatever people say of it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlite_utils

from curation.batching import BatchRequest, make_batch
from curation.curating import AcceptRule, accepted_rows, pair_rows
from curation.negatives import make_negatives
from curation.pairing import Evidence, pair_of, propose_pairs
from store.candidates import add_candidate, candidate_of, generator_of
from store.comparisons import fresh_pairs
from store.database import open_store
from store.pairs import add_pair, list_pairs, set_pair_state
from store.queue import enqueue, entry_of
from store.records import Candidate
from tests.curation.annotating import annotate
from tests.curation.choosing import choose_text
from tests.seeds import Seeded, seed_project

ARMS = ["given", "wrong"]
LEFT_OUT = {"its writer was told a wrong answer": 1}


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite_utils.Database]:
    with open_store(tmp_path) as db:
        yield db


def text_for(db: sqlite_utils.Database, seeded: Seeded, answer: str) -> Candidate:
    """Keep a rationale whose writer was told this answer."""
    settings: dict[str, Any] = {"arm": {"kind": "rationale", "answer": answer}}
    model = generator_of("api_model", "model", settings=json.dumps(settings), answer_given=answer == "given")
    text = candidate_of("rationale", seeded.clip.id, seeded.qa.id, model, "He jumps about, so he does it for fun.")
    add_candidate(db, text, model)
    return text


@pytest.mark.parametrize("answer", ARMS)
def test_it_is_no_row_of_a_set_though_all_accept_it(db: sqlite_utils.Database, answer: str) -> None:
    text = text_for(db, seed_project(db), answer)
    annotate(db, text, "ann", "accept")
    selection = accepted_rows(db, AcceptRule())
    # The control is the same text with the given answer.
    assert ([row.id for row in selection.rows], selection.left_out) == (([], LEFT_OUT) if answer == "wrong" else ([text.id], {}))


def test_what_a_person_made_of_it_may_be_learnt(db: sqlite_utils.Database) -> None:
    text = text_for(db, seed_project(db), "wrong")
    edit = annotate(db, text, "ann", "reject", ["other"], edited="He runs to catch it.")
    assert edit and [row.id for row in accepted_rows(db, AcceptRule()).rows] == [edit.id]
    assert propose_pairs(db) == 1
    (pair,) = list_pairs(db)
    assert (pair.chosen_id, pair.rejected_id) == (edit.id, text.id)
    set_pair_state(db, pair.id, "accepted")
    assert [row.rejected for row in pair_rows(db).rows] == [f"{text.text}\n\nFinal answer: A. to catch it"]


@pytest.mark.parametrize("kind", ["imported", "person"])
def test_what_came_with_an_import_and_says_so_is_no_row_whoever_wrote_it(db: sqlite_utils.Database, kind: str) -> None:
    seeded = seed_project(db)
    writer = generator_of(kind, "somebody", settings='{"answer": "wrong"}')
    text = candidate_of("rationale", seeded.clip.id, seeded.qa.id, writer, "He jumps about, so he does it for fun.")
    add_candidate(db, text, writer)
    annotate(db, text, "ann", "accept")
    selection = accepted_rows(db, AcceptRule())
    assert (selection.rows, selection.left_out) == ((), LEFT_OUT)


@pytest.mark.parametrize("answer", ARMS)
def test_no_verdict_and_no_choice_makes_it_the_chosen_text_of_a_pair(db: sqlite_utils.Database, answer: str) -> None:
    seeded = seed_project(db)
    text = text_for(db, seeded, answer)
    annotate(db, text, "ann", "accept")
    annotate(db, seeded.rationale, "ann", "reject", ["other"])
    choose_text(db, "ann", text.id, seeded.rival.id)
    assert propose_pairs(db) == (0 if answer == "wrong" else 1)
    chosen = {(pair.origin, pair.chosen_id) for pair in list_pairs(db)}
    assert chosen == (set() if answer == "wrong" else {("verdict", text.id), ("comparison", text.id)})


@pytest.mark.parametrize("answer", ARMS)
def test_an_accepted_pair_that_chooses_it_is_no_row(db: sqlite_utils.Database, answer: str) -> None:
    seeded = seed_project(db)
    text = text_for(db, seeded, answer)
    add_pair(db, pair_of(text, seeded.rationale, "verdict", Evidence()))
    set_pair_state(db, list_pairs(db)[0].id, "accepted")
    selection = pair_rows(db)
    assert (len(selection.rows), selection.left_out) == ((0, LEFT_OUT) if answer == "wrong" else (1, {}))


@pytest.mark.parametrize("answer", ARMS)
def test_no_correctness_pair_is_made_of_it(db: sqlite_utils.Database, answer: str) -> None:
    text = text_for(db, seed_project(db), answer)
    annotate(db, text, "ann", "accept")
    make_negatives(db)
    (pair,) = list_pairs(db)
    assert (pair.chosen_id == text.id, pair.kind) == ((False, "answer") if answer == "wrong" else (True, "rationale"))


@pytest.mark.parametrize("answer", ARMS)
def test_a_batch_of_all_takes_it_only_when_it_was_queued_on_purpose(db: sqlite_utils.Database, answer: str) -> None:
    text = text_for(db, seed_project(db), answer)
    assert make_batch(db, BatchRequest("one"), "Ada").moved == 3 + (answer == "given")
    enqueue(db, text.id, 1)
    entry = entry_of(db, text.id)
    assert entry and (entry.batch_id == "default") == (answer == "wrong")
    if answer == "wrong":
        assert make_batch(db, BatchRequest("two"), "Ada").moved == 1


@pytest.mark.parametrize("answer", ARMS)
def test_it_is_compared_only_when_somebody_has_queued_it(db: sqlite_utils.Database, answer: str) -> None:
    seeded = seed_project(db)
    text = text_for(db, seeded, answer)
    other = generator_of("imported", "another")
    beside = candidate_of("rationale", seeded.clip.id, seeded.qa.id, other, "He runs after it.")
    add_candidate(db, beside, other)
    pair = tuple(sorted((text.id, beside.id)))
    assert (pair in fresh_pairs(db, "cleo", 0, 50)) is (answer == "given"), "the control is the same text with the given answer"
    enqueue(db, text.id, 2)
    assert pair in fresh_pairs(db, "cleo", 0, 50)
