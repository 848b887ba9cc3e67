"""Batches: what is to be annotated, by whom and how. Functions take `db` first."""

import sqlite_utils

from store.errors import NotFoundError
from store.records import Batch
from store.rows import as_record


def get_batch(db: sqlite_utils.Database, batch_id: str) -> Batch:
    """Return the batch. Raises NotFoundError."""
    rows = list(db.query("SELECT * FROM batch WHERE id = ?", [batch_id]))
    if not rows:
        raise NotFoundError(f"There is no batch {batch_id}. Load the page again.")
    return as_record(Batch, rows[0])
