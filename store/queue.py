"""Who annotates what next: leases on queued candidates. Functions take `db` first.

The tables refuse more than `wanted` leases and finals a candidate, and two of one annotator in one round.
"""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

import sqlite_utils

from store.database import transaction
from store.records import Assignment, QueueEntry
from store.rows import as_record, digest_id, utc_now

LEASE_MINUTES = 15
MOST_COUNTED = 501  # of the items that are open to one annotator


def enqueue(db: sqlite_utils.Database, candidate_id: str, wanted: int, batch_id: str = "default", part: str = "main", scratch: bool = False) -> bool:
    """Queue a candidate behind all others of its batch for `wanted` final annotations; return False when it was queued already."""
    done = db.execute(
        """INSERT INTO queue_entry (candidate_id, batch_id, part, scratch, rank, wanted, watchable)
           SELECT c.id, :batch, :part, :scratch, (SELECT coalesce(max(rank), 0) + 1 FROM queue_entry WHERE batch_id = :batch), :wanted,
                  EXISTS (SELECT 1 FROM watchable_clip w WHERE w.id = c.clip_id)
           FROM candidate c WHERE c.id = :candidate
           ON CONFLICT (candidate_id) DO NOTHING""",
        {"candidate": candidate_id, "batch": batch_id, "part": part, "scratch": int(scratch), "wanted": wanted},
    )
    return bool(done.rowcount)


def claim_next(db: sqlite_utils.Database, annotator: str, besides: Collection[str] = ()) -> Assignment | None:
    """Return a lease on the annotator's oldest open item, or on the next one that waits; None when nothing waits.

    `besides` names assignments that are not wanted again. In a transaction of its own, or in the one that is open.
    """
    with transaction(db):
        release_expired(db)
        held = _open_lease(db, annotator, besides)
        if held is not None:
            _renew(db, held)
            return find_assignment(db, held)
        found = _next_open(db, annotator, besides)
        return None if found is None else _lease(db, found, annotator, 1)


def release_expired(db: sqlite_utils.Database) -> int:
    """Take back the leases that ran out; return how many."""
    return int(db.execute("UPDATE assignment SET state = 'released' WHERE state = 'leased' AND expires_at < ?", [utc_now()]).rowcount)


def renew_lease(db: sqlite_utils.Database, assignment_id: str) -> bool:
    """Hold the item for its annotator again when a place is free; return whether it is held. Call inside a transaction."""
    held = find_assignment(db, assignment_id)
    if held is None or held.state == "skipped":
        return False
    if held.state == "released" and held.round == 1 and not _has_place(db, held.candidate_id):
        return False
    if held.state != "final":
        _renew(db, assignment_id)
    return True


def set_assignment_state(db: sqlite_utils.Database, assignment_id: str, state: str) -> None:
    """End a lease as "final", "skipped" or "released"."""
    db.execute("UPDATE assignment SET state = ? WHERE id = ?", [state, assignment_id])


def find_assignment(db: sqlite_utils.Database, assignment_id: str) -> Assignment | None:
    """Return the assignment, or None."""
    rows = list(db.query("SELECT * FROM assignment WHERE id = ?", [assignment_id]))
    return as_record(Assignment, rows[0]) if rows else None


def entry_of(db: sqlite_utils.Database, candidate_id: str) -> QueueEntry | None:
    """Return the candidate's place in the queue, or None."""
    rows = list(db.query("SELECT * FROM queue_entry WHERE candidate_id = ?", [candidate_id]))
    return as_record(QueueEntry, rows[0]) if rows else None


def list_queue(db: sqlite_utils.Database) -> list[QueueEntry]:
    """Return the queue in order; one row a candidate."""
    return [as_record(QueueEntry, row) for row in db.query("SELECT * FROM queue_entry ORDER BY batch_id, rank")]


def progress_of(db: sqlite_utils.Database, annotator: str) -> tuple[int, int]:
    """Return (items that the annotator finished, items that are still open to the annotator: at most 501 are counted)."""
    done = next(db.query("SELECT count(*) AS n FROM assignment WHERE annotator = ? AND state IN ('final', 'skipped')", [annotator]))["n"]
    query = """SELECT count(*) AS n FROM (
                 SELECT 1 FROM queue_entry q LEFT JOIN assignment a ON a.candidate_id = q.candidate_id AND a.annotator = :who AND a.round = 1
                 WHERE (a.state = 'leased' OR (q.taken < q.wanted AND q.watchable = 1 AND (a.state IS NULL OR a.state = 'released')))
                   AND q.batch_id IN (SELECT id FROM batch WHERE state = 'open')
                 LIMIT :most)"""
    return int(done), int(next(db.query(query, {"who": annotator, "most": MOST_COUNTED}))["n"])


def _open_lease(db: sqlite_utils.Database, annotator: str, besides: Collection[str]) -> str | None:
    rows = db.query("SELECT id FROM assignment WHERE annotator = ? AND state = 'leased' ORDER BY leased_at, rowid", [annotator])
    return next((str(row["id"]) for row in rows if row["id"] not in besides), None)


def _next_open(db: sqlite_utils.Database, annotator: str, besides: Collection[str]) -> str | None:
    """Return the first open candidate whose clip can be watched and that the annotator has not had."""
    rows = db.query(
        """SELECT q.candidate_id FROM queue_entry q
           WHERE q.taken < q.wanted AND q.watchable = 1 AND q.part = 'main' AND q.batch_id IN (SELECT id FROM batch WHERE state = 'open')
             AND NOT EXISTS (SELECT 1 FROM assignment a
                             WHERE a.candidate_id = q.candidate_id AND a.annotator = ? AND a.round = 1 AND a.state <> 'released')
           ORDER BY q.batch_id = 'default', q.batch_id, q.rank""",
        [annotator],
    )
    return next((str(row["candidate_id"]) for row in rows if _assignment_id(row["candidate_id"], annotator, 1) not in besides), None)


def _has_place(db: sqlite_utils.Database, candidate_id: str) -> bool:
    return bool(next(db.query("SELECT taken < wanted AS free FROM queue_entry WHERE candidate_id = ?", [candidate_id]))["free"])


def _lease(db: sqlite_utils.Database, candidate_id: str, annotator: str, round_: int) -> Assignment:
    made_id, now = _assignment_id(candidate_id, annotator, round_), utc_now()
    row = next(
        db.query(
            """INSERT INTO assignment (id, candidate_id, annotator, round, state, leased_at, expires_at) VALUES (?, ?, ?, ?, 'leased', ?, ?)
               ON CONFLICT (id) DO UPDATE SET state = 'leased', leased_at = excluded.leased_at, expires_at = excluded.expires_at
               RETURNING *""",
            [made_id, candidate_id, annotator, round_, now, _expiry()],
        )
    )
    return as_record(Assignment, row)


def _renew(db: sqlite_utils.Database, assignment_id: str) -> None:
    db.execute("UPDATE assignment SET state = 'leased', expires_at = ? WHERE id = ?", [_expiry(), assignment_id])


def _expiry() -> str:
    return (datetime.now(UTC) + timedelta(minutes=LEASE_MINUTES)).isoformat(timespec="milliseconds")


def _assignment_id(candidate_id: str, annotator: str, round_: int) -> str:
    return digest_id("assignment", candidate_id, annotator, round_)
