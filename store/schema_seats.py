"""What migration m005 does: seats count for themselves, and what comes free again stands behind all others of its batch.

So a cursor never has to turn back: whatever is open to a person stands behind it.
"""

import sqlite_utils

STATEMENTS = (
    "ALTER TABLE seat ADD COLUMN done INTEGER NOT NULL DEFAULT 0 CHECK (done >= 0)",
    """INSERT INTO seat (batch_id, annotator, position, done)
       SELECT q.batch_id, a.annotator, count(*), sum(a.state IN ('final', 'skipped'))
       FROM assignment a JOIN queue_entry q ON q.candidate_id = a.candidate_id WHERE true GROUP BY q.batch_id, a.annotator
       ON CONFLICT (batch_id, annotator) DO UPDATE SET position = excluded.position, done = excluded.done""",
    "CREATE INDEX seat_by_annotator ON seat (annotator, done)",
    """CREATE TRIGGER seat_given AFTER INSERT ON assignment
       BEGIN INSERT INTO seat (batch_id, annotator, position, done)
             SELECT batch_id, NEW.annotator, 1, NEW.state IN ('final', 'skipped') FROM queue_entry WHERE candidate_id = NEW.candidate_id
             ON CONFLICT (batch_id, annotator) DO UPDATE SET position = position + 1, done = done + excluded.done; END""",
    """CREATE TRIGGER seat_finished AFTER UPDATE OF state ON assignment WHEN (OLD.state IN ('final', 'skipped')) <> (NEW.state IN ('final', 'skipped'))
       BEGIN UPDATE seat SET done = done + (CASE WHEN NEW.state IN ('final', 'skipped') THEN 1 ELSE -1 END)
             WHERE annotator = NEW.annotator AND batch_id = (SELECT batch_id FROM queue_entry WHERE candidate_id = NEW.candidate_id); END""",
    """CREATE TRIGGER queue_came_back AFTER UPDATE OF taken, wanted, watchable ON queue_entry
       WHEN NEW.part = 'main' AND (NEW.taken < OLD.taken OR NEW.wanted > OLD.wanted OR NEW.watchable > OLD.watchable)
            AND EXISTS (SELECT 1 FROM seat WHERE batch_id = NEW.batch_id AND cursor >= NEW.rank)
       BEGIN UPDATE queue_entry SET rank = (SELECT max(rank) + 1 FROM queue_entry WHERE batch_id = NEW.batch_id)
             WHERE candidate_id = NEW.candidate_id; END""",
)


def add_seats(db: sqlite_utils.Database) -> None:
    """Let triggers count what each seat was given and has done, and put what comes free again behind every cursor."""
    for statement in STATEMENTS:
        db.conn.execute(statement)
