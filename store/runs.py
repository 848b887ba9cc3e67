"""Runs: which config and data, in which directory. Functions take `db` first; status is read from files, never here."""

import sqlite_utils

from store.records import Run
from store.rows import as_record, as_row


def add_run(db: sqlite_utils.Database, run: Run) -> None:
    """Keep a run."""
    db.table("run").insert(as_row(run))


def list_runs(db: sqlite_utils.Database) -> list[Run]:
    """Return all runs, the newest first."""
    return [as_record(Run, row) for row in db.query("SELECT * FROM run ORDER BY created_at DESC, rowid DESC")]
