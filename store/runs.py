"""Runs: which config and data, in which directory. Functions take `db` first; status is read from files, never here."""

import sqlite_utils

from store.errors import NotFoundError
from store.records import Run
from store.rows import as_record, as_row


def add_run(db: sqlite_utils.Database, run: Run) -> None:
    """Keep a run."""
    db.table("run").insert(as_row(run))


def get_run(db: sqlite_utils.Database, run_id: str) -> Run:
    """Return the run. Raises NotFoundError."""
    rows = list(db.query("SELECT * FROM run WHERE id = ?", [run_id]))
    if not rows:
        raise NotFoundError(f"There is no run {run_id}. Load the page again.")
    return as_record(Run, rows[0])


def list_runs(db: sqlite_utils.Database) -> list[Run]:
    """Return all runs, the newest first."""
    return [as_record(Run, row) for row in db.query("SELECT * FROM run ORDER BY created_at DESC, rowid DESC")]
