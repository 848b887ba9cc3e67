"""Annotations and their flags. Functions take `db` first."""

import json
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


def finished_annotations(db: sqlite_utils.Database, annotator: str, limit: int) -> list[Annotation]:
    """Return the annotator's last `limit` items that are submitted or skipped, the newest first."""
    query = """SELECT annotation.* FROM annotation JOIN assignment USING (candidate_id, annotator)
               WHERE annotator = ? AND assignment.state IN ('final', 'skipped') ORDER BY updated_at DESC, operation_sequence DESC LIMIT ?"""
    return [as_record(Annotation, row) for row in db.query(query, [annotator, limit])]


def verdict_counts(db: sqlite_utils.Database, annotator: str) -> dict[str, int]:
    """Return how many items the annotator finished with each verdict, skips included."""
    query = """SELECT verdict, count(*) AS n FROM annotation JOIN assignment USING (candidate_id, annotator)
               WHERE annotator = ? AND assignment.state IN ('final', 'skipped') GROUP BY verdict"""
    return {str(row["verdict"]): int(row["n"]) for row in db.query(query, [annotator])}


def foreign_flags(db: sqlite_utils.Database, annotation_id: str, flag_ids: Sequence[str]) -> list[str]:
    """Return those of the ids that belong to a flag of another annotation."""
    query = "SELECT id FROM flag WHERE id IN (SELECT value FROM json_each(?)) AND annotation_id <> ?"
    return [str(row["id"]) for row in db.query(query, [json.dumps(list(flag_ids)), annotation_id])]
