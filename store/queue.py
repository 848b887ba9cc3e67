"""Who annotates what next: leases on queued candidates. Functions take `db` first.

The table itself refuses more than `wanted` leases and finals a candidate, and two by one annotator.
"""

from datetime import UTC, datetime, timedelta

import sqlite_utils

from store.database import transaction
from store.records import Assignment, QueueEntry
from store.rows import as_record, utc_now

LEASE_MINUTES = 60


def enqueue(db: sqlite_utils.Database, candidate_id: str, wanted: int) -> bool:
    """Queue a candidate behind all others for `wanted` final annotations; return False when it was queued already."""
    done = db.execute(
        """INSERT INTO queue_entry (candidate_id, rank, wanted)
           SELECT ?, coalesce(max(rank), 0) + 1, ? FROM queue_entry WHERE true
           ON CONFLICT (candidate_id) DO NOTHING""",
        [candidate_id, wanted],
    )
    return bool(done.rowcount)


def claim_next(db: sqlite_utils.Database, annotator: str, besides: str | None = None) -> Assignment | None:
    """Return a lease on the annotator's open item, or on the next one that waits; None when nothing waits.

    `besides` names a candidate that is not wanted again (the one just skipped or left). One immediate transaction; an index walk.
    """
    with transaction(db):
        release_expired(db)
        found = _open_lease(db, annotator, besides) or _next_open(db, annotator, besides)
        if found is None:
            return None
        _lease(db, found, annotator)
        return assignment_of(db, found, annotator)


def peek_next(db: sqlite_utils.Database, annotator: str, besides: str | None = None) -> str | None:
    """Return the candidate that `claim_next` would lease now, and lease nothing: for a browser that loads ahead."""
    return _open_lease(db, annotator, besides) or _next_open(db, annotator, besides)


def release_expired(db: sqlite_utils.Database) -> int:
    """Take back the leases that ran out; return how many."""
    return int(db.execute("UPDATE assignment SET state = 'released' WHERE state = 'leased' AND expires_at < ?", [utc_now()]).rowcount)


def renew_lease(db: sqlite_utils.Database, candidate_id: str, annotator: str) -> bool:
    """Hold the candidate for the annotator again when a place is free; return whether it is held. Call inside a transaction."""
    held = assignment_of(db, candidate_id, annotator)
    if held is None or held.state == "skipped":
        return False
    if held.state == "released" and not _has_place(db, candidate_id):
        return False
    if held.state != "final":
        _lease(db, candidate_id, annotator)
    return True


def set_assignment_state(db: sqlite_utils.Database, candidate_id: str, annotator: str, state: str) -> None:
    """End a lease as "final", "skipped" or "released"."""
    db.execute("UPDATE assignment SET state = ? WHERE candidate_id = ? AND annotator = ?", [state, candidate_id, annotator])


def assignment_of(db: sqlite_utils.Database, candidate_id: str, annotator: str) -> Assignment | None:
    """Return the annotator's assignment to the candidate, or None."""
    rows = list(db.query("SELECT * FROM assignment WHERE candidate_id = ? AND annotator = ?", [candidate_id, annotator]))
    return as_record(Assignment, rows[0]) if rows else None


def list_queue(db: sqlite_utils.Database) -> list[QueueEntry]:
    """Return the queue in order; one row a candidate."""
    return [as_record(QueueEntry, row) for row in db.query("SELECT * FROM queue_entry ORDER BY rank")]


def progress_of(db: sqlite_utils.Database, annotator: str) -> tuple[int, int]:
    """Return (items that the annotator finished, items that are finished or still open to the annotator)."""
    done = next(db.query("SELECT count(*) AS n FROM assignment WHERE annotator = ? AND state IN ('final', 'skipped')", [annotator]))["n"]
    query = """SELECT count(*) AS n FROM queue_entry q JOIN candidate c ON c.id = q.candidate_id JOIN watchable_clip ON watchable_clip.id = c.clip_id
               LEFT JOIN assignment a ON a.candidate_id = q.candidate_id AND a.annotator = ?
               WHERE a.state = 'leased' OR (q.taken < q.wanted AND (a.state IS NULL OR a.state = 'released'))"""
    return int(done), int(done) + int(next(db.query(query, [annotator]))["n"])


def _open_lease(db: sqlite_utils.Database, annotator: str, besides: str | None) -> str | None:
    rows = db.query(
        "SELECT candidate_id FROM assignment WHERE annotator = ? AND state = 'leased' AND candidate_id IS NOT ? ORDER BY leased_at LIMIT 1",
        [annotator, besides],
    )
    return next((str(row["candidate_id"]) for row in rows), None)


def _next_open(db: sqlite_utils.Database, annotator: str, besides: str | None) -> str | None:
    """Return the first open candidate whose clip can be watched and that the annotator has not had."""
    rows = db.query(
        """SELECT q.candidate_id FROM queue_entry q
           JOIN candidate c ON c.id = q.candidate_id JOIN watchable_clip ON watchable_clip.id = c.clip_id
           WHERE q.taken < q.wanted AND q.candidate_id IS NOT ?
             AND NOT EXISTS (SELECT 1 FROM assignment a WHERE a.candidate_id = q.candidate_id AND a.annotator = ? AND a.state <> 'released')
           ORDER BY q.rank LIMIT 1""",
        [besides, annotator],
    )
    return next((str(row["candidate_id"]) for row in rows), None)


def _has_place(db: sqlite_utils.Database, candidate_id: str) -> bool:
    return bool(next(db.query("SELECT taken < wanted AS free FROM queue_entry WHERE candidate_id = ?", [candidate_id]))["free"])


def _lease(db: sqlite_utils.Database, candidate_id: str, annotator: str) -> None:
    now = datetime.now(UTC)
    until = (now + timedelta(minutes=LEASE_MINUTES)).isoformat(timespec="milliseconds")
    db.execute(
        """INSERT INTO assignment (candidate_id, annotator, state, leased_at, expires_at) VALUES (?, ?, 'leased', ?, ?)
           ON CONFLICT (candidate_id, annotator) DO UPDATE SET state = 'leased', expires_at = excluded.expires_at""",
        [candidate_id, annotator, now.isoformat(timespec="milliseconds"), until],
    )
