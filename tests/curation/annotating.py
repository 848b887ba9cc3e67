"""Annotations, edits and comparisons put into a store without a desk, and stores that live in memory."""

import dataclasses
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

import sqlite_utils

from curation.desk import DeskItem, item_for
from store.annotations import put_work
from store.candidates import add_candidate, candidate_of, generator_of
from store.database import transaction
from store.oplog import NewOperation, append_operation
from store.queue import claim_next
from store.records import Annotation, Candidate, Flag
from store.replay import Work
from store.rows import digest_id, utc_now
from store.schema import migrate

NO_OTHER: dict[str, Any] = dict.fromkeys(("other_start", "other_end", "other_start_s", "other_end_s", "claimed_order", "true_order"))
NO_OTHER |= {"other_quote": "", "props_up": ""}


@contextmanager
def memory_store() -> Iterator[sqlite_utils.Database]:
    """Yield an empty store that is gone afterwards: a fresh one for each example of a property."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as conn:
        conn.execute("PRAGMA foreign_keys = ON")
        db = sqlite_utils.Database(conn)
        migrate(db)
        yield db


def annotation_of(candidate: Candidate, annotator: str, verdict: str, edited: str | None = None, stars: tuple[int, int] | None = None) -> Annotation:
    factual, logical = stars or (None, None)
    made_id = digest_id("annotation", candidate.id, annotator)
    return Annotation(
        id=made_id,
        candidate_id=candidate.id,
        annotator=annotator,
        round=1,
        state="final",
        verdict=verdict,
        no_error=False,
        omission=None,
        factual_consistency=factual,
        logical_coherence=logical,
        note="",
        edited_text=edited,
        skip_reason=None,
        blind_answer=None,
        blind_answer_index=None,
        seconds_spent=1.0,
        watched_share=1.0,
        operation_sequence=1,
        updated_at=utc_now(),
    )


def flag_of(annotation: Annotation, kind: str, number: int = 0) -> Flag:
    return Flag(digest_id("flag", annotation.id, number), annotation.id, kind, None, None, "", None, None, 1, "it is so", **NO_OTHER)


def annotate(
    db: sqlite_utils.Database,
    candidate: Candidate,
    annotator: str,
    verdict: str,
    flags: Sequence[str] = (),
    edited: str | None = None,
    stars: tuple[int, int] | None = None,
) -> Candidate | None:
    """Keep a final annotation, in place of an earlier one; return the edit when there is one."""
    made = annotation_of(candidate, annotator, verdict, edited, stars)
    with transaction(db):
        count = next(db.query("SELECT count(*) AS n FROM operation"))["n"]
        kept = append_operation(db, NewOperation(f"operation-{count}", annotator, candidate.id, "submit", "{}"))
        made = dataclasses.replace(made, operation_sequence=kept.sequence)
        put_work(db, Work(made, tuple(flag_of(made, kind, number) for number, kind in enumerate(flags)), ()))
    if edited is None:
        return None
    writer = generator_of("person", annotator)
    edit = candidate_of(candidate.kind, candidate.clip_id, candidate.qa_id, writer, edited, candidate.id)
    add_candidate(db, edit, writer)
    return edit


def next_item(db: sqlite_utils.Database, annotator: str, besides: Collection[str] = ()) -> DeskItem | None:
    """Lease and return the annotator's open item or the next one that waits; None when nothing waits. `besides` are assignments not wanted."""
    lease = claim_next(db, annotator, besides)
    return item_for(db, annotator, lease.id) if lease else None
