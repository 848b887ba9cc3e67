"""Batches: what is to be annotated, by whom and how. Functions take `db` first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlite_utils

from store.chances import chance
from store.errors import NotFoundError
from store.pairs import MADE_WRONG
from store.records import Batch, Seat
from store.rows import as_record, as_row

GOLD_WANTED = 1_000_000  # everybody gets a gold item


@dataclass(frozen=True)
class BatchCounts:
    """How many entries a batch has, and how far they are."""

    main: int
    gold: int
    unwatchable: int  # main entries whose clip no browser can show yet
    finished: int  # main entries that have all the finals that are wanted
    open: int  # main entries that somebody can still be given; none while the batch is closed
    begun: int  # main entries that somebody was given
    least: int | None  # annotations that the main entries want: an import says how many, or the batch; None without entries
    most: int | None
    most_waiting: int | None  # of those that lack some

    @property
    def each(self) -> int | None:
        """Return the number that changes nothing when it is asked for; None when no number does.

        An entry that has more already than is asked for keeps what it has.
        """
        return self.least if self.most_waiting in (None, self.least) else None


@dataclass(frozen=True)
class Rewanted:
    """What another number of wanted annotations does to main entries: closed and opened ones could be, or can be, given out."""

    closed: int
    opened: int
    above: int  # that keep more, which are taken already


def get_batch(db: sqlite_utils.Database, batch_id: str) -> Batch:
    """Return the batch. Raises NotFoundError."""
    rows = list(db.query("SELECT * FROM batch WHERE id = ?", [batch_id]))
    if not rows:
        raise NotFoundError(f"There is no batch {batch_id}. Load the page again.")
    return as_record(Batch, rows[0])


def list_batches(db: sqlite_utils.Database) -> list[Batch]:
    """Return the batches in the order in which they are worked off: as they were made, the default one last."""
    return [as_record(Batch, row) for row in db.query("SELECT * FROM batch ORDER BY id = 'default', created_at, rowid")]


def add_batch(db: sqlite_utils.Database, batch: Batch, people: Sequence[str]) -> None:
    """Put the batch in, with a seat for each of the people."""
    db.table("batch").insert(as_row(batch))
    for name in people:
        db.execute("INSERT INTO seat (batch_id, annotator) VALUES (?, ?) ON CONFLICT DO NOTHING", [batch.id, name])


def set_batch_state(db: sqlite_utils.Database, batch_id: str, state: str) -> None:
    """Open the batch, or close it: nothing more of it is given out, and what is leased may be finished."""
    db.execute("UPDATE batch SET state = ? WHERE id = ?", [state, batch_id])


def set_ordering(db: sqlite_utils.Database, batch_id: str, ordering: str, signal: str | None, seed: int) -> None:
    """Say by what the batch is ordered; `rank_entries` then does it."""
    db.execute("UPDATE batch SET ordering = ?, signal = ?, seed = ? WHERE id = ?", [ordering, signal, seed, batch_id])


def set_wanted(db: sqlite_utils.Database, batch_id: str, wanted: int) -> Rewanted:
    """Ask for `wanted` finals of each main item of the batch, or for as many as are taken already where that is more; return what it does."""
    found = db.query(
        """SELECT coalesce(sum(watchable AND taken < wanted AND taken >= :asked), 0) AS closed,
                  coalesce(sum(watchable AND taken >= wanted AND taken < :asked), 0) AS opened,
                  coalesce(sum(taken > :asked), 0) AS above
           FROM queue_entry WHERE batch_id = :batch AND part = 'main'""",
        {"asked": wanted, "batch": batch_id},
    )
    done = as_record(Rewanted, next(found))
    db.execute("UPDATE batch SET wanted = ? WHERE id = ?", [wanted, batch_id])
    db.execute("UPDATE queue_entry SET wanted = max(taken, ?) WHERE batch_id = ? AND part = 'main'", [wanted, batch_id])
    return done


def seats_of(db: sqlite_utils.Database, batch_id: str) -> list[Seat]:
    """Return the seats of the batch by name."""
    return [as_record(Seat, row) for row in db.query("SELECT * FROM seat WHERE batch_id = ? ORDER BY annotator", [batch_id])]


def fill_batch(db: sqlite_utils.Database, batch: Batch, dataset: str | None, kind: str | None, at_most: int) -> int:
    """Move to the batch what nobody has begun and is in no other named batch, the first `at_most` as they were imported; return how many.

    Texts that wait in no queue come too, but what annotators wrote, what was made for pairs and what was written for a wrong answer. Gold is left
    out. Cost grows with the number of texts: 10 us each.
    """
    filters = {"batch": batch.id, "dataset": dataset, "kind": kind, "most": at_most}
    _make_chance(db)
    return _put(db, batch, "main", filters, batch.wanted)


def fill_gold(db: sqlite_utils.Database, batch: Batch, dataset: str | None, kind: str | None) -> int:
    """Move to the batch the gold of the same kind that nobody has begun and that is in no other named batch; return how much."""
    _make_chance(db)
    return _put(db, batch, "gold", {"batch": batch.id, "dataset": dataset, "kind": kind, "most": -1}, GOLD_WANTED)


def _put(db: sqlite_utils.Database, batch: Batch, part: str, filters: Mapping[str, object], wanted: int) -> int:
    done = db.execute(
        """INSERT INTO queue_entry (candidate_id, batch_id, part, scratch, rank, wanted, watchable)
           SELECT c.id, :batch, :part, chance(:seed, 'scratch', c.id) < :scratch,
                  row_number() OVER (ORDER BY CASE :part WHEN 'gold' THEN chance(:seed, 'gold', c.id) END, c.rowid)
                    + (SELECT coalesce(max(rank), 0) FROM queue_entry WHERE batch_id = :batch),
                  :wanted, EXISTS (SELECT 1 FROM watchable_clip w WHERE w.id = c.clip_id)
           FROM candidate c JOIN clip ON clip.id = c.clip_id JOIN generator g ON g.id = c.generator_id
           LEFT JOIN queue_entry q ON q.candidate_id = c.id LEFT JOIN gold ON gold.candidate_id = c.id
           WHERE (:dataset IS NULL OR clip.dataset = :dataset) AND (:kind IS NULL OR c.kind = :kind)
             AND (gold.candidate_id IS NOT NULL) = (:part = 'gold')
             AND (q.batch_id = 'default' OR (q.candidate_id IS NULL AND (g.kind <> 'person' OR c.parent_id IS NULL)
                  AND NOT coalesce('wrong' IN (json_extract(g.settings, '$.arm.answer'), json_extract(g.settings, '$.answer')), 0)))
             AND NOT EXISTS (SELECT 1 FROM assignment a WHERE a.candidate_id = c.id) AND g.name <> :made_wrong
           ORDER BY c.rowid LIMIT :most
           ON CONFLICT (candidate_id) DO UPDATE SET batch_id = excluded.batch_id, part = excluded.part, scratch = excluded.scratch,
                                                    rank = excluded.rank, wanted = excluded.wanted""",
        {**filters, "part": part, "seed": batch.seed, "scratch": batch.scratch_share, "wanted": wanted, "made_wrong": MADE_WRONG},
    )
    return int(done.rowcount)


def count_left(db: sqlite_utils.Database, dataset: str | None, kind: str | None) -> tuple[int, int]:
    """Return of the texts that a filter names (those that somebody has begun, those that another named batch holds unbegun); gold left out."""
    row = db.conn.execute(
        """SELECT coalesce(sum(begun), 0), coalesce(sum(NOT begun AND batch_id <> 'default'), 0) FROM (
             SELECT q.batch_id, EXISTS (SELECT 1 FROM assignment a WHERE a.candidate_id = q.candidate_id) AS begun
             FROM queue_entry q JOIN candidate c ON c.id = q.candidate_id JOIN clip ON clip.id = c.clip_id
             WHERE q.part = 'main' AND (:dataset IS NULL OR clip.dataset = :dataset) AND (:kind IS NULL OR c.kind = :kind))""",
        {"dataset": dataset, "kind": kind},
    ).fetchone()
    return int(row[0]), int(row[1])


def rank_entries(db: sqlite_utils.Database, batch: Batch) -> int:
    """Order anew the main items that nobody has begun, by disagreement also those that lack an answer still; return how many.

    They get ranks behind every cursor, so that nobody misses one. Cost grows with the batch: 20 us an item.
    """
    _make_chance(db)
    done = db.execute(
        """UPDATE queue_entry SET rank = :behind + placed.place FROM (
           WITH said AS (
             SELECT a.candidate_id, a.verdict, coalesce((SELECT group_concat(kind) FROM (
                      SELECT DISTINCT f.kind FROM flag f WHERE f.annotation_id = a.id ORDER BY f.kind)), '') AS kinds
             FROM annotation a JOIN queue_entry q ON q.candidate_id = a.candidate_id
             WHERE q.batch_id = :batch AND a.state = 'final' AND a.round = 1 AND a.verdict <> 'skip'),
           disputed AS (SELECT candidate_id, 10 * (count(DISTINCT verdict) - 1) + count(DISTINCT kinds) - 1 AS score FROM said GROUP BY candidate_id)
             SELECT q.candidate_id, row_number() OVER (ORDER BY CASE :ordering
                      WHEN 'random' THEN chance(:seed, 'order', q.candidate_id)
                      WHEN 'disagreement' THEN -coalesce(d.score, 0)
                      WHEN 'signal' THEN -s.value END NULLS LAST, c.rowid) AS place
             FROM queue_entry q JOIN candidate c ON c.id = q.candidate_id
             LEFT JOIN disputed d ON d.candidate_id = q.candidate_id
             LEFT JOIN signal s ON s.candidate_id = q.candidate_id AND s.name = :signal
             WHERE q.batch_id = :batch AND q.part = 'main'
               AND CASE :ordering WHEN 'disagreement' THEN q.taken < q.wanted
                   ELSE NOT EXISTS (SELECT 1 FROM assignment a WHERE a.candidate_id = q.candidate_id) END) placed
           WHERE placed.candidate_id = queue_entry.candidate_id""",
        {"batch": batch.id, "ordering": batch.ordering, "signal": batch.signal, "seed": batch.seed, "behind": _last_rank(db, batch.id)},
    )
    return int(done.rowcount)


def dataset_names(db: sqlite_utils.Database) -> list[str]:
    """Return the names of the data sets that are here."""
    return [str(row["dataset"]) for row in db.query("SELECT DISTINCT dataset FROM clip ORDER BY dataset")]


def counts_of(db: sqlite_utils.Database, batch_id: str) -> BatchCounts:
    """Return how far the batch is; cost grows with the batch: 1 us an item and 2 us a begun one."""
    row = next(
        db.query(
            """SELECT coalesce(sum(part = 'main'), 0) AS main, coalesce(sum(part = 'gold'), 0) AS gold,
                      coalesce(sum(part = 'main' AND NOT watchable), 0) AS unwatchable,
                      coalesce(sum(part = 'main' AND taken = q.wanted AND NOT EXISTS (
                        SELECT 1 FROM assignment a WHERE a.candidate_id = q.candidate_id AND a.state = 'leased' AND a.round = 1)), 0) AS finished,
                      coalesce(sum(part = 'main' AND taken < q.wanted AND watchable AND b.state = 'open'), 0) AS open,
                      coalesce(sum(part = 'main' AND EXISTS (SELECT 1 FROM assignment a WHERE a.candidate_id = q.candidate_id)), 0) AS begun,
                      min(CASE part WHEN 'main' THEN q.wanted END) AS least, max(CASE part WHEN 'main' THEN q.wanted END) AS most,
                      max(CASE WHEN part = 'main' AND taken < q.wanted THEN q.wanted END) AS most_waiting
               FROM queue_entry q JOIN batch b ON b.id = q.batch_id WHERE q.batch_id = ?""",
            [batch_id],
        )
    )
    return as_record(BatchCounts, row)


def _last_rank(db: sqlite_utils.Database, batch_id: str) -> int:
    query = "SELECT coalesce(max(rank), 0) FROM queue_entry WHERE batch_id = ?"
    return int(db.conn.execute(query, [batch_id]).fetchone()[0])


def _make_chance(db: sqlite_utils.Database) -> None:
    db.conn.create_function("chance", 3, chance, deterministic=True)
