"""Comparisons, and which pair of texts an annotator compares next. Functions take `db` first."""

from collections.abc import Iterable

import sqlite_utils

from store.pairs import MADE_WRONG
from store.records import Candidate, Comparison, Operation
from store.rows import as_record, as_row

# Ids are hex digits drawn by a hash of annotator and pair: a tenth of them is below this. Those pairs are asked again, swapped.
AGAIN_BELOW = "1999999999999999999a"

Pair = tuple[str, str]  # a_id < b_id


def put_comparison(db: sqlite_utils.Database, comparison: Comparison) -> None:
    """Keep a comparison; the same annotator's word on the same pair in the same round is replaced."""
    db.table("comparison").insert(as_row(comparison), replace=True)


def remove_comparison(db: sqlite_utils.Database, comparison_id: str) -> None:
    """Forget a comparison that its annotator took back; it stays in the log."""
    db.execute("DELETE FROM comparison WHERE id = ?", [comparison_id])


def list_comparisons(db: sqlite_utils.Database) -> list[Comparison]:
    """Return all comparisons, repeats with them, in the order they were made."""
    return [as_record(Comparison, row) for row in db.query("SELECT * FROM comparison ORDER BY created_at, id")]


def comparisons_between(db: sqlite_utils.Database, a_id: str, b_id: str) -> list[Comparison]:
    """Return what everybody said of these two candidates, in the order it was said."""
    query = "SELECT * FROM comparison WHERE a_id = ? AND b_id = ? ORDER BY created_at, id"
    return [as_record(Comparison, row) for row in db.query(query, [min(a_id, b_id), max(a_id, b_id)])]


def count_comparisons(db: sqlite_utils.Database, annotator: str) -> int:
    """Return how many choices of the annotator stand, repeats with them."""
    return int(next(db.query("SELECT count(*) AS n FROM comparison WHERE annotator = ?", [annotator]))["n"])


def recent_choices(db: sqlite_utils.Database, annotator: str, limit: int) -> list[Operation]:
    """Return the annotator's newest operations of kind "compare", the last one first; a walk of an index."""
    query = "SELECT * FROM operation WHERE annotator = ? AND kind = 'compare' ORDER BY sequence DESC LIMIT ?"
    return [as_record(Operation, row) for row in db.query(query, [annotator, limit])]


def candidates_about(db: sqlite_utils.Database, subject_id: str) -> list[Candidate]:
    """Return all texts about a subject, of every kind."""
    return [as_record(Candidate, row) for row in db.query("SELECT * FROM candidate WHERE subject_id = ? ORDER BY id", [subject_id])]


def texts_of(db: sqlite_utils.Database) -> dict[str, str]:
    """Return the text of each candidate that was ever compared, by its id. Grows with the comparisons."""
    query = "SELECT id, text FROM candidate WHERE id IN (SELECT a_id FROM comparison UNION SELECT b_id FROM comparison)"
    return {row["id"]: row["text"] for row in db.query(query)}


def place_of(db: sqlite_utils.Database, candidate_ids: Iterable[str]) -> int:
    """Return the place of the newest of these candidates in the order in which candidates came; 0 for none."""
    found = (next(db.query("SELECT rowid AS place FROM candidate WHERE id = ?", [one]), {"place": 0})["place"] for one in candidate_ids)
    return max(found, default=0)


def fresh_pairs(db: sqlite_utils.Database, annotator: str, start: int, limit: int) -> list[Pair]:
    """Return the first pairs that wait for this annotator, from those that candidate number `start` brought with it on.

    Both are of one subject and kind and differ in text, their clip can be watched, neither is the annotator's own, was made for a pair or,
    unless somebody queued it, written for a wrong answer, the annotator neither chose between them nor passed them by, and nothing beside them
    gives away what the annotator is still to answer blind. A pair comes in with its later candidate, so that pairs only ever join at the end, and
    whoever goes through them in order can go on where the last one was. Grows with the candidates between `start` and the last pair returned.
    """
    rows = db.query(
        """SELECT min(x.id, y.id) AS a_id, max(x.id, y.id) AS b_id FROM candidate y
           CROSS JOIN candidate x ON x.subject_id = y.subject_id AND x.kind = y.kind AND x.rowid < y.rowid
           WHERE y.rowid >= :start AND trim(x.text) <> trim(y.text)
             AND EXISTS (SELECT 1 FROM watchable_clip w WHERE w.id = y.clip_id)
             AND NOT EXISTS (SELECT 1 FROM generator g WHERE g.id IN (x.generator_id, y.generator_id)
                             AND (g.kind = 'person' AND g.name = :who OR g.name = :made_wrong))
             AND NOT EXISTS (SELECT 1 FROM candidate t JOIN generator g ON g.id = t.generator_id
                             WHERE t.id IN (x.id, y.id) AND 'wrong' IN (json_extract(g.settings, '$.arm.answer'), json_extract(g.settings, '$.answer'))
                               AND NOT EXISTS (SELECT 1 FROM queue_entry e WHERE e.candidate_id = t.id))
             AND NOT EXISTS (SELECT 1 FROM comparison c WHERE c.annotator = :who AND c.a_id = min(x.id, y.id) AND c.b_id = max(x.id, y.id) AND c.round = 1)
             AND (SELECT json_extract(o.payload, '$.outcome') FROM operation o
                  WHERE o.candidate_id = min(x.id, y.id) AND o.annotator = :who AND o.round = 1 AND o.kind = 'compare'
                    AND json_extract(o.payload, '$.b_id') = max(x.id, y.id) ORDER BY o.sequence DESC LIMIT 1) IS NOT 'skip'
             AND NOT EXISTS (
                  SELECT 1 FROM (SELECT y.qa_id AS id UNION ALL SELECT p.id FROM qa_pair p WHERE p.clip_id = y.clip_id AND y.kind = 'narrative') told
                  CROSS JOIN candidate s ON s.subject_id = told.id AND s.kind = 'rationale'
                  CROSS JOIN queue_entry q ON q.candidate_id = s.id CROSS JOIN batch b ON b.id = q.batch_id
                  WHERE b.blind_first = 1 AND b.state = 'open'
                    AND (b.open_to_all OR EXISTS (SELECT 1 FROM seat WHERE batch_id = b.id AND annotator = :who))
                    AND (q.taken < q.wanted OR EXISTS (SELECT 1 FROM assignment l WHERE l.candidate_id = s.id AND l.annotator = :who AND l.state = 'leased'))
                    AND NOT EXISTS (SELECT 1 FROM candidate r CROSS JOIN annotation n ON n.candidate_id = r.id AND n.annotator = :who
                                    WHERE r.subject_id = s.subject_id AND r.kind = 'rationale' AND coalesce(n.blind_answer, n.blind_answer_index) IS NOT NULL))
           ORDER BY y.rowid, x.id LIMIT :limit""",
        {"who": annotator, "start": start, "limit": limit, "made_wrong": MADE_WRONG},
    )
    return [(row["a_id"], row["b_id"]) for row in rows]


def pairs_to_repeat(db: sqlite_utils.Database, annotator: str) -> list[tuple[Pair, int]]:
    """Return the pairs that the annotator is to be asked again, each with the number of the operation that chose, the oldest first.

    It is 0 for a choice from before choices were in the log. Grows with a tenth of the annotator's own choices.
    """
    rows = db.query(
        """SELECT c.a_id, c.b_id, coalesce((SELECT max(o.sequence) FROM operation o WHERE o.candidate_id = c.a_id AND o.annotator = :who AND o.round = 1
                                              AND o.kind = 'compare' AND json_extract(o.payload, '$.b_id') = c.b_id), 0) AS chosen
           FROM comparison c WHERE c.annotator = :who AND c.round = 1 AND c.id < :below
             AND NOT EXISTS (SELECT 1 FROM comparison r WHERE r.annotator = :who AND r.a_id = c.a_id AND r.b_id = c.b_id AND r.round = 2)
             AND (SELECT json_extract(o.payload, '$.outcome') FROM operation o
                  WHERE o.candidate_id = c.a_id AND o.annotator = :who AND o.round = 2 AND o.kind = 'compare'
                    AND json_extract(o.payload, '$.b_id') = c.b_id ORDER BY o.sequence DESC LIMIT 1) IS NOT 'skip'
           ORDER BY chosen, c.created_at""",
        {"who": annotator, "below": AGAIN_BELOW},
    )
    return [((row["a_id"], row["b_id"]), row["chosen"]) for row in rows]
