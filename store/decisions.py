"""Decisions on what annotators dispute, and questions on the guidelines. Functions take `db` first."""

import json
from collections import defaultdict
from collections.abc import Sequence

import sqlite_utils

from store.records import Annotation, Decision, DecisionFlag, Flag, GuidelineIssue
from store.replay_decisions import Ruling
from store.rows import as_record, as_row


def put_ruling(db: sqlite_utils.Database, ruling: Ruling) -> None:
    """Set the decision on a candidate and exactly these flags. Call inside a transaction, after the operation behind it was appended."""
    db.execute("DELETE FROM decision_flag WHERE decision_id = ?", [ruling.decision.id])
    db.table("decision").upsert(as_row(ruling.decision), pk="id")
    for flag in ruling.flags:
        db.table("decision_flag").insert(as_row(flag))


def ruling_on(db: sqlite_utils.Database, candidate_id: str) -> Ruling | None:
    """Return the decision on the candidate with its flags, or None."""
    rows = list(db.query("SELECT * FROM decision WHERE candidate_id = ?", [candidate_id]))
    if not rows:
        return None
    decision = as_record(Decision, rows[0])
    flags = db.query("SELECT * FROM decision_flag WHERE decision_id = ? ORDER BY position", [decision.id])
    return Ruling(decision, tuple(as_record(DecisionFlag, flag) for flag in flags))


def list_rulings(db: sqlite_utils.Database) -> dict[str, Ruling]:
    """Return all decisions with their flags by candidate id, the newest first; two queries."""
    flags: dict[str, list[DecisionFlag]] = defaultdict(list)
    for row in db.query("SELECT * FROM decision_flag ORDER BY decision_id, position"):
        flags[row["decision_id"]].append(as_record(DecisionFlag, row))
    decisions = [as_record(Decision, row) for row in db.query("SELECT * FROM decision ORDER BY operation_sequence DESC")]
    return {decision.candidate_id: Ruling(decision, tuple(flags[decision.id])) for decision in decisions}


def contested_candidates(db: sqlite_utils.Database) -> list[str]:
    """Return the candidates without a decision that two people or more judged (skips left out) with different verdicts, or that one of them flagged.

    Where all gave one verdict and nobody set a flag, nothing is in dispute. Grows with all annotations.
    """
    query = """SELECT candidate_id FROM annotation a WHERE round = 1 AND state = 'final' AND verdict <> 'skip'
               AND NOT EXISTS (SELECT 1 FROM decision d WHERE d.candidate_id = a.candidate_id)
               GROUP BY candidate_id HAVING count(*) > 1 AND (count(DISTINCT verdict) > 1 OR max(EXISTS (SELECT 1 FROM flag WHERE annotation_id = a.id)))"""
    return [row["candidate_id"] for row in db.query(query)]


def voices_of(db: sqlite_utils.Database, candidate_ids: Sequence[str]) -> list[Annotation]:
    """Return the final annotations of round 1 on these candidates, skips left out."""
    query = """SELECT * FROM annotation WHERE candidate_id IN (SELECT value FROM json_each(?)) AND round = 1 AND state = 'final' AND verdict <> 'skip'"""
    return [as_record(Annotation, row) for row in db.query(query, [json.dumps(list(candidate_ids))])]


def flags_of_all(db: sqlite_utils.Database, annotation_ids: Sequence[str]) -> list[Flag]:
    """Return the flags of these annotations, those of one annotation in the order they were set."""
    query = "SELECT * FROM flag WHERE annotation_id IN (SELECT value FROM json_each(?)) ORDER BY rowid"
    return [as_record(Flag, row) for row in db.query(query, [json.dumps(list(annotation_ids))])]


def put_issue(db: sqlite_utils.Database, issue: GuidelineIssue) -> None:
    """Keep a question on the guidelines, or its answer. Call inside a transaction, after the operation behind it was appended."""
    db.table("guideline_issue").upsert(as_row(issue), pk="id")


def get_issue(db: sqlite_utils.Database, issue_id: str) -> GuidelineIssue | None:
    """Return the question, or None."""
    rows = list(db.query("SELECT * FROM guideline_issue WHERE id = ?", [issue_id]))
    return as_record(GuidelineIssue, rows[0]) if rows else None


def list_issues(db: sqlite_utils.Database, candidate_id: str | None = None) -> list[GuidelineIssue]:
    """Return the questions in the order they were asked, all or those that one candidate raised."""
    query = "SELECT * FROM guideline_issue WHERE :c IS NULL OR candidate_id = :c ORDER BY asked_at, id"
    return [as_record(GuidelineIssue, row) for row in db.query(query, {"c": candidate_id})]
