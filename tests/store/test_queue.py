"""Exactly k annotators an item, nobody twice, nothing lost when a lease runs out."""

import multiprocessing
import sqlite3
from pathlib import Path

import pytest

from store.database import open_store, transaction
from store.queue import assignment_of, claim_next, enqueue, list_queue, progress_of, renew_lease, set_assignment_state
from tests.seeds import seed_project


def _work(data: Path, annotator: str) -> list[str]:
    """Claim and finish until nothing waits, as one annotator's process."""
    finished = []
    with open_store(data) as db:
        while (held := claim_next(db, annotator)) is not None:
            set_assignment_state(db, held.candidate_id, annotator, "final")
            finished.append(held.candidate_id)
    return finished


def test_processes_that_claim_at_once_give_each_item_exactly_k_annotators(tmp_path: Path) -> None:
    with open_store(tmp_path) as db:
        texts = [text.id for i in range(20) for text in _texts(seed_project(db, f"clip {i}", wanted=3))]
    with multiprocessing.get_context("spawn").Pool(6) as pool:
        done = pool.starmap(_work, [(tmp_path, f"annotator {i}") for i in range(6)])
    pairs = [(candidate, who) for who, own in enumerate(done) for candidate in own]
    assert len(pairs) == len(set(pairs)) == 3 * len(texts)
    with open_store(tmp_path) as db:
        assert all(entry.taken == entry.wanted == 3 for entry in list_queue(db))


def test_a_deferred_begin_would_fail_where_claims_stand_in_line(tmp_path: Path) -> None:
    """The control: read, then write, in a deferred transaction beside another writer."""
    with open_store(tmp_path) as db, open_store(tmp_path) as other:
        seed_project(db)
        db.conn.execute("BEGIN")
        db.conn.execute("SELECT count(*) FROM queue_entry").fetchone()
        claim_next(other, "ben")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            db.conn.execute("UPDATE queue_entry SET rank = rank")
        db.conn.execute("ROLLBACK")
        with transaction(db):
            db.conn.execute("SELECT count(*) FROM queue_entry").fetchone()
            db.conn.execute("UPDATE queue_entry SET rank = rank")


def test_an_annotator_gets_the_open_item_again_until_it_is_finished(tmp_path: Path) -> None:
    with open_store(tmp_path) as db:
        seed_project(db)
        first = claim_next(db, "ann")
        again = claim_next(db, "ann")
        assert first and again and first.candidate_id == again.candidate_id
        set_assignment_state(db, first.candidate_id, "ann", "final")
        following = claim_next(db, "ann")
        assert following and following.candidate_id != first.candidate_id
        assert progress_of(db, "ann") == (1, 3)


def test_a_lease_that_ran_out_goes_to_the_next_and_comes_back_only_if_there_is_room(tmp_path: Path) -> None:
    with open_store(tmp_path) as db:
        seeded = seed_project(db, wanted=1)
        held = claim_next(db, "ann")
        assert held is not None
        assert held.candidate_id == seeded.narrative.id
        db.execute("UPDATE assignment SET expires_at = '2000-01-01' WHERE annotator = 'ann'")
        taken = claim_next(db, "ben")
        assert taken is not None
        assert taken.candidate_id == held.candidate_id
        with transaction(db):
            assert not renew_lease(db, held.candidate_id, "ann")
        set_assignment_state(db, held.candidate_id, "ben", "skipped")
        with transaction(db):
            assert renew_lease(db, held.candidate_id, "ann")
        assert assignment_of(db, held.candidate_id, "ann").state == "leased"  # type: ignore[union-attr]


def test_a_clip_that_cannot_be_watched_is_not_given_out(tmp_path: Path) -> None:
    with open_store(tmp_path) as db:
        seed_project(db)
        db.execute("UPDATE clip SET start_s = 5.0")  # the file ends there
        assert claim_next(db, "ann") is None
        assert progress_of(db, "ann") == (0, 0)
        db.execute("UPDATE clip SET start_s = 4.0")
        assert progress_of(db, "ann") == (0, 3)
        db.execute("UPDATE clip SET digest = NULL")
        assert claim_next(db, "ann") is None
        assert progress_of(db, "ann") == (0, 0)


def test_queueing_twice_keeps_the_first_place(tmp_path: Path) -> None:
    with open_store(tmp_path) as db:
        seeded = seed_project(db)
        before = list_queue(db)
        assert not enqueue(db, seeded.narrative.id, 5)
        assert list_queue(db) == before
        assert [entry.rank for entry in before] == [1, 2, 3]


def _texts(seeded):  # type: ignore[no-untyped-def]
    return (seeded.narrative, seeded.rationale, seeded.rival)
