"""`python -m store replay`: the log tells the tables bit for bit, and whatever was dropped, changed or slipped in is named."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlite_utils

from curation.desk import item_for
from store.__main__ import main
from store.comparisons import put_comparison
from store.database import open_store, transaction
from store.decisions import put_issue, put_ruling
from store.oplog import NewOperation, append_operation
from store.replay import annotation_key
from store.replay_comparisons import comparison_of
from store.replay_decisions import issue_of, ruling_of, settled
from store.replaying import check_replay, replay_all
from store.schema import MIGRATIONS, migrate
from tests.curation.annotating import NO_OTHER, next_item
from tests.curation.test_desk import EMPTY, flag, item_id, keep
from tests.seeds import Seeded, seed_project
from tests.store.test_schema import WORK_OF_THE_THIRD_SCHEMA

TABLES = {"annotation", "flag", "claim_tick", "comparison", "decision", "decision_flag", "guideline_issue"}


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite_utils.Database]:
    """A store in which an operation of every kind was kept."""
    with open_store(tmp_path) as db:
        seeded = seed_project(db)
        annotate(db, seeded)
        judge(db, seeded)
        yield db


def annotate(db: sqlite_utils.Database, seeded: Seeded) -> None:
    db.execute("UPDATE batch SET blind_first = 1")
    for annotator in ("ann", "ben"):
        first = next_item(db, annotator)
        assert first is not None
        text = seeded.narrative.text
        work = EMPTY | {"flags": [flag(text), flag(text, 3, 7)], "ticks": [{"text_start": 0, "text_end": 18, "support": "supported"}]}
        draft = keep(db, annotator, seeded.narrative, "draft", work)
        keep(db, annotator, seeded.narrative, "submit", work | {"verdict": "reject", "edited_text": "He walks."}, base=draft.sequence)
    next_item(db, "ann")
    answered = {"answer": None, "answer_index": 1, "seconds_spent": 2.0}
    first = item_for(db, "ann", item_id(seeded.rationale, "ann"))
    saved = keep(db, "ann", first, "answer", answered)
    skipped = keep(db, "ann", item_for(db, "ann", first.assignment_id), "skip", EMPTY, base=saved.sequence)
    saved = keep(db, "ann", item_for(db, "ann", first.assignment_id), "reopen", None, base=skipped.sequence)
    keep(db, "ann", seeded.rationale, "release", None, base=saved.sequence)


def judge(db: sqlite_utils.Database, seeded: Seeded) -> None:
    narrative, a_id, b_id = seeded.narrative.id, *sorted((seeded.rationale.id, seeded.rival.id))
    stands = {"kind": "other", "text_start": None, "text_end": None, "quote": "", "start_s": None, "end_s": None, "severity": 1, "comment": "so"} | NO_OTHER
    decided = {"verdict": "reject", "reason": "so it is", "overrides": False, "flags": [stands, stands | {"severity": 2}]}
    put_ruling(db, ruling_of(log(db, "eve", narrative, "decide", decided)))
    asked = issue_of(log(db, "ann", None, "ask", {"question": "what of shadows?"}))
    put_issue(db, asked)
    put_issue(db, settled(asked, log(db, "eve", None, "settle", {"issue_id": asked.id, "answer": "leave them"})))
    chosen = {"subject_id": seeded.qa.id, "kind": "rationale", "a_id": a_id, "b_id": b_id, "left_id": b_id, "outcome": "a", "seconds_spent": 3.5}
    made = comparison_of(log(db, "ann", a_id, "compare", chosen))
    assert made is not None
    put_comparison(db, made)


def log(db: sqlite_utils.Database, annotator: str, candidate_id: str | None, kind: str, payload: dict[str, Any]) -> Any:
    return append_operation(db, NewOperation(f"operation-{kind}-{annotator}", annotator, candidate_id, kind, json.dumps(payload)))


def told(data: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = main(["replay", *arguments, "--data", str(data)])
    return code, capsys.readouterr().out


def test_the_replayed_log_is_the_tables_and_every_table_takes_part(db: sqlite_utils.Database) -> None:
    found = check_replay(db)
    counts = {table: db.table(table).count for table in TABLES}
    assert all(counts.values()), counts
    assert (found.operations, found.rows, found.differences) == (db.table("operation").count, sum(counts.values()), ())


def test_every_row_goes_out_as_a_line_of_json(db: sqlite_utils.Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, lines = told(tmp_path, capsys)
    rows = [json.loads(line) for line in lines.splitlines()]
    assert (code, {row["table"] for row in rows}) == (0, TABLES)
    for table in TABLES:
        kept = [{"table": table, **row} for row in db.query(f"SELECT * FROM {table}")]
        assert sorted(map(json.dumps, kept)) == sorted(json.dumps(row) for row in rows if row["table"] == table)


def test_a_check_says_how_much_it_compared(db: sqlite_utils.Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(tmp_path, capsys, "--check") == (0, "12 operations, 14 rows, 0 differences.\n")


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        ("UPDATE annotation SET note = 'slipped in' WHERE annotator = 'ann' AND state = 'final'", "note 'slipped in', and '' by the log"),
        ("UPDATE annotation SET watched_share = watched_share + 1e-12", "watched_share"),
        ("UPDATE annotation SET blind_answer_index = 0 WHERE blind_answer_index = 1", "blind_answer_index"),
        ("DELETE FROM flag WHERE rowid = 1", "is made by the log, but is not in the table"),
        ("UPDATE flag SET rowid = 1000 WHERE rowid = 1", "another order"),
        ("DELETE FROM claim_tick", "claim_tick"),
        ("DELETE FROM claim_tick; DELETE FROM flag; DELETE FROM annotation", "is not in the table"),
        ("UPDATE comparison SET outcome = 'b'", "outcome 'b', and 'a' by the log"),
        ("UPDATE decision SET reason = 'no'", "reason 'no'"),
        ("DELETE FROM decision_flag WHERE position = 1", "decision_flag"),
        ("UPDATE guideline_issue SET answer = 'count them'", "answer 'count them'"),
        (
            "INSERT INTO guideline_issue SELECT 'more', asked_by, candidate_id, question, asked_at, NULL, NULL, NULL FROM guideline_issue",
            "no operation made it",
        ),
    ],
)
def test_a_row_that_was_changed_taken_or_slipped_in_is_named(
    db: sqlite_utils.Database, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str, sentence: str
) -> None:
    db.conn.executescript(damage)
    code, lines = told(tmp_path, capsys, "--check")
    assert (code, sentence in lines) == (1, True), lines


@pytest.mark.parametrize("kind", ["draft", "answer", "submit", "skip", "release", "reopen", "compare", "decide", "ask", "settle"])
def test_an_operation_that_was_dropped_is_noticed(db: sqlite_utils.Database, kind: str) -> None:
    db.execute("DROP TRIGGER operation_never_leaves")
    db.execute("PRAGMA foreign_keys = OFF")
    where = "kind = 'settle' OR" if kind == "ask" else ""  # an answer without its question cannot be replayed
    db.execute(f"DELETE FROM operation WHERE {where} sequence = (SELECT max(sequence) FROM operation WHERE kind = ?)", [kind])
    missing, *others = check_replay(db).differences
    assert "its numbers have gaps" in missing
    # What a later operation states in full, or what leaves no row, is missed by its number only.
    assert bool(others) == (kind not in ("draft", "release"))


def test_what_was_rolled_back_leaves_no_gap_in_the_log(db: sqlite_utils.Database) -> None:
    with pytest.raises(ZeroDivisionError), transaction(db):
        log(db, "cat", None, "ask", {"question": "kept?"})
        raise ZeroDivisionError
    assert not check_replay(db).differences


def test_a_check_beside_writers_sees_one_moment(db: sqlite_utils.Database, tmp_path: Path) -> None:
    reading = replay_all(db)
    db.execute("BEGIN")
    first = next(reading)
    with open_store(tmp_path) as other:
        other.execute("UPDATE annotation SET note = 'meanwhile'")
    assert all(thing.logged == thing.kept for thing in [first, *reading])
    db.execute("ROLLBACK")
    assert check_replay(db).differences, "the control: another moment is another finding"


def test_a_log_from_before_there_were_rounds_says_what_its_tables_hold(tmp_path: Path) -> None:
    old = sqlite_utils.Database(tmp_path / "old.db")
    MIGRATIONS.apply(old, stop_before="m004_studies")
    flagged = {
        "id": "f1",
        "kind": "temporal_error",
        "text_start": 3,
        "text_end": 7,
        "quote": "runs",
        "start_s": 0.5,
        "end_s": 1.0,
        "severity": 1,
        "comment": "",
    }
    work = {"verdict": "reject", "no_error": False, "factual_consistency": 2, "logical_coherence": 3, "note": "", "edited_text": None}
    payload = json.dumps(work | {"seconds_spent": 7.5, "watched_share": 0.5, "flags": [flagged]})
    for statement in WORK_OF_THE_THIRD_SCHEMA:
        old.conn.execute(statement.replace("'{}'", f"'{payload}'").replace("'a1'", f"'{annotation_key('c1', 'Ann', 1)}'"))
    migrate(old)
    old.conn.commit()
    found = check_replay(old)
    assert (found.operations, found.rows, found.differences) == (2, 3, ())
    old.execute("UPDATE flag SET severity = 2")
    assert check_replay(old).differences, "the control"
