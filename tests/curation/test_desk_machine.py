"""Several annotators do what they may in any order, and things break meanwhile: after every step the promises of the desk hold."""

import atexit
import contextlib
import itertools
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import sqlite_utils
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from curation.desk import hold_items, item_for, lease_items
from curation.recording import Saved, read_operation, record
from store.database import FILE_NAME, open_store
from store.errors import UserError
from store.queue import release_expired
from store.replaying import check_replay
from store.writer import Writer
from tests.curation.test_desk import EMPTY, flag, operation
from tests.seeds import seed_project

ANNOTATORS = ("ann", "ben", "cat")
KINDS = ("submit", "submit", "submit", "reopen", "reopen", "draft", "draft", "answer", "skip", "release")
WANTED = 2
LEASED = "SELECT id FROM assignment WHERE annotator = ? ORDER BY rowid"
numbers = map("operation-{:09}".format, itertools.count())
annotators = st.sampled_from(ANNOTATORS)
kinds = st.sampled_from(KINDS)
which = st.integers(0, 5)
Act = Callable[[sqlite_utils.Database], Any]


class Broken(Exception):
    """What goes wrong inside of a transaction."""


@cache
def seeded_store() -> Path:
    """Return a directory with a database that every example begins from."""
    data = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, data)
    with open_store(data) as db:
        for name in ("one", "two"):
            seed_project(db, name, wanted=WANTED)
    return data


class Desk(RuleBasedStateMachine):
    """The real database behind the real writer. `acknowledged` is what annotators were told is kept: it may never be absent."""

    sabotage = ""

    @initialize(blind_first=st.booleans())
    def begin(self, blind_first: bool) -> None:
        self.data = Path(tempfile.mkdtemp())
        shutil.copyfile(seeded_store() / FILE_NAME, self.data / FILE_NAME)
        with open_store(self.data) as db:
            db.execute("UPDATE batch SET blind_first = ?", [blind_first])
            db.conn.executescript(self.sabotage)
        self.writer = Writer(self.data)
        for annotator in ANNOTATORS:
            self.claim(annotator)
        self.acknowledged: dict[str, tuple[str, int, str]] = {}

    def teardown(self) -> None:
        self.writer.close()
        shutil.rmtree(self.data)

    @rule(annotator=annotators)
    def claim(self, annotator: str) -> None:
        self.writer.run(lambda db: lease_items(db, annotator))

    @rule(annotator=annotators, at=which, kind=kinds, stale=st.booleans(), twice=st.booleans())
    def act(self, annotator: str, at: int, kind: str, stale: bool, twice: bool) -> None:
        body = self.body(annotator, at, kind, stale)
        for _ in range(1 + twice):
            self.send(annotator, body)

    @rule(acts=st.lists(st.tuples(annotators, which, kinds), min_size=2, max_size=5), breaks=st.booleans())
    def act_at_once(self, acts: list[tuple[str, int, str]], breaks: bool) -> None:
        """Several write in one group; a job among them may break after it wrote."""
        bodies = [(who, self.body(who, at, kind)) for who, at, kind in acts]
        waiting = [(who, body, self.writer._submit(keeping(who, body))) for who, body in bodies]
        if breaks:
            with pytest.raises(Broken):
                self.writer.run(breaking(keeping(*bodies[0])))
        for who, body, answer in waiting:
            error = answer.exception(60)
            assert error is None or isinstance(error, UserError), error
            self.note(who, body, answer.result() if error is None else None)

    @rule(annotator=annotators, at=which, kind=kinds)
    def crash(self, annotator: str, at: int, kind: str) -> None:
        """The process dies between the first write and the commit: its connection is gone, and nothing else."""
        body = self.body(annotator, at, kind)
        with open_store(self.data) as db:
            db.conn.execute("BEGIN IMMEDIATE")
            with contextlib.suppress(UserError):
                keeping(annotator, body)(db)
            db.conn.close()

    @rule(at=which, annotator=annotators)
    def expire(self, annotator: str, at: int) -> None:
        def end(db: sqlite_utils.Database) -> int:
            db.execute("UPDATE assignment SET expires_at = '2000' WHERE id = ?", [self.pick(db, annotator, at)])
            return release_expired(db)

        self.writer.run(end)

    @rule(annotator=annotators)
    def beat(self, annotator: str) -> None:
        self.writer.run(lambda db: hold_items(db, annotator, [row["id"] for row in db.query(LEASED, [annotator])]))

    @invariant()
    def nothing_acknowledged_is_absent(self) -> None:
        with self.reading() as db:
            kept = {row["id"]: (row["annotator"], row["sequence"], row["kind"]) for row in db.query("SELECT * FROM operation")}
        assert kept == self.acknowledged

    @invariant()
    def nobody_is_one_too_many(self) -> None:
        with self.reading() as db:
            counted = db.query(
                """SELECT q.taken, q.wanted, count(a.id) AS held FROM queue_entry q
                   LEFT JOIN assignment a ON a.candidate_id = q.candidate_id AND a.round = 1 AND a.state IN ('leased', 'final') GROUP BY q.candidate_id"""
            )
            assert all(row["held"] == row["taken"] <= row["wanted"] == WANTED for row in counted)

    @invariant()
    def a_final_assignment_has_one_final_annotation_and_no_other_has(self) -> None:
        with self.reading() as db:
            finals = "SELECT candidate_id, annotator, round FROM {} WHERE state = 'final' ORDER BY 1, 2, 3"
            assigned, annotated = (db.execute(finals.format(table)).fetchall() for table in ("assignment", "annotation"))
        assert assigned == annotated and len(set(annotated)) == len(annotated)

    @invariant()
    def the_log_is_the_tables(self) -> None:
        with self.reading() as db:
            assert check_replay(db).differences == ()

    def reading(self) -> Any:
        return open_store(self.data)

    def pick(self, db: sqlite_utils.Database, annotator: str, at: int) -> str:
        given = [str(row["id"]) for row in db.query(LEASED, [annotator])]
        return given[at % len(given)] if given else "not-given"

    def body(self, annotator: str, at: int, kind: str, stale: bool = False) -> dict[str, Any]:
        """Return an operation on one of the annotator's items as its page would send it; a stale one saw nothing of what is kept."""
        with self.reading() as db:
            chosen = self.pick(db, annotator, at)
            if chosen == "not-given":
                return operation(annotator, seed_item(), kind, WORK[kind]) | {"assignment_id": chosen, "id": next(numbers)}
            item = item_for(db, annotator, chosen)
        work = WORK[kind]
        if kind in ("draft", "submit") and item.text:
            work = work | {"flags": [flag(item.text, 0, 4), flag(item.text, 2, 6)], "ticks": [{"text_start": 0, "text_end": 5, "support": "supported"}]}
        return operation(annotator, item, kind, work, base=0 if stale else item.sequence, name=next(numbers))

    def send(self, annotator: str, body: dict[str, Any]) -> None:
        with contextlib.suppress(UserError):
            self.note(annotator, body, self.writer.run(keeping(annotator, body)))

    def note(self, annotator: str, body: dict[str, Any], saved: Saved | None) -> None:
        if saved is not None:
            before = self.acknowledged.setdefault(body["id"], (annotator, saved.sequence, body["kind"]))
            assert before[1] == saved.sequence


def seed_item() -> Any:
    """Stand for an item that was never given: only its lack of a text is asked for."""
    return type("Nothing", (), {"id": "not-given", "text": None})()


WORK: dict[str, Any] = {
    "draft": EMPTY | {"note": "half a thought"},
    "answer": {"answer": "to catch it", "answer_index": None, "seconds_spent": 2.0},
    "submit": EMPTY | {"verdict": "reject", "edited_text": "He walks."},
    "skip": EMPTY,
    "release": None,
    "reopen": None,
}


def keeping(annotator: str, body: dict[str, Any]) -> Act:
    return lambda db: record(db, annotator, read_operation(body))


def breaking(act: Act) -> Act:
    def broken(db: sqlite_utils.Database) -> None:
        with contextlib.suppress(UserError):
            act(db)
        raise Broken

    return broken


QUICK = settings(max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck))


def test_the_promises_of_the_desk_hold_whatever_annotators_do() -> None:
    run_state_machine_as_test(Desk, settings=QUICK)


@pytest.mark.parametrize(
    "sabotage",
    [
        "DROP TRIGGER assignment_changed",
        "CREATE TRIGGER lost AFTER INSERT ON flag BEGIN DELETE FROM flag WHERE id = NEW.id; END",
        "CREATE TRIGGER lost AFTER INSERT ON claim_tick BEGIN DELETE FROM claim_tick WHERE annotation_id = NEW.annotation_id; END",
        "CREATE TRIGGER lost AFTER INSERT ON annotation WHEN NEW.state = 'final' BEGIN UPDATE annotation SET state = 'draft' WHERE id = NEW.id; END",
        "CREATE TRIGGER lost AFTER UPDATE OF state ON assignment WHEN NEW.state = 'final' BEGIN UPDATE assignment SET state = 'leased' WHERE id = NEW.id; END",
        """DROP TRIGGER operation_never_leaves;
           CREATE TRIGGER lost AFTER INSERT ON operation WHEN NEW.kind = 'release' BEGIN DELETE FROM operation WHERE sequence = NEW.sequence; END""",
    ],
)
def test_a_transaction_that_lacks_one_step_breaks_a_promise(sabotage: str) -> None:
    """The control: the same steps find it, whichever it is."""
    crippled = type("Crippled", (Desk,), {"sabotage": sabotage})
    with pytest.raises((AssertionError, sqlite3.IntegrityError)):
        run_state_machine_as_test(crippled, settings=settings(QUICK, max_examples=200, phases=[Phase.generate], derandomize=True, print_blob=False))
