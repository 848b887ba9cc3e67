"""Who annotates what next: leases on queued candidates. Functions take `db` first.

The tables refuse more than `wanted` leases and finals a candidate, and two of one annotator in one round.
"""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

import sqlite_utils

from store.database import transaction
from store.hidden import Given, Turn, gold_left, hidden_item, items_until_done
from store.records import Assignment, QueueEntry
from store.rows import as_record, digest_id, utc_now

LEASE_MINUTES = 15
MOST_LEASES = 8  # of one annotator: two a window; nobody can hold the queue from others
MOST_COUNTED = 501  # of the items that an annotator still gets
LOST_LEASES = 8  # of an annotator, the newest, among which one to go on with is looked for


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
    """Return a lease on the annotator's oldest open item, else on one that ran out and is free, else on the next that waits; or None.

    Nothing new is given to who holds MOST_LEASES. `besides` names assignments that are not wanted again. In a transaction of its own, or in
    the one that is open. The cost does not grow with the queue or with what the annotator has done.
    """
    with transaction(db):
        release_expired(db)
        held = _open_lease(db, annotator, besides) or _lost_lease(db, annotator, besides)
        if held is not None:
            _renew(db, held)
            return find_assignment(db, held)
        if _count_leases(db, annotator) >= MOST_LEASES:
            return None
        for turn in _turns(db, annotator):
            rank, main = _next_main(db, turn, besides)
            given = hidden_item(db, turn)
            if given and assignment_key(given.candidate_id, annotator, given.round) in besides:
                given = None
            if main is not None:
                return _lease(db, turn, given or Given(main, 1), turn.cursor if given else rank)
        return None


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
    """End a lease as "final", "skipped" or "released"; what is given back so comes again last, what ran out comes first."""
    db.execute(
        "UPDATE assignment SET state = :state, expires_at = CASE :state WHEN 'released' THEN leased_at ELSE expires_at END WHERE id = :id",
        {"state": state, "id": assignment_id},
    )


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
    """Return (items that the annotator finished, items that the annotator still gets: at most 501 are counted).

    Gold items and repeats count like all others, also before they are given out.
    """
    done = next(db.query("SELECT coalesce(sum(done), 0) AS n FROM seat WHERE annotator = ?", [annotator]))["n"]
    found = _count_leases(db, annotator)
    for turn in _turns(db, annotator):
        if found < MOST_COUNTED:
            found += items_until_done(turn, _open_main(db, turn), len(gold_left(db, turn)), MOST_COUNTED)
    return int(done), min(int(found), MOST_COUNTED)


def open_to(db: sqlite_utils.Database, batch_id: str, annotator: str) -> int:
    """Return how many main items of an open batch wait for the annotator: at most 501 are counted."""
    return sum(_open_main(db, turn) for turn in _turns(db, annotator) if turn.batch_id == batch_id)


def _count_leases(db: sqlite_utils.Database, annotator: str) -> int:
    return int(next(db.query("SELECT count(*) AS n FROM assignment WHERE annotator = ? AND state = 'leased'", [annotator]))["n"])


def _turns(db: sqlite_utils.Database, annotator: str) -> list[Turn]:
    """Return where the annotator stands in each batch that is open to the annotator, in the order in which they are worked off."""
    rows = db.query(
        """SELECT b.id AS batch_id, b.seed, b.gold_share, b.repeat_share, :who AS annotator,
                  coalesce(s.position, 0) AS position, coalesce(s.cursor, 0) AS cursor
           FROM batch b LEFT JOIN seat s ON s.batch_id = b.id AND s.annotator = :who
           WHERE b.state = 'open' AND (b.open_to_all = 1 OR s.annotator IS NOT NULL)
           ORDER BY b.id = 'default', b.created_at, b.rowid""",
        {"who": annotator},
    )
    return [as_record(Turn, row) for row in rows]


def _open_lease(db: sqlite_utils.Database, annotator: str, besides: Collection[str]) -> str | None:
    rows = db.query("SELECT id FROM assignment WHERE annotator = ? AND state = 'leased' ORDER BY leased_at, rowid", [annotator])
    return next((str(row["id"]) for row in rows if row["id"] not in besides), None)


def _lost_lease(db: sqlite_utils.Database, annotator: str, besides: Collection[str]) -> str | None:
    """Return the annotator's newest item whose lease ran out and that is still free: what was begun is gone on with first.

    A lease that was given back ends where it began. Of those, and of what others took over meanwhile, a few are looked through.
    """
    rows = db.query(
        """SELECT a.id FROM (SELECT * FROM assignment WHERE annotator = ? AND state = 'released' ORDER BY rowid DESC LIMIT ?) a
           CROSS JOIN queue_entry q ON q.candidate_id = a.candidate_id CROSS JOIN batch b ON b.id = q.batch_id
           WHERE a.expires_at > a.leased_at AND (a.round = 2 OR q.taken < q.wanted) AND q.watchable = 1 AND b.state = 'open'""",
        [annotator, LOST_LEASES],
    )
    return next((str(row["id"]) for row in rows if row["id"] not in besides), None)


def _next_main(db: sqlite_utils.Database, turn: Turn, besides: Collection[str]) -> tuple[int, str | None]:
    """Return the first open main candidate that the annotator has not had, and where the cursor may go then: never past one of `besides`."""
    rows = db.conn.execute(
        """SELECT q.rank, q.candidate_id FROM queue_entry q
           WHERE q.batch_id = ? AND q.part = 'main' AND q.taken < q.wanted AND q.watchable = 1 AND q.rank > ?
             AND NOT EXISTS (SELECT 1 FROM assignment a
                             WHERE a.candidate_id = q.candidate_id AND a.annotator = ? AND a.round = 1 AND a.state <> 'released')
           ORDER BY q.rank""",
        [turn.batch_id, turn.cursor, turn.annotator],
    )
    passed = False
    for rank, candidate_id in rows:
        if assignment_key(candidate_id, turn.annotator, 1) not in besides:
            return (turn.cursor if passed else rank), str(candidate_id)
        passed = True
    return turn.cursor, None


def _open_main(db: sqlite_utils.Database, turn: Turn) -> int:
    query = """SELECT count(*) FROM (
                 SELECT 1 FROM queue_entry q
                 WHERE q.batch_id = ? AND q.part = 'main' AND q.taken < q.wanted AND q.watchable = 1 AND q.rank > ?
                   AND NOT EXISTS (SELECT 1 FROM assignment a
                                   WHERE a.candidate_id = q.candidate_id AND a.annotator = ? AND a.round = 1 AND a.state <> 'released')
                 ORDER BY q.rank LIMIT ?)"""
    return int(db.conn.execute(query, [turn.batch_id, turn.cursor, turn.annotator, MOST_COUNTED]).fetchone()[0])


def _has_place(db: sqlite_utils.Database, candidate_id: str) -> bool:
    return bool(next(db.query("SELECT taken < wanted AS free FROM queue_entry WHERE candidate_id = ?", [candidate_id]))["free"])


def _lease(db: sqlite_utils.Database, turn: Turn, given: Given, cursor: int) -> Assignment:
    made_id = assignment_key(given.candidate_id, turn.annotator, given.round)
    db.execute(
        """INSERT INTO assignment (id, candidate_id, annotator, round, state, leased_at, expires_at) VALUES (?, ?, ?, ?, 'leased', ?, ?)
           ON CONFLICT (id) DO UPDATE SET state = 'leased', leased_at = excluded.leased_at, expires_at = excluded.expires_at""",
        [made_id, given.candidate_id, turn.annotator, given.round, utc_now(), _expiry()],
    )
    db.execute("UPDATE seat SET cursor = ? WHERE batch_id = ? AND annotator = ?", [cursor, turn.batch_id, turn.annotator])
    made = find_assignment(db, made_id)
    assert made is not None, "it was put there just now"
    return made


def _renew(db: sqlite_utils.Database, assignment_id: str) -> None:
    db.execute("UPDATE assignment SET state = 'leased', expires_at = ? WHERE id = ?", [_expiry(), assignment_id])


def _expiry() -> str:
    return (datetime.now(UTC) + timedelta(minutes=LEASE_MINUTES)).isoformat(timespec="milliseconds")


def assignment_key(candidate_id: str, annotator: str, round_: int) -> str:
    """Return the id of an annotator's assignment to a candidate."""
    return digest_id("assignment", candidate_id, annotator, round_)
