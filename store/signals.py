"""What came with a text beside its words: signals, suggested flags and known verdicts. Functions take `db` first."""

from collections.abc import Sequence

import sqlite_utils

from store.records import Gold, Signal, Suggestion
from store.rows import as_record, as_row


def add_signals(db: sqlite_utils.Database, signals: Sequence[Signal]) -> None:
    """Put the signals in; a newer value replaces one of the same name."""
    db.table("signal").insert_all([as_row(signal) for signal in signals], replace=True)


def add_suggestions(db: sqlite_utils.Database, suggestions: Sequence[Suggestion]) -> None:
    """Put the suggested flags in."""
    db.table("suggestion").insert_all([as_row(suggestion) for suggestion in suggestions])


def set_gold(db: sqlite_utils.Database, gold: Gold) -> None:
    """Make it the known verdict on its text."""
    db.table("gold").insert(as_row(gold), replace=True)


def signals_of(db: sqlite_utils.Database, candidate_id: str) -> list[Signal]:
    """Return the signals of the text by name."""
    return [as_record(Signal, row) for row in db.query("SELECT * FROM signal WHERE candidate_id = ? ORDER BY name", [candidate_id])]


def suggestions_of(db: sqlite_utils.Database, candidate_id: str) -> list[Suggestion]:
    """Return the flags that came with the text, in the order they were given."""
    return [as_record(Suggestion, row) for row in db.query("SELECT * FROM suggestion WHERE candidate_id = ? ORDER BY rowid", [candidate_id])]


def gold_of(db: sqlite_utils.Database, candidate_id: str) -> Gold | None:
    """Return the known verdict on the text, or None."""
    rows = list(db.query("SELECT * FROM gold WHERE candidate_id = ?", [candidate_id]))
    return as_record(Gold, rows[0]) if rows else None


def signal_names(db: sqlite_utils.Database) -> list[str]:
    """Return the names that signals have; cost grows with the number of signals."""
    return [str(row["name"]) for row in db.query("SELECT DISTINCT name FROM signal ORDER BY name")]
