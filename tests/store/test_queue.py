"""Exactly k annotators an item, nobody twice, nothing lost when a lease runs out, and nothing open that a cursor has passed."""

import multiprocessing
import sqlite3
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlite_utils
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from store.batches import seats_of
from store.database import open_store, transaction
from store.errors import UserError
from store.queue import (
    LEASE_MINUTES,
    assignment_key,
    claim_next,
    enqueue,
    entry_of,
    find_assignment,
    list_queue,
    progress_of,
    release_expired,
    renew_lease,
    set_assignment_state,
)
from store.schema import MIGRATIONS
from tests.curation.annotating import memory_store
from tests.seeds import Seeded, seed_project

PROCESSES, ITEMS, WANTED = 32, 300, 3  # 1,000 items in benchmarks/queue.py


@pytest.fixture
def db() -> Iterator[sqlite_utils.Database]:
    with memory_store() as made:
        yield made


def let_run_out(db: sqlite_utils.Database, assignment_id: str) -> None:
    """Let the lease end as if its time had passed."""
    past = (datetime.now(UTC) - timedelta(minutes=1)).isoformat(timespec="milliseconds")
    db.execute("UPDATE assignment SET leased_at = '2000-01-01', expires_at = ? WHERE id = ?", [past, assignment_id])


def _hurry(db: sqlite_utils.Database) -> None:
    """Leave the disk out, and wait longer for a lock than a busy machine may leave a process standing."""
    db.execute("PRAGMA synchronous = OFF")
    db.execute("PRAGMA busy_timeout = 60000")


def work_off(data: Path, annotator: str) -> list[str]:
    """Claim and finish until nothing waits, as one annotator's process."""
    finished = []
    with open_store(data) as db:
        _hurry(db)
        while (held := claim_next(db, annotator)) is not None:
            set_assignment_state(db, held.id, "final")
            finished.append(held.candidate_id)
    return finished


def work_off_deferred(data: Path, annotator: str) -> list[str]:
    """Do the same with a BEGIN that takes the lock only when it writes; return what went wrong first, if anything."""
    with open_store(data) as db:
        _hurry(db)
        while True:
            try:
                db.conn.execute("BEGIN")
                held = db.conn.execute(
                    """SELECT candidate_id FROM queue_entry q WHERE taken < wanted AND NOT EXISTS
                       (SELECT 1 FROM assignment a WHERE a.candidate_id = q.candidate_id AND a.annotator = ?) ORDER BY rank LIMIT 1""",
                    [annotator],
                ).fetchone()
                if held is None:
                    return []
                lease = [f"{held[0]} {annotator}", held[0], annotator]
                db.conn.execute("INSERT INTO assignment VALUES (?, ?, ?, 1, 'final', '2026-01-01', '2026-01-01')", lease)
                db.conn.execute("COMMIT")
            except sqlite3.OperationalError as error:
                return [str(error)]


def in_processes(data: Path, items: int, act) -> list[list[str]]:  # type: ignore[no-untyped-def]
    """Let 32 processes act at once on a queue of so many items; a fork server imports what they need once."""
    with open_store(data) as db, transaction(db):
        seeded = seed_project(db, wanted=WANTED)
        db.execute("DELETE FROM queue_entry")
        db.execute(
            """WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
               INSERT INTO candidate SELECT 'c' || i, kind, clip_id, qa_id, subject_id, generator_id, NULL, text, created_at
               FROM n, candidate WHERE id = ?""",
            [items, seeded.rationale.id],
        )
        db.execute("INSERT INTO queue_entry SELECT id, 'default', 'main', 0, rowid, ?, 0, 1 FROM candidate WHERE id LIKE 'c%' AND length(id) < 9", [WANTED])
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.store.test_queue"])
    start, answers = context.Barrier(PROCESSES), context.SimpleQueue()
    processes = [context.Process(target=in_step, args=(act, data, f"annotator {i}", start, answers)) for i in range(PROCESSES)]
    for process in processes:
        process.start()
    done: list[list[str]] = [answers.get() for _ in processes]
    for process in processes:
        process.join()
    return done


def in_step(act, data: Path, annotator: str, start, answers) -> None:  # type: ignore[no-untyped-def]
    """Act once all processes are there, and put the answer; what goes wrong is an answer too."""
    start.wait(timeout=60)
    try:
        answers.put(act(data, annotator))
    except UserError as error:
        answers.put([str(error)])


def test_32_processes_that_claim_at_once_give_each_item_exactly_k_annotators_and_none_is_locked_out(tmp_path: Path) -> None:
    done = in_processes(tmp_path, ITEMS, work_off)
    pairs = [(candidate, who) for who, own in enumerate(done) for candidate in own]
    assert len(pairs) == len(set(pairs)) == WANTED * ITEMS
    assert set(Counter(candidate for candidate, _ in pairs).values()) == {WANTED}
    with open_store(tmp_path) as db:
        assert all(entry.taken == entry.wanted == WANTED for entry in list_queue(db))


def test_a_deferred_begin_locks_processes_out(tmp_path: Path) -> None:
    """The control: read, then write, without the lock that `transaction` takes first."""
    told = [error for own in in_processes(tmp_path, ITEMS, work_off_deferred) for error in own]
    assert told and all("locked" in error for error in told)


def test_a_claim_can_stand_in_a_transaction_that_is_open(db: sqlite_utils.Database) -> None:
    seed_project(db)
    with pytest.raises(ZeroDivisionError), transaction(db):
        assert claim_next(db, "ann") is not None
        1 / 0  # noqa: B018
    assert not db.table("assignment").count
    with transaction(db):
        assert claim_next(db, "ann") is not None
    assert db.table("assignment").count == 1


def test_an_annotator_gets_the_oldest_open_item_again_and_another_one_besides(db: sqlite_utils.Database) -> None:
    seed_project(db)
    first, again = claim_next(db, "ann"), claim_next(db, "ann")
    assert first and again and first.id == again.id
    second = claim_next(db, "ann", [first.id])
    assert second and second.id != first.id
    assert claim_next(db, "ann").id == first.id  # type: ignore[union-attr]
    set_assignment_state(db, first.id, "final")
    assert claim_next(db, "ann").id == second.id  # type: ignore[union-attr]
    assert progress_of(db, "ann") == (1, 2)


def test_a_lease_that_ran_out_goes_to_others_and_comes_back_only_if_there_is_room(db: sqlite_utils.Database) -> None:
    seeded = seed_project(db, wanted=1)
    held = claim_next(db, "ann")
    assert held and held.candidate_id == seeded.narrative.id
    let_run_out(db, held.id)
    assert release_expired(db) == 1
    others = [claim_next(db, "ben")]
    others += [claim_next(db, "ben", [one.id for one in others if one]) for _ in range(1)]
    others += [claim_next(db, "ben", [one.id for one in others if one]) for _ in range(1)]
    taken = next(one for one in others if one and one.candidate_id == held.candidate_id)
    with transaction(db):
        assert not renew_lease(db, held.id)
    set_assignment_state(db, taken.id, "skipped")
    with transaction(db):
        assert renew_lease(db, held.id)
    assert find_assignment(db, held.id).state == "leased"  # type: ignore[union-attr]


def test_what_ran_out_is_gone_on_with_first_and_what_was_given_back_comes_last(db: sqlite_utils.Database) -> None:
    seed_project(db)
    first = claim_next(db, "ann")
    assert first is not None
    let_run_out(db, first.id)
    assert claim_next(db, "ann").id == first.id  # type: ignore[union-attr]
    set_assignment_state(db, first.id, "released")
    order = []
    while (held := claim_next(db, "ann")) is not None:
        order.append(held.id)
        set_assignment_state(db, held.id, "final")
    assert len(order) == 3 and order[-1] == first.id


def test_a_heartbeat_keeps_the_lease(db: sqlite_utils.Database) -> None:
    seed_project(db, wanted=1)
    held = claim_next(db, "ann")
    assert held is not None
    almost = (datetime.now(UTC) + timedelta(seconds=20)).isoformat(timespec="milliseconds")
    db.execute("UPDATE assignment SET expires_at = ?", [almost])
    with transaction(db):
        assert renew_lease(db, held.id)
    renewed = datetime.fromisoformat(find_assignment(db, held.id).expires_at)  # type: ignore[union-attr]
    assert renewed > datetime.now(UTC) + timedelta(minutes=LEASE_MINUTES - 1)
    assert release_expired(db) == 0


def test_what_is_skipped_goes_to_another_and_never_back_by_itself(db: sqlite_utils.Database) -> None:
    seed_project(db, wanted=1)
    had = Counter[str]()
    while (held := claim_next(db, "ann")) is not None:
        set_assignment_state(db, held.id, "skipped")
        had[held.candidate_id] += 1
    assert set(had.values()) == {1} and len(had) == 3
    assert progress_of(db, "ann") == (3, 0)
    assert progress_of(db, "ben") == (0, 3)
    assert claim_next(db, "ben") is not None


def test_a_clip_that_cannot_be_watched_is_not_given_out(db: sqlite_utils.Database) -> None:
    seeded = seed_project(db)
    db.execute("UPDATE clip SET start_s = 5.0")  # the file ends there
    assert claim_next(db, "ann") is None and progress_of(db, "ann") == (0, 0)
    db.execute("UPDATE clip SET start_s = 4.0")
    assert progress_of(db, "ann") == (0, 3)
    db.execute("UPDATE clip SET digest = NULL")
    assert claim_next(db, "ann") is None and progress_of(db, "ann") == (0, 0)
    db.execute("DELETE FROM queue_entry")
    assert enqueue(db, seeded.narrative.id, 1)
    assert not entry_of(db, seeded.narrative.id).watchable  # type: ignore[union-attr]


def test_the_flag_of_the_queue_is_the_view(db: sqlite_utils.Database) -> None:
    for i in range(3):
        seed_project(db, f"clip {i}")
    changes = (
        "UPDATE media SET playable = 0 WHERE name = 'clip 0.mp4'",
        "UPDATE media SET proxy_digest = printf('%064d', 1) WHERE name = 'clip 0.mp4'",
        "UPDATE media SET duration_s = 0.5 WHERE name = 'clip 1.mp4'",
        "UPDATE clip SET start_s = 0.7 WHERE media_name = 'clip 1.mp4'",
        "UPDATE clip SET start_s = 0.2 WHERE media_name = 'clip 1.mp4'",
        "UPDATE media SET duration_s = NULL WHERE name = 'clip 1.mp4'",
        "UPDATE clip SET digest = NULL WHERE media_name = 'clip 2.mp4'",
        "UPDATE clip SET digest = (SELECT digest FROM media WHERE name = 'clip 0.mp4') WHERE media_name = 'clip 2.mp4'",
        "UPDATE media SET proxy_digest = NULL WHERE name = 'clip 0.mp4'",
    )
    seen = set()
    for change in changes:
        db.execute(change)
        rows = db.query(
            "SELECT q.watchable, c.clip_id IN (SELECT id FROM watchable_clip) AS truth FROM queue_entry q JOIN candidate c ON c.id = q.candidate_id"
        )
        flags = [(row["watchable"], row["truth"]) for row in rows]
        assert len(flags) == 9 and all(flag == truth for flag, truth in flags), change
        seen |= set(flags)
    assert seen == {(0, 0), (1, 1)}


def test_what_becomes_watchable_behind_a_cursor_is_given_out_after_all(db: sqlite_utils.Database) -> None:
    early, _ = seed_project(db, "early"), seed_project(db, "late")
    db.execute("UPDATE clip SET digest = NULL WHERE id = ?", [early.clip.id])
    held = claim_next(db, "ann")
    assert held is not None
    set_assignment_state(db, held.id, "final")
    db.execute("UPDATE clip SET digest = ? WHERE id = ?", [early.clip.digest, early.clip.id])
    seen = {held.candidate_id}
    while (held := claim_next(db, "ann")) is not None:
        set_assignment_state(db, held.id, "final")
        seen.add(held.candidate_id)
    assert len(seen) == 6


def test_queueing_twice_keeps_the_first_place(db: sqlite_utils.Database) -> None:
    seeded = seed_project(db)
    before = list_queue(db)
    assert not enqueue(db, seeded.narrative.id, 5)
    assert list_queue(db) == before
    assert [entry.rank for entry in before] == [1, 2, 3]


class Queue(RuleBasedStateMachine):
    """Three people, nine texts, and every act that moves an item; what is open is asked of the tables by brute force."""

    people = st.sampled_from(("ann", "ben", "cy"))
    pick = st.integers(0, 8)

    def __init__(self) -> None:
        super().__init__()
        self.store = memory_store()
        self.db = self.store.__enter__()
        self.seeded: list[Seeded] = [seed_project(self.db, f"clip {i}", wanted=1 + i % 2) for i in range(3)]

    def teardown(self) -> None:
        self.store.__exit__(None, None, None)

    def waits_for(self, annotator: str) -> set[str]:
        rows = self.db.query(
            """SELECT q.candidate_id FROM queue_entry q JOIN candidate c ON c.id = q.candidate_id
               LEFT JOIN assignment a ON a.candidate_id = q.candidate_id AND a.annotator = ?
               WHERE c.clip_id IN (SELECT id FROM watchable_clip) AND (a.state IS NULL OR a.state = 'released')
                 AND q.wanted > (SELECT count(*) FROM assignment t WHERE t.candidate_id = q.candidate_id AND t.state IN ('leased', 'final'))""",
            [annotator],
        )
        return {row["candidate_id"] for row in rows}

    def leases(self, annotator: str) -> list[str]:
        return [row["id"] for row in self.db.query("SELECT id FROM assignment WHERE annotator = ? AND state = 'leased'", [annotator])]

    @rule(annotator=people, ahead=st.booleans())
    def claims(self, annotator: str, ahead: bool) -> None:
        own, waiting = self.leases(annotator), self.waits_for(annotator)
        given = claim_next(self.db, annotator, own if ahead else ())
        if own and not ahead:
            assert given is not None and given.id in own
        else:
            assert (given is None) == (not waiting)
            assert given is None or given.candidate_id in waiting

    @rule(annotator=people, state=st.sampled_from(("final", "skipped", "released")))
    def ends(self, annotator: str, state: str) -> None:
        for one in self.leases(annotator)[:1]:
            set_assignment_state(self.db, one, state)

    @rule(annotator=people)
    def runs_out(self, annotator: str) -> None:
        for one in self.leases(annotator):
            let_run_out(self.db, one)
        release_expired(self.db)

    @rule(clip=st.integers(0, 2), playable=st.booleans())
    def changes_file(self, clip: int, playable: bool) -> None:
        self.db.execute("UPDATE media SET playable = ? WHERE digest = ?", [int(playable), self.seeded[clip].clip.digest])

    @rule(place=pick, more=st.integers(0, 2))
    def wants_more(self, place: int, more: int) -> None:
        place_of = "SELECT candidate_id FROM queue_entry ORDER BY candidate_id LIMIT 1 OFFSET ?"
        (candidate_id,) = self.db.conn.execute(place_of, [place]).fetchone()
        self.db.execute("UPDATE queue_entry SET wanted = max(taken, 1, ?) WHERE candidate_id = ?", [more, candidate_id])

    @invariant()
    def counters_are_counts(self) -> None:
        wrong = """SELECT 1 FROM queue_entry q WHERE taken <> (SELECT count(*) FROM assignment a
                   WHERE a.candidate_id = q.candidate_id AND a.state IN ('leased', 'final')) OR taken > wanted
                   UNION ALL
                   SELECT 1 FROM seat s WHERE position <> (SELECT count(*) FROM assignment a WHERE a.annotator = s.annotator)
                   OR done <> (SELECT count(*) FROM assignment a WHERE a.annotator = s.annotator AND a.state IN ('final', 'skipped'))"""
        assert not list(self.db.query(wrong))

    @invariant()
    def progress_is_the_truth(self) -> None:
        for annotator in ("ann", "ben", "cy"):
            assert progress_of(self.db, annotator)[1] == len(self.waits_for(annotator)) + len(self.leases(annotator))


class ForgetfulQueue(Queue):
    """The control: what comes free again stays where it was, before the cursors."""

    def __init__(self) -> None:
        super().__init__()
        self.db.execute("DROP TRIGGER queue_came_back")


def test_nothing_that_is_open_is_ever_passed_by() -> None:
    run_state_machine_as_test(Queue, settings=settings(max_examples=25, stateful_step_count=40, deadline=None))


def test_a_queue_that_puts_nothing_back_behind_the_cursors_would_pass_items_by() -> None:
    with pytest.raises(AssertionError):
        run_state_machine_as_test(ForgetfulQueue, settings=settings(max_examples=300, deadline=None, phases=[Phase.generate], derandomize=True))


def test_work_from_before_there_were_seats_is_counted(tmp_path: Path) -> None:
    old = sqlite_utils.Database(tmp_path / "eyewitness.db")
    old.conn.isolation_level = None
    MIGRATIONS.apply(old, stop_before="m005_seats")
    seeded = seed_project(old)
    for text, state in ((seeded.narrative, "final"), (seeded.rationale, "skipped"), (seeded.rival, "released")):
        old.execute("INSERT INTO assignment VALUES (?, ?, 'ann', 1, ?, '2026-01-01', '2026-01-02')", [assignment_key(text.id, "ann", 1), text.id, state])
    old.conn.close()
    with open_store(tmp_path) as db:
        assert [(seat.position, seat.done, seat.cursor) for seat in seats_of(db, "default")] == [(3, 2, 0)]
        assert progress_of(db, "ann") == (2, 1)
        held = claim_next(db, "ann")
        assert held is not None and held.candidate_id == seeded.rival.id
        assert seats_of(db, "default")[0].position == 3  # it was given before
