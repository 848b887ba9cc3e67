"""Preference pairs. Functions take `db` first."""

import json
from collections.abc import Sequence

import sqlite_utils

from store.errors import NotFoundError
from store.records import Candidate, Generator, PreferencePair
from store.rows import as_record, as_row

# The name of the generator of texts that were made for a pair: nobody is asked to annotate or to compare them.
MADE_WRONG = "correctness negatives"

# Where a pair comes from, as the schema knows it; of several the first one names the row.
ORIGINS = ("edit", "verdict", "comparison", "correctness")


def add_pair(db: sqlite_utils.Database, pair: PreferencePair) -> bool:
    """Keep a pair; return False when the same pair of the same origin is there already (its state stays)."""
    before = db.conn.total_changes
    db.table("preference_pair").insert(as_row(pair), ignore=True)
    return db.conn.total_changes > before


def add_made(db: sqlite_utils.Database, generators: Sequence[Generator], candidates: Sequence[Candidate], pairs: Sequence[PreferencePair]) -> None:
    """Keep texts that were made for pairs, who made them, and the pairs; what is there already stays. Call inside a transaction."""
    for table, records in (("generator", generators), ("candidate", candidates), ("preference_pair", pairs)):
        db.table(table).insert_all([as_row(record) for record in records], ignore=True)


def set_pair_state(db: sqlite_utils.Database, pair_id: str, state: str) -> None:
    """Set a pair to "proposed", "accepted" or "dropped". Raises NotFoundError when there is no such pair."""
    if not db.execute("UPDATE preference_pair SET state = ? WHERE id = ?", [state, pair_id]).rowcount:
        raise NotFoundError(f"There is no preference pair {pair_id}. Load the page again.")


def update_pair(db: sqlite_utils.Database, pair: PreferencePair) -> None:
    """Give the stored pair of this id the evidence and the state of `pair`."""
    db.execute("UPDATE preference_pair SET evidence = ?, state = ? WHERE id = ?", [pair.evidence, pair.state, pair.id])


def remove_pair(db: sqlite_utils.Database, pair_id: str) -> None:
    """Forget a pair whose evidence no longer holds and on which nobody decided."""
    db.execute("DELETE FROM preference_pair WHERE id = ?", [pair_id])


def get_pair(db: sqlite_utils.Database, pair_id: str) -> PreferencePair:
    """Return the pair. Raises NotFoundError."""
    rows = list(db.query("SELECT * FROM preference_pair WHERE id = ?", [pair_id]))
    if not rows:
        raise NotFoundError(f"There is no preference pair {pair_id}. Load the page again.")
    return as_record(PreferencePair, rows[0])


def pairs_of_ids(db: sqlite_utils.Database, pair_ids: Sequence[str]) -> list[PreferencePair]:
    """Return those of these pairs that are kept; one look-up each."""
    rows = db.query("SELECT * FROM preference_pair WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id", [json.dumps(list(pair_ids))])
    return [as_record(PreferencePair, row) for row in rows]


def list_pairs(db: sqlite_utils.Database, state: str | None = None) -> list[PreferencePair]:
    """Return the pairs in the order they came, all or of one state."""
    query = "SELECT * FROM preference_pair WHERE :s IS NULL OR state = :s ORDER BY created_at, id"
    return [as_record(PreferencePair, row) for row in db.query(query, {"s": state})]
