"""The tables hold what the records say, and refuse what may never be."""

import dataclasses
import sqlite3
from pathlib import Path

import pytest
import sqlite_utils

from store import records
from store.database import open_store, transaction
from store.errors import StorageError
from store.oplog import list_operations
from store.records import Assignment, Comparison, Flag, QueueEntry
from store.replay_comparisons import replay_comparisons
from store.rows import as_record, as_row, digest_id
from store.schema import MIGRATIONS, table_of
from tests.seeds import seed_project

WORK_OF_THE_THIRD_SCHEMA = (
    "INSERT INTO clip VALUES ('clip', 'd', 'e', 'v.mp4', NULL, 0, NULL, 'g', 'train')",
    "INSERT INTO generator VALUES ('g', 'imported', 'somebody', NULL, NULL, NULL)",
    "INSERT INTO candidate VALUES ('c1', 'narrative', 'clip', NULL, 'clip', 'g', NULL, 'He runs.', '2026-01-01')",
    "INSERT INTO candidate VALUES ('c2', 'narrative', 'clip', NULL, 'clip', 'g', NULL, 'He waits.', '2026-01-01')",
    "INSERT INTO queue_entry VALUES ('c1', 1, 2, 0)",
    "INSERT INTO assignment VALUES ('c1', 'Ann', 'final', '2026-01-01', '2026-01-02')",
    "INSERT INTO operation VALUES (1, 'operation-1', 'Ann', 'c1', 'submit', '{}', NULL, '2026-01-01')",
    "INSERT INTO annotation VALUES ('a1', 'c1', 'Ann', 'final', 'reject', 0, 2, 3, '', NULL, 7.5, 0.5, 1, '2026-01-01')",
    "INSERT INTO flag VALUES ('f1', 'a1', 'temporal_error', 3, 7, 'runs', 0.5, 1.0, 1, '')",
    f"INSERT INTO comparison VALUES ('{digest_id('comparison', 'Ann', 'c1', 'c2')}', 'Ann', 'clip', 'narrative', 'c1', 'c2', 'c1', 'tie', '2026-01-01')",
    "INSERT INTO account VALUES ('Lea', 'lead', 'salt$key', '2026-01-01')",
)
RUNS_OF_THE_FIFTH_SCHEMA = (
    *(statement for statement in WORK_OF_THE_THIRD_SCHEMA if "clip VALUES" in statement or "generator" in statement or "candidate VALUES" in statement),
    "INSERT INTO preference_pair VALUES ('p', 'clip', 'narrative', 'c1', 'c2', 'edit', '[]', 'accepted', '2026-01-01')",
    f"INSERT INTO curated_set VALUES ('s', 'mine', 'sft', '{'0' * 64}', 3, '{{}}', 'exports/s', '2026-01-01')",
    # The child stands before its parent, as a restored row may.
    "INSERT INTO run VALUES ('r1', 'first', 'sft', 's', NULL, 'runs/r1', '2026-01-01')",
    "INSERT INTO run VALUES ('r2', 'second', 'dpo', 's', 'r1', 'runs/r2', '2026-01-02')",
    "UPDATE run SET rowid = 9 WHERE id = 'r1'",
)
TEXTS_OF_THE_SIXTH_SCHEMA = (
    *(statement for statement in RUNS_OF_THE_FIFTH_SCHEMA if "preference_pair" not in statement),
    f"INSERT INTO adapter VALUES ('a', 'r1', 'g', '{'0' * 64}', '2026-01-03')",
    "INSERT INTO generator VALUES ('h', 'api_model', 'another', 'p1', '{}', 1)",
    "INSERT INTO candidate VALUES ('c3', 'narrative', 'clip', NULL, 'clip', 'h', 'c1', 'He ran.', '2026-01-01')",
)
RECORDS = [kind for kind in vars(records).values() if dataclasses.is_dataclass(kind)]


@pytest.mark.parametrize("record", RECORDS, ids=lambda kind: kind.__name__)
def test_every_record_has_its_tables_columns_in_order(record: type, tmp_path: Path) -> None:
    with open_store(tmp_path) as db:
        columns = [column.name for column in db.table(table_of(record)).columns]
    assert columns == [field.name for field in dataclasses.fields(record)]


def test_every_table_has_a_record_and_is_strict(tmp_path: Path) -> None:
    with open_store(tmp_path) as db:
        ours = [name for name in db.table_names() if not name.startswith(("sqlite_", "_sqlite"))]
        assert sorted(ours) == sorted(table_of(kind) for kind in RECORDS)
        assert all(db.table(name).strict for name in ours)


def test_a_record_comes_back_from_its_row_as_it_went_in(tmp_path: Path) -> None:
    with open_store(tmp_path) as db:
        qa = seed_project(db).qa
    assert as_record(type(qa), as_row(qa)) == qa


def test_a_database_of_the_first_schema_with_rows_comes_up_to_date(tmp_path: Path) -> None:
    first = MIGRATIONS.pending(sqlite_utils.Database(memory=True))[1].name
    old = sqlite_utils.Database(tmp_path / "eyewitness.db")
    MIGRATIONS.apply(old, stop_before=first)
    old.conn.execute("INSERT INTO clip VALUES ('c', 'd', 'e', 'v.mp4', NULL, 0, NULL, 'g', 'train')")
    old.conn.commit()
    old.conn.close()
    with open_store(tmp_path) as db:
        assert db.table("clip").count == 1
        assert not MIGRATIONS.pending(db)


def test_work_of_the_third_schema_becomes_round_one_of_the_default_batch(tmp_path: Path) -> None:
    old = sqlite_utils.Database(tmp_path / "eyewitness.db")
    MIGRATIONS.apply(old, stop_before="m004_studies")
    for statement in WORK_OF_THE_THIRD_SCHEMA:
        old.conn.execute(statement)
    old.conn.commit()
    old.conn.close()
    with open_store(tmp_path) as db:
        entry, lease, flag = (as_record(kind, next(db.query(f"SELECT * FROM {table_of(kind)}"))) for kind in (QueueEntry, Assignment, Flag))
        assert (entry.batch_id, entry.part, entry.taken, entry.watchable) == ("default", "main", 1, False)
        assert (lease.id, lease.round, lease.state) == (digest_id("assignment", "c1", "Ann", 1), 1, "final")
        assert (flag.quote, flag.other_start, flag.props_up) == ("runs", None, "")
        assert [row["name"] for row in db.query("SELECT name FROM account WHERE role = 'admin'")] == ["Lea"]
        (compared,) = replay_comparisons(list_operations(db)).values()
        assert [as_record(Comparison, row) for row in db.query("SELECT * FROM comparison")] == [compared]
        assert not list(db.query("PRAGMA foreign_key_check"))
        with pytest.raises(sqlite3.IntegrityError, match="only grows"):
            db.execute("DELETE FROM operation")
        # The counter still follows the leases.
        db.execute("UPDATE assignment SET state = 'released'")
        assert next(db.query("SELECT taken FROM queue_entry"))["taken"] == 0


def test_runs_sets_and_pairs_of_the_fifth_schema_stay_and_their_constraints_widen(tmp_path: Path) -> None:
    old = sqlite_utils.Database(tmp_path / "eyewitness.db")
    MIGRATIONS.apply(old, stop_before="m006_adapters")
    for statement in RUNS_OF_THE_FIFTH_SCHEMA:
        old.conn.execute(statement)
    kept = {table: [tuple(row) for row in old.conn.execute(f"SELECT * FROM {table} ORDER BY id")] for table in ("preference_pair", "curated_set", "run")}
    old.conn.commit()
    old.conn.close()
    with open_store(tmp_path) as db:
        assert {table: [tuple(row) for row in db.execute(f"SELECT * FROM {table} ORDER BY id")] for table in kept} == kept
        assert not list(db.query("PRAGMA foreign_key_check"))
        db.execute("INSERT INTO run VALUES ('r3', 'how good', 'evaluate', 's', 'r2', 'runs/r3', '2026-01-03')")
        db.execute("INSERT INTO run VALUES ('r4', 'base alone', 'write', 's', NULL, 'runs/r4', '2026-01-03')")
        db.execute("INSERT INTO preference_pair VALUES ('q', 'clip', 'narrative', 'c2', 'c1', 'correctness', '[]', 'proposed', '2026-01-03')")
        for wrong in ("'dpo', 's', NULL", "'sft', 's', 'r1'", "'sft', 'nowhere', NULL", "'evaluate', 's', 'nowhere'", "'merge', 's', NULL"):
            with pytest.raises(sqlite3.IntegrityError):
                db.execute(f"INSERT INTO run VALUES ('x', 'x', {wrong}, 'runs/x', '2026-01-03')")
        with pytest.raises(sqlite3.IntegrityError):
            db.execute("DELETE FROM curated_set")
        with pytest.raises(sqlite3.IntegrityError):
            db.execute("DELETE FROM candidate")


def test_writers_of_the_sixth_schema_keep_their_texts_and_may_be_rules(tmp_path: Path) -> None:
    old = sqlite_utils.Database(tmp_path / "eyewitness.db")
    MIGRATIONS.apply(old, stop_before="m007_synthesis")
    for statement in TEXTS_OF_THE_SIXTH_SCHEMA:
        old.conn.execute(statement)
    kept = {table: [tuple(row) for row in old.conn.execute(f"SELECT * FROM {table} ORDER BY id")] for table in ("generator", "candidate", "adapter")}
    old.conn.commit()
    with pytest.raises(sqlite3.IntegrityError):
        old.conn.execute("INSERT INTO generator VALUES ('t', 'template', 'a rule', NULL, NULL, NULL)")
    old.conn.close()
    with open_store(tmp_path) as db:
        assert {table: [tuple(row) for row in db.execute(f"SELECT * FROM {table} ORDER BY id")] for table in kept} == kept
        assert not list(db.query("PRAGMA foreign_key_check"))
        db.execute("INSERT INTO generator VALUES ('t', 'template', 'a rule', NULL, NULL, NULL)")
        for statement in (
            "INSERT INTO generator VALUES ('u', 'robot', 'x', NULL, NULL, NULL)",
            "INSERT INTO candidate VALUES ('c4', 'narrative', 'clip', NULL, 'clip', 'nobody', NULL, 'He ran.', '2026-01-01')",
            "DELETE FROM generator WHERE id = 'h'",
            "DELETE FROM generator WHERE id = 'g'",
        ):
            with pytest.raises(sqlite3.IntegrityError):
                db.execute(statement)


def test_a_database_of_a_newer_version_is_refused_with_a_way_out(tmp_path: Path) -> None:
    with open_store(tmp_path) as db:
        db.table("_sqlite_migrations").insert({"migration_set": "eyewitness", "name": "m999_tomorrow", "applied_at": "2030-01-01"})
    with pytest.raises(StorageError, match=r"newer Eyewitness.*m999_tomorrow"), open_store(tmp_path):
        pass


def test_a_transaction_keeps_all_or_nothing(tmp_path: Path) -> None:
    with open_store(tmp_path) as db:
        with pytest.raises(ZeroDivisionError), transaction(db):
            seed_project(db)
            1 / 0  # noqa: B018
        assert db.table("clip").count == 0
        # The control: without the transaction what went in before the mistake stays.
        with pytest.raises(ZeroDivisionError):
            seed_project(db)
            1 / 0  # noqa: B018
        assert db.table("clip").count == 1


FORBIDDEN = {
    "a pair across subjects": "INSERT INTO preference_pair VALUES ('p', '{qa}', 'rationale', '{narrative}', '{rationale}', 'edit', '[]', 'proposed', 't')",
    "a text over itself": "INSERT INTO preference_pair VALUES ('p', '{qa}', 'rationale', '{rationale}', '{rationale}', 'edit', '[]', 'proposed', 't')",
    "a changed candidate": "UPDATE candidate SET text = 'other'",
    "a changed log": "UPDATE operation SET payload = '[]'",
    "a shortened log": "DELETE FROM operation",
    "a second lease of one annotator": "INSERT INTO assignment VALUES ('id', '{rationale}', 'ann', 1, 'leased', 't', 't')",
    "one lease too many": "INSERT INTO assignment VALUES ('id', '{rationale}', 'cy', 1, 'leased', 't', 't')",
    "a rationale without a question": "INSERT INTO candidate SELECT 'x', 'rationale', clip_id, NULL, clip_id, generator_id, NULL, 'text', 't' FROM candidate",
    "words that are not as long as the span": "INSERT INTO flag VALUES ('f', 'a', 'other', 0, 4, 'he', NULL, NULL, 1, '', {nothing_more})",
    "half a second moment": "INSERT INTO flag VALUES ('f', 'a', 'other', 0, 2, 'he', NULL, NULL, 1, '', NULL, NULL, '', 1.0, NULL, NULL, NULL, '')",
    "a decision over a majority without a reason": "INSERT INTO decision VALUES ('d', '{rationale}', 'eve', 'accept', ' ', 1, 1, 't')",
    "a third round": "INSERT INTO assignment VALUES ('id', '{narrative}', 'cy', 3, 'leased', 't', 't')",
    "an unknown type": "UPDATE media SET bytes = 'many'",
}


@pytest.mark.parametrize("statement", FORBIDDEN.values(), ids=FORBIDDEN.keys())
def test_the_database_itself_refuses(statement: str, tmp_path: Path) -> None:
    with open_store(tmp_path) as db:
        seeded = seed_project(db)
        nothing_more = "NULL, NULL, '', NULL, NULL, NULL, NULL, ''"
        names = {"nothing_more": nothing_more, "qa": seeded.qa.id, "narrative": seeded.narrative.id, "rationale": seeded.rationale.id}
        for annotator in ("ann", "ben"):
            db.execute("INSERT INTO assignment VALUES (?, ?, ?, 1, 'leased', 't', 't')", [annotator, seeded.rationale.id, annotator])
        db.execute("INSERT INTO operation VALUES (1, '12345678', 'ann', ?, 1, 'draft', '{}', NULL, 't')", [seeded.rationale.id])
        query = "INSERT INTO annotation VALUES ('a', ?, 'ann', 1, 'draft', NULL, 0, NULL, NULL, NULL, '', NULL, NULL, NULL, NULL, 0, 0, 1, 't')"
        db.execute(query, [seeded.rationale.id])
        with pytest.raises(sqlite3.IntegrityError):
            db.execute(statement.format(**names))


def test_the_same_statements_pass_when_they_break_no_rule(tmp_path: Path) -> None:
    with open_store(tmp_path) as db:
        seeded = seed_project(db)
        db.execute(
            "INSERT INTO preference_pair VALUES ('p', ?, 'rationale', ?, ?, 'edit', '[]', 'proposed', 't')",
            [seeded.qa.id, seeded.rationale.id, seeded.rival.id],
        )
        db.execute("INSERT INTO assignment VALUES ('id', ?, 'ann', 1, 'leased', 't', 't')", [seeded.rationale.id])
        assert db.table("preference_pair").count == db.table("assignment").count == 1
