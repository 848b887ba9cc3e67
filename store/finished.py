"""What annotators finished, one row an answer, with what its item was to them. Functions take `db` first."""

from collections.abc import Iterator
from dataclasses import dataclass

import sqlite_utils

from store.rows import as_record


@dataclass(frozen=True)
class Finished:
    """One final answer of a batch."""

    annotator: str
    candidate_id: str
    round: int
    part: str
    verdict: str
    seconds_spent: float  # active: idle time is left out
    watched_share: float
    length_s: float | None  # of the clip; None while nobody knows where it ends
    flags: int
    has_suggestions: bool
    scratch: bool
    gold_verdict: str | None


def finished_of(db: sqlite_utils.Database, batch_id: str) -> Iterator[Finished]:
    """Yield the final answers of the batch by annotator, candidate and round; 15 us a row."""
    rows = db.query(
        """SELECT a.annotator, a.candidate_id, a.round, q.part, a.verdict, a.seconds_spent, a.watched_share, q.scratch,
                  CASE WHEN coalesce(clip.end_s, media.duration_s) IS NOT NULL
                    THEN max(min(coalesce(clip.end_s, media.duration_s), coalesce(media.duration_s, clip.end_s)) - clip.start_s, 0.0) END AS length_s,
                  (SELECT count(*) FROM flag f WHERE f.annotation_id = a.id) AS flags,
                  EXISTS (SELECT 1 FROM suggestion s WHERE s.candidate_id = a.candidate_id) AS has_suggestions,
                  gold.verdict AS gold_verdict
           FROM queue_entry q JOIN annotation a ON a.candidate_id = q.candidate_id AND a.state = 'final'
           JOIN candidate c ON c.id = a.candidate_id JOIN clip ON clip.id = c.clip_id
           LEFT JOIN media ON media.digest = clip.digest LEFT JOIN gold ON gold.candidate_id = a.candidate_id
           WHERE q.batch_id = ? ORDER BY a.annotator, a.candidate_id, a.round""",
        [batch_id],
    )
    return (as_record(Finished, row) for row in rows)
