"""What came with a text beside its words: signals and suggested flags. Functions take `db` first."""

import sqlite_utils

from store.records import Suggestion
from store.rows import as_record


def suggestions_of(db: sqlite_utils.Database, candidate_id: str) -> list[Suggestion]:
    """Return the flags that came with the text, in the order they were given."""
    return [as_record(Suggestion, row) for row in db.query("SELECT * FROM suggestion WHERE candidate_id = ? ORDER BY rowid", [candidate_id])]
