"""Annotations with their flags and claim ticks. Functions take `db` first.

An annotation of round 2 is a hidden repeat: it says how far a person agrees with themselves, and counts nowhere else.
"""

import json
from collections.abc import Sequence

import sqlite_utils

from store.records import Annotation, ClaimTick, Flag
from store.replay import Work
from store.rows import as_record


def put_work(db: sqlite_utils.Database, work: Work) -> None:
    """Set an annotation, exactly these flags and exactly these ticks. Call inside a transaction, after the operation behind it was appended."""
    db.execute("DELETE FROM flag WHERE annotation_id = ?", [work.annotation.id])
    db.execute("DELETE FROM claim_tick WHERE annotation_id = ?", [work.annotation.id])
    db.execute(
        """REPLACE INTO annotation VALUES (:id, :candidate_id, :annotator, :round, :state, :verdict, :no_error, :omission, :factual_consistency,
           :logical_coherence, :note, :edited_text, :skip_reason, :blind_answer, :blind_answer_index, :seconds_spent, :watched_share,
           :operation_sequence, :updated_at)""",
        vars(work.annotation),
    )
    db.conn.executemany(
        """INSERT INTO flag VALUES (:id, :annotation_id, :kind, :text_start, :text_end, :quote, :start_s, :end_s, :severity, :comment,
           :other_start, :other_end, :other_quote, :other_start_s, :other_end_s, :claimed_order, :true_order, :props_up)""",
        map(vars, work.flags),
    )
    db.conn.executemany("INSERT INTO claim_tick VALUES (:annotation_id, :text_start, :text_end, :support)", map(vars, work.ticks))


def work_of(db: sqlite_utils.Database, candidate_id: str, annotator: str, round_: int = 1) -> Work | None:
    """Return the annotator's work on the candidate as the tables hold it, or None."""
    annotation = annotation_of(db, candidate_id, annotator, round_)
    return Work(annotation, tuple(flags_of(db, annotation.id)), tuple(ticks_of(db, annotation.id))) if annotation else None


def annotation_of(db: sqlite_utils.Database, candidate_id: str, annotator: str, round_: int = 1) -> Annotation | None:
    """Return the annotator's annotation of the candidate, draft or final, or None."""
    rows = list(db.query("SELECT * FROM annotation WHERE candidate_id = ? AND annotator = ? AND round = ?", [candidate_id, annotator, round_]))
    return as_record(Annotation, rows[0]) if rows else None


def blind_answer_to(db: sqlite_utils.Database, qa_id: str, annotator: str) -> Annotation | None:
    """Return the annotation with which the annotator answered the question before its answer was shown, or None; one look-up a text on it."""
    query = """SELECT a.* FROM candidate c JOIN annotation a ON a.candidate_id = c.id AND a.annotator = :who
               WHERE c.subject_id = :qa AND c.kind = 'rationale' AND coalesce(a.blind_answer, a.blind_answer_index) IS NOT NULL
               ORDER BY a.operation_sequence LIMIT 1"""
    rows = list(db.query(query, {"who": annotator, "qa": qa_id}))
    return as_record(Annotation, rows[0]) if rows else None


def flags_of(db: sqlite_utils.Database, annotation_id: str) -> list[Flag]:
    """Return the flags of one annotation, in the order they were set."""
    return [as_record(Flag, row) for row in db.query("SELECT * FROM flag WHERE annotation_id = ? ORDER BY rowid", [annotation_id])]


def ticks_of(db: sqlite_utils.Database, annotation_id: str) -> list[ClaimTick]:
    """Return the claim ticks of one annotation, in the order they were set."""
    return [as_record(ClaimTick, row) for row in db.query("SELECT * FROM claim_tick WHERE annotation_id = ? ORDER BY rowid", [annotation_id])]


def first_annotations(db: sqlite_utils.Database) -> list[Annotation]:
    """Return all annotations of round 1, drafts included, in order of candidate and annotator; one row an annotation."""
    return [as_record(Annotation, row) for row in db.query("SELECT * FROM annotation WHERE round = 1 ORDER BY candidate_id, annotator")]


def final_annotations(db: sqlite_utils.Database) -> list[Annotation]:
    """Return all final annotations of round 1 in order of candidate and annotator; one row an annotation."""
    query = "SELECT * FROM annotation WHERE state = 'final' AND round = 1 ORDER BY candidate_id, annotator"
    return [as_record(Annotation, row) for row in db.query(query)]


def flags_of_finals(db: sqlite_utils.Database) -> list[Flag]:
    """Return the flags of all final annotations of round 1; one row a flag."""
    query = "SELECT flag.* FROM flag JOIN annotation a ON a.id = annotation_id WHERE a.state = 'final' AND a.round = 1 ORDER BY flag.rowid"
    return [as_record(Flag, row) for row in db.query(query)]


def finished_annotations(db: sqlite_utils.Database, annotator: str) -> list[Annotation]:
    """Return the annotator's items that are submitted or skipped, the newest first; one row an item."""
    query = """SELECT annotation.* FROM annotation JOIN assignment USING (candidate_id, annotator, round)
               WHERE annotator = ? AND assignment.state IN ('final', 'skipped') ORDER BY updated_at DESC, operation_sequence DESC"""
    return [as_record(Annotation, row) for row in db.query(query, [annotator])]


def verdict_counts(db: sqlite_utils.Database, annotator: str) -> dict[str, int]:
    """Return how many items the annotator finished with each verdict, skips included."""
    query = """SELECT verdict, count(*) AS n FROM annotation JOIN assignment USING (candidate_id, annotator, round)
               WHERE annotator = ? AND assignment.state IN ('final', 'skipped') GROUP BY verdict"""
    return {str(row["verdict"]): int(row["n"]) for row in db.query(query, [annotator])}


def foreign_flags(db: sqlite_utils.Database, annotation_id: str, flag_ids: Sequence[str]) -> list[str]:
    """Return those of the ids that belong to a flag of another annotation."""
    query = "SELECT id FROM flag WHERE id IN (SELECT value FROM json_each(?)) AND annotation_id <> ?"
    return [str(row["id"]) for row in db.query(query, [json.dumps(list(flag_ids)), annotation_id])]
