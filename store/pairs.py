"""Comparisons and preference pairs. Functions take `db` first."""

import sqlite_utils

from store.errors import NotFoundError
from store.records import Comparison, PreferencePair
from store.rows import as_record, as_row


def add_comparison(db: sqlite_utils.Database, comparison: Comparison) -> None:
    """Keep a comparison; the same annotator's word on the same pair is replaced."""
    db.table("comparison").insert(as_row(comparison), replace=True)


def list_comparisons(db: sqlite_utils.Database) -> list[Comparison]:
    """Return all comparisons in the order they were made."""
    return [as_record(Comparison, row) for row in db.query("SELECT * FROM comparison ORDER BY created_at, id")]


def comparisons_between(db: sqlite_utils.Database, a_id: str, b_id: str) -> list[Comparison]:
    """Return what everybody said of these two candidates, in the order it was said."""
    query = "SELECT * FROM comparison WHERE a_id = ? AND b_id = ? ORDER BY created_at, id"
    return [as_record(Comparison, row) for row in db.query(query, [min(a_id, b_id), max(a_id, b_id)])]


def next_uncompared(db: sqlite_utils.Database, annotator: str) -> tuple[str, str, int] | None:
    """Return (a_id, b_id, how many wait, this one included) for the annotator's next two candidates, or None.

    Both are of one subject and kind and differ in text, their clip can be watched, and neither is the annotator's own. Grows with all candidates.
    """
    rows = db.query(
        """SELECT a.id AS a_id, b.id AS b_id, count(*) OVER () AS waiting FROM candidate a
           JOIN candidate b ON b.subject_id = a.subject_id AND b.kind = a.kind AND b.id > a.id AND trim(b.text) <> trim(a.text)
           JOIN watchable_clip ON watchable_clip.id = a.clip_id
           WHERE NOT EXISTS (SELECT 1 FROM comparison c WHERE c.annotator = :who AND c.a_id = a.id AND c.b_id = b.id)
             AND NOT EXISTS (SELECT 1 FROM generator g WHERE g.id IN (a.generator_id, b.generator_id) AND g.kind = 'person' AND g.name = :who)
           ORDER BY min(a.rowid, b.rowid), max(a.rowid, b.rowid) LIMIT 1""",
        {"who": annotator},
    )
    return next(((row["a_id"], row["b_id"], row["waiting"]) for row in rows), None)


def add_pair(db: sqlite_utils.Database, pair: PreferencePair) -> bool:
    """Keep a pair; return False when the same pair of the same origin is there already (its state stays)."""
    before = db.conn.total_changes
    db.table("preference_pair").insert(as_row(pair), ignore=True)
    return db.conn.total_changes > before


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


def list_pairs(db: sqlite_utils.Database, state: str | None = None) -> list[PreferencePair]:
    """Return the pairs in the order they came, all or of one state."""
    query = "SELECT * FROM preference_pair WHERE :s IS NULL OR state = :s ORDER BY created_at, id"
    return [as_record(PreferencePair, row) for row in db.query(query, {"s": state})]
