"""Adapters, and the way between them and the texts and judgements that they learnt from. Functions take `db` first.

Both ways are one query over three tables: `set_source` (what stands behind a row of a curated set), `run`, and `adapter_row` (what an adapter learnt from).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import sqlite_utils

from store.errors import NotFoundError
from store.records import Adapter, CuratedSet, Generator, Run, SetSource
from store.rows import as_record, as_row


@dataclass(frozen=True)
class KnownAdapter:
    """An adapter with what one wants to know of it at once."""

    id: str
    run_id: str
    generator_id: str
    sha256: str
    created_at: str
    name: str  # of its run
    stage: str  # "sft" or "dpo"
    parent_run_id: str | None
    curated_set_id: str
    set_name: str
    learnt_rows: int  # those of its own run


@dataclass(frozen=True)
class Behind:
    """One thing behind an adapter: in which run it was learnt, as part of which row. `generation` 0 is the adapter's own run, 1 its parent's."""

    generation: int
    run_id: str
    run_name: str
    stage: str
    adapter_id: str | None  # None: the parent run's adapter is not known here, nor are the rows that it learnt from
    curated_set_id: str
    set_name: str
    row_id: str | None
    kind: str | None  # of the source, as in SetSource; None: nothing is known of the row but its id
    source_id: str | None


@dataclass(frozen=True)
class Seen:
    """A curated set that holds a thing, and, where it was used, by which run and adapter."""

    curated_set_id: str
    set_name: str
    row_id: str
    run_id: str | None  # None: no run has used the set
    run_name: str | None
    stage: str | None
    adapter_id: str | None  # None: the run left no adapter
    learnt: bool  # False: the row was not among those that the run learnt from
    inherited: bool  # learnt by the run that this one started from


def put_adapter(db: sqlite_utils.Database, adapter: Adapter, generator: Generator, row_ids: Iterable[str]) -> None:
    """Keep an adapter with its generator and the rows that it learnt from, in place of what is known of the adapter of the same run."""
    db.table("generator").insert(as_row(generator), ignore=True)
    db.table("adapter").upsert(as_row(adapter), pk="id")
    db.execute("DELETE FROM adapter_row WHERE adapter_id = ?", [adapter.id])
    db.conn.executemany("INSERT INTO adapter_row (adapter_id, row_id) VALUES (?, ?)", [(adapter.id, row_id) for row_id in dict.fromkeys(row_ids)])


def get_adapter(db: sqlite_utils.Database, adapter_id: str) -> KnownAdapter:
    """Return the adapter of this id, or of the run of this id. Raises NotFoundError."""
    found = [one for one in list_adapters(db) if adapter_id in (one.id, one.run_id)]
    if not found:
        raise NotFoundError(f"There is no adapter {adapter_id[:40]!r}. It is known when its run has ended; load the page again.")
    return found[0]


def list_adapters(db: sqlite_utils.Database) -> list[KnownAdapter]:
    """Return all adapters, the newest first."""
    query = """SELECT a.*, r.name, r.stage, r.parent_id AS parent_run_id, r.curated_set_id, s.name AS set_name,
                      (SELECT count(*) FROM adapter_row x WHERE x.adapter_id = a.id) AS learnt_rows
               FROM adapter a JOIN run r ON r.id = a.run_id JOIN curated_set s ON s.id = r.curated_set_id
               ORDER BY a.created_at DESC, a.rowid DESC"""
    return [as_record(KnownAdapter, row) for row in db.query(query)]


def adapter_moments(db: sqlite_utils.Database) -> list[tuple[Run, str | None]]:
    """Return each run that trains, the oldest first, with the moment of the adapter that is known of it, or None."""
    query = """SELECT r.*, a.created_at AS known_at FROM run r LEFT JOIN adapter a ON a.run_id = r.id
               WHERE r.stage IN ('sft', 'dpo') ORDER BY r.created_at, r.rowid"""
    return [(as_record(Run, row), row["known_at"]) for row in db.query(query)]


def sets_without_sources(db: sqlite_utils.Database) -> list[CuratedSet]:
    """Return the curated sets of which nobody has noted yet what stands behind their rows."""
    query = "SELECT * FROM curated_set s WHERE NOT EXISTS (SELECT 1 FROM set_source x WHERE x.curated_set_id = s.id) ORDER BY rowid"
    return [as_record(CuratedSet, row) for row in db.query(query)]


def add_sources(db: sqlite_utils.Database, sources: Iterable[SetSource]) -> None:
    """Note what stands behind rows; what is noted already stays."""
    values = ((one.curated_set_id, one.row_id, one.kind, one.source_id) for one in sources)
    db.conn.executemany("INSERT OR IGNORE INTO set_source (curated_set_id, row_id, kind, source_id) VALUES (?, ?, ?, ?)", values)


def subjects_of(db: sqlite_utils.Database, curated_set_id: str) -> dict[str, str]:
    """Return row id -> the clip or QA pair that the row is about."""
    query = "SELECT row_id, source_id FROM set_source WHERE curated_set_id = ? AND kind = 'subject'"
    return {str(row["row_id"]): str(row["source_id"]) for row in db.query(query, [curated_set_id])}


def behind_adapter(db: sqlite_utils.Database, adapter_id: str) -> Sequence[Behind]:
    """Return all that the adapter learnt from, its own run's first, then its parent's; a record a source of a row."""
    query = """WITH RECURSIVE line (run_id, generation) AS (
                 SELECT run_id, 0 FROM adapter WHERE id = ?
                 UNION ALL SELECT r.parent_id, l.generation + 1 FROM line l JOIN run r ON r.id = l.run_id WHERE r.parent_id IS NOT NULL)
               SELECT l.generation, r.id AS run_id, r.name AS run_name, r.stage, a.id AS adapter_id, s.id AS curated_set_id, s.name AS set_name,
                      x.row_id, y.kind, y.source_id
               FROM line l JOIN run r ON r.id = l.run_id JOIN curated_set s ON s.id = r.curated_set_id
               LEFT JOIN adapter a ON a.run_id = r.id LEFT JOIN adapter_row x ON x.adapter_id = a.id
               LEFT JOIN set_source y ON y.curated_set_id = s.id AND y.row_id = x.row_id
               ORDER BY l.generation, x.row_id, y.kind, y.source_id"""
    return [as_record(Behind, row) for row in db.query(query, [adapter_id])]


def seen_by(db: sqlite_utils.Database, source_id: str) -> list[Seen]:
    """Return the curated sets that hold this candidate, annotation or other source, and the runs and adapters that used them.

    An adapter that started from one that learnt the row is named too.
    """
    query = """WITH RECURSIVE used (set_id, row_id, run_id, adapter_id, learnt, inherited) AS (
                 SELECT h.curated_set_id, h.row_id, r.id, a.id, x.row_id IS NOT NULL, 0
                 FROM (SELECT DISTINCT curated_set_id, row_id FROM set_source WHERE source_id = ?) h
                 LEFT JOIN run r ON r.curated_set_id = h.curated_set_id
                 LEFT JOIN adapter a ON a.run_id = r.id
                 LEFT JOIN adapter_row x ON x.adapter_id = a.id AND x.row_id = h.row_id
                 UNION SELECT u.set_id, u.row_id, r.id, a.id, 1, 1
                 FROM used u JOIN run r ON r.parent_id = u.run_id JOIN adapter a ON a.run_id = r.id WHERE u.learnt)
               SELECT u.set_id AS curated_set_id, s.name AS set_name, u.row_id, u.run_id, r.name AS run_name, r.stage, u.adapter_id, u.learnt, u.inherited
               FROM used u JOIN curated_set s ON s.id = u.set_id LEFT JOIN run r ON r.id = u.run_id
               ORDER BY s.created_at, s.id, u.row_id, r.created_at, r.id, u.inherited"""
    return [as_record(Seen, row) for row in db.query(query, [source_id])]
