"""Curated sets: which are frozen, and where. Functions take `db` first."""

import sqlite_utils

from store.errors import NotFoundError
from store.records import CuratedSet
from store.rows import as_record, as_row


def add_set(db: sqlite_utils.Database, curated: CuratedSet) -> None:
    """Keep a curated set."""
    db.table("curated_set").insert(as_row(curated))


def get_set(db: sqlite_utils.Database, set_id: str) -> CuratedSet:
    """Return the curated set. Raises NotFoundError."""
    rows = list(db.query("SELECT * FROM curated_set WHERE id = ?", [set_id]))
    if not rows:
        raise NotFoundError(f"There is no curated set {set_id}. Freeze one first.")
    return as_record(CuratedSet, rows[0])


def list_sets(db: sqlite_utils.Database, kind: str | None = None) -> list[CuratedSet]:
    """Return the curated sets, the newest first, all or of kind "sft", "dpo" or "questions"."""
    query = "SELECT * FROM curated_set WHERE :k IS NULL OR kind = :k ORDER BY created_at DESC, rowid DESC"
    return [as_record(CuratedSet, row) for row in db.query(query, {"k": kind})]
