"""Large queues for measurements, put in by SQL: made through the API they would take hours."""

from pathlib import Path

import sqlite_utils

from store.database import open_store, transaction
from tests.seeds import seed_project

WORST, PEOPLE = "worst", 30
DONE_SHARE = 0.95  # of the items that the worst annotator has had, all of them still open to others


def make_queue(data: Path, items: int, wanted: int = 5) -> int:
    """Make a queue of `items` in which one annotator has had nearly all and `wanted` is not reached; return how many assignments there are.

    Triggers are off while it fills; the counters are set to what they would have made of them.
    """
    with open_store(data) as db:
        for pragma in ("synchronous = OFF", "cache_size = -600000", "temp_store = MEMORY"):
            db.conn.execute("PRAGMA " + pragma)
        with transaction(db):
            source = seed_project(db).rationale.id
            db.execute("DELETE FROM queue_entry")
            triggers = [row["sql"] for row in db.query("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")]
            for row in list(db.query("SELECT name FROM sqlite_master WHERE type = 'trigger'")):
                db.conn.execute(f"DROP TRIGGER {row['name']}")
            _add_entries(db, source, items, wanted)
            given = {"done": int(items * DONE_SHARE), "people": PEOPLE, "worst": WORST}
            _add_assignments(db, given)
            for trigger in triggers:
                db.conn.execute(trigger)
        db.conn.execute("ANALYZE")
        return int(db.table("assignment").count)


def add_gold(data: Path, share: float, count: int) -> None:
    """Give the default batch gold items, and the same share of repeats."""
    with open_store(data) as db, transaction(db):
        db.execute("UPDATE batch SET gold_share = ?, repeat_share = ?", [share, share])
        db.execute(
            """UPDATE queue_entry SET part = 'gold', wanted = 1000000
               WHERE candidate_id IN (SELECT candidate_id FROM queue_entry WHERE batch_id = 'default' ORDER BY rank DESC LIMIT ?)""",
            [count],
        )


def _add_entries(db: sqlite_utils.Database, source: str, items: int, wanted: int) -> None:
    db.execute(
        """WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :items)
           INSERT INTO candidate SELECT printf('c%019d', i), kind, clip_id, qa_id, subject_id, generator_id, NULL, text, created_at
            FROM n, candidate WHERE id = :source""",
        {"items": items, "source": source},
    )
    entries = """WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :items)
           INSERT INTO queue_entry SELECT printf('c%019d', i), 'default', 'main', 0, i, :wanted,
                  CASE WHEN i > :done THEN 0 WHEN i <= :done / 6 THEN 4 ELSE 3 END, 1 FROM n"""
    db.execute(entries, {"items": items, "wanted": wanted, "done": int(items * DONE_SHARE)})


def _add_assignments(db: sqlite_utils.Database, given: dict[str, object]) -> None:
    for turn in range(4):  # the worst annotator, then others in turn: 3 of each item, 4 of the first sixth
        db.execute(
            """WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < CASE :turn WHEN 3 THEN :done / 6 ELSE :done END)
               INSERT INTO assignment SELECT printf('%d-%019d', :turn, i), printf('c%019d', i),
                 CASE :turn WHEN 0 THEN :worst ELSE 'person ' || ((i + 7 * :turn) % :people) END, 1, 'final', '2026-01-01', '2026-01-01' FROM n""",
            {**given, "turn": turn},
        )
    db.execute(
        """INSERT INTO seat (batch_id, annotator, position, cursor, done)
           SELECT 'default', annotator, count(*), max(CAST(substr(candidate_id, 2) AS INTEGER)), count(*) FROM assignment GROUP BY annotator"""
    )
