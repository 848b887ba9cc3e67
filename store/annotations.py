"""Annotations and their flags. Functions take `db` first."""

from collections.abc import Sequence

import sqlite_utils

from store.records import Annotation, Flag
from store.rows import as_record, as_row


def put_annotation(db: sqlite_utils.Database, annotation: Annotation, flags: Sequence[Flag]) -> None:
    """Set an annotation and exactly these flags. Call inside a transaction, after the operation behind it was appended."""
    db.table("annotation").upsert(as_row(annotation), pk="id")
    db.execute("DELETE FROM flag WHERE annotation_id = ?", [annotation.id])
    for flag in flags:
        db.table("flag").insert(as_row(flag))


def annotation_of(db: sqlite_utils.Database, candidate_id: str, annotator: str) -> Annotation | None:
    """Return the annotator's annotation of the candidate, draft or final, or None."""
    rows = list(db.query("SELECT * FROM annotation WHERE candidate_id = ? AND annotator = ?", [candidate_id, annotator]))
    return as_record(Annotation, rows[0]) if rows else None


def flags_of(db: sqlite_utils.Database, annotation_id: str) -> list[Flag]:
    """Return the flags of one annotation, in the order they were set."""
    return [as_record(Flag, row) for row in db.query("SELECT * FROM flag WHERE annotation_id = ? ORDER BY rowid", [annotation_id])]


def final_annotations(db: sqlite_utils.Database) -> list[Annotation]:
    """Return all final annotations in order of candidate and annotator; one row an annotation."""
    query = "SELECT * FROM annotation WHERE state = 'final' ORDER BY candidate_id, annotator"
    return [as_record(Annotation, row) for row in db.query(query)]


def flags_of_finals(db: sqlite_utils.Database) -> list[Flag]:
    """Return the flags of all final annotations; one row a flag."""
    query = "SELECT flag.* FROM flag JOIN annotation a ON a.id = annotation_id WHERE a.state = 'final' ORDER BY flag.rowid"
    return [as_record(Flag, row) for row in db.query(query)]
