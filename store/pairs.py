"""Comparisons, preference pairs and curated sets. Functions take `db` first."""

import sqlite_utils

from store.errors import NotFoundError
from store.records import Comparison, CuratedSet, PreferencePair
from store.rows import as_record, as_row


def add_comparison(db: sqlite_utils.Database, comparison: Comparison) -> None:
    """Keep a comparison; the same annotator's word on the same pair is replaced."""
    db.table("comparison").insert(as_row(comparison), replace=True)


def list_comparisons(db: sqlite_utils.Database) -> list[Comparison]:
    """Return all comparisons in the order they were made."""
    return [as_record(Comparison, row) for row in db.query("SELECT * FROM comparison ORDER BY created_at, id")]


def add_pair(db: sqlite_utils.Database, pair: PreferencePair) -> bool:
    """Keep a pair; return False when the same pair of the same origin is there already (its state stays)."""
    before = db.conn.total_changes
    db.table("preference_pair").insert(as_row(pair), ignore=True)
    return db.conn.total_changes > before


def set_pair_state(db: sqlite_utils.Database, pair_id: str, state: str) -> None:
    """Set a pair to "proposed", "accepted" or "dropped". Raises NotFoundError when there is no such pair."""
    if not db.execute("UPDATE preference_pair SET state = ? WHERE id = ?", [state, pair_id]).rowcount:
        raise NotFoundError(f"There is no preference pair {pair_id}. Load the page again.")


def list_pairs(db: sqlite_utils.Database, state: str | None = None) -> list[PreferencePair]:
    """Return the pairs in the order they came, all or of one state."""
    query = "SELECT * FROM preference_pair WHERE :s IS NULL OR state = :s ORDER BY created_at, id"
    return [as_record(PreferencePair, row) for row in db.query(query, {"s": state})]


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
    """Return the curated sets, the newest first, all or of kind "sft" or "dpo"."""
    query = "SELECT * FROM curated_set WHERE :k IS NULL OR kind = :k ORDER BY created_at DESC, rowid DESC"
    return [as_record(CuratedSet, row) for row in db.query(query, {"k": kind})]
