"""The append-only log of operations. Functions take `db` first."""

import sqlite_utils

from store.records import Operation
from store.rows import as_record, utc_now


def append_operation(db: sqlite_utils.Database, operation_id: str, annotator: str, candidate_id: str, kind: str, payload: str, client_at: str | None) -> int:
    """Append one line to the log; return its sequence number. Call inside the transaction that changes the tables."""
    row: dict[str, str | None] = {"id": operation_id, "annotator": annotator, "candidate_id": candidate_id, "kind": kind}
    row |= {"payload": payload, "client_at": client_at, "server_at": utc_now()}
    return int(db.table("operation").insert(row).last_pk or 0)


def find_operation(db: sqlite_utils.Database, operation_id: str) -> Operation | None:
    """Return the operation with this client-made id, or None when it never arrived."""
    rows = list(db.query("SELECT * FROM operation WHERE id = ?", [operation_id]))
    return as_record(Operation, rows[0]) if rows else None


def last_operation(db: sqlite_utils.Database, candidate_id: str, annotator: str) -> Operation | None:
    """Return the annotator's newest operation on the candidate, or None; one step of an index."""
    query = "SELECT * FROM operation WHERE candidate_id = ? AND annotator = ? ORDER BY sequence DESC LIMIT 1"
    rows = list(db.query(query, [candidate_id, annotator]))
    return as_record(Operation, rows[0]) if rows else None


def list_operations(db: sqlite_utils.Database, candidate_id: str | None = None) -> list[Operation]:
    """Return the log in order, whole or of one candidate."""
    query = "SELECT * FROM operation WHERE :c IS NULL OR candidate_id = :c ORDER BY sequence"
    return [as_record(Operation, row) for row in db.query(query, {"c": candidate_id})]
