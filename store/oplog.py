"""The append-only log of operations. Functions take `db` first."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import sqlite_utils

from store.records import Operation
from store.replay import WORK_KINDS
from store.rows import as_record, utc_now


@dataclass(frozen=True)
class NewOperation:
    """An operation before the log gave it its number and its moment."""

    id: str
    annotator: str
    candidate_id: str | None
    kind: str
    payload: str  # JSON
    round: int = 1
    client_at: str | None = None


def append_operation(db: sqlite_utils.Database, made: NewOperation) -> Operation:
    """Append one line to the log and return it. Call inside the transaction that changes the tables."""
    server_at = utc_now()
    query = """INSERT INTO operation (id, annotator, candidate_id, round, kind, payload, client_at, server_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"""
    values = [made.id, made.annotator, made.candidate_id, made.round, made.kind, made.payload, made.client_at, server_at]
    sequence = int(db.execute(query, values).lastrowid or 0)
    return Operation(sequence, made.id, made.annotator, made.candidate_id, made.round, made.kind, made.payload, made.client_at, server_at)


def find_operation(db: sqlite_utils.Database, operation_id: str) -> Operation | None:
    """Return the operation with this client-made id, or None when it never arrived."""
    rows = list(db.query("SELECT * FROM operation WHERE id = ?", [operation_id]))
    return as_record(Operation, rows[0]) if rows else None


def last_operation(db: sqlite_utils.Database, candidate_id: str, annotator: str, round_: int, kinds: Sequence[str]) -> Operation | None:
    """Return the annotator's newest operation of these kinds on the candidate, or None; a step or two of an index."""
    query = """SELECT * FROM operation WHERE candidate_id = ? AND annotator = ? AND round = ? AND kind IN (SELECT value FROM json_each(?))
               ORDER BY sequence DESC LIMIT 1"""
    rows = list(db.query(query, [candidate_id, annotator, round_, json.dumps(list(kinds))]))
    return as_record(Operation, rows[0]) if rows else None


def list_operations(db: sqlite_utils.Database, kinds: Sequence[str] | None = None) -> Iterator[Operation]:
    """Yield the log in order, whole or what is of these kinds; a line at a time."""
    query = "SELECT * FROM operation WHERE :kinds IS NULL OR kind IN (SELECT value FROM json_each(:kinds)) ORDER BY sequence"
    return (as_record(Operation, row) for row in db.query(query, {"kinds": None if kinds is None else json.dumps(kinds)}))


def count_operations(db: sqlite_utils.Database) -> int:
    """Return how many lines the log has."""
    return int(next(db.query("SELECT count(*) AS n FROM operation"))["n"])


def count_missing(db: sqlite_utils.Database) -> int:
    """Return how many lines the log lost: its numbers have no gaps, since what is rolled back gives its number back."""
    query = "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'operation'), 0) - count(*) AS n FROM operation"
    return int(next(db.query(query))["n"])


def list_work_keys(db: sqlite_utils.Database) -> Iterator[tuple[str, str, int]]:
    """Yield (candidate, annotator, round) of all work that is in the log, or in the tables, in order; sorted on the disk."""
    query = """SELECT candidate_id, annotator, round FROM operation WHERE kind IN (SELECT value FROM json_each(?))
               UNION SELECT candidate_id, annotator, round FROM annotation ORDER BY 1, 2, 3"""
    return ((row["candidate_id"], row["annotator"], row["round"]) for row in db.query(query, [json.dumps(WORK_KINDS)]))


def list_work_operations(db: sqlite_utils.Database, candidate_id: str, annotator: str, round_: int) -> Iterator[Operation]:
    """Yield the annotator's operations on the item in order, by an index."""
    query = """SELECT * FROM operation WHERE candidate_id = ? AND annotator = ? AND round = ? AND kind IN (SELECT value FROM json_each(?))
               ORDER BY sequence"""
    return (as_record(Operation, row) for row in db.query(query, [candidate_id, annotator, round_, json.dumps(WORK_KINDS)]))
