"""Generators and candidates. Functions take `db` first."""

import sqlite_utils

from store.records import Candidate, Generator
from store.rows import as_record, as_row, digest_id, utc_now


def generator_of(kind: str, name: str, prompt_version: str | None = None, settings: str | None = None, answer_given: bool | None = None) -> Generator:
    """Return the generator that these facts name; the same facts give the same id."""
    return Generator(digest_id("generator", kind, name, prompt_version, settings, answer_given), kind, name, prompt_version, settings, answer_given)


def candidate_of(kind: str, clip_id: str, qa_id: str | None, generator: Generator, text: str, parent_id: str | None = None) -> Candidate:
    """Return the candidate that these facts name; the same facts give the same id."""
    subject_id = qa_id or clip_id
    made_id = digest_id("candidate", kind, subject_id, generator.id, parent_id, text)
    return Candidate(made_id, kind, clip_id, qa_id, subject_id, generator.id, parent_id, text, utc_now())


def add_candidate(db: sqlite_utils.Database, candidate: Candidate, generator: Generator) -> bool:
    """Keep a candidate and its generator; return False when it was there already."""
    db.table("generator").insert(as_row(generator), ignore=True)
    before = db.conn.total_changes
    db.table("candidate").insert(as_row(candidate), ignore=True)
    return db.conn.total_changes > before


def get_candidate(db: sqlite_utils.Database, candidate_id: str) -> Candidate | None:
    """Return the candidate, or None."""
    rows = list(db.query("SELECT * FROM candidate WHERE id = ?", [candidate_id]))
    return as_record(Candidate, rows[0]) if rows else None


def list_candidates(db: sqlite_utils.Database) -> list[Candidate]:
    """Return all candidates in the order they came; one row a candidate."""
    return [as_record(Candidate, row) for row in db.query("SELECT * FROM candidate ORDER BY rowid")]


def list_generators(db: sqlite_utils.Database) -> list[Generator]:
    """Return all generators by name."""
    return [as_record(Generator, row) for row in db.query("SELECT * FROM generator ORDER BY name, id")]
