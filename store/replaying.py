"""The log replayed: the rows that its operations amount to, beside those that the tables hold. Functions take `db` first."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlite_utils

from store.annotations import work_of
from store.comparisons import list_comparisons
from store.decisions import list_issues, list_rulings
from store.oplog import count_missing, count_operations, list_operations, list_work_keys, list_work_operations
from store.replay import Work, replay_work
from store.replay_comparisons import replay_comparisons
from store.replay_decisions import Ruling, replay_issues, replay_rulings
from store.rows import as_row
from store.schema import table_of

# What names a row of the tables that have no id of their own.
KEYS = {"claim_tick": ("annotation_id", "text_start", "text_end"), "decision_flag": ("decision_id", "position")}
Key = tuple[str, str]  # table, and what names the row in it
Rows = Mapping[Key, dict[str, Any]]


@dataclass(frozen=True)
class Beside:
    """The rows of one thing (an annotation with its flags and ticks, a comparison ...) as the log has them, and as the tables do."""

    logged: Rows
    kept: Rows


@dataclass(frozen=True)
class Verdict:
    """What a check of the log against the tables found."""

    operations: int
    rows: int  # of the tables
    differences: tuple[str, ...]  # a sentence each


def check_replay(db: sqlite_utils.Database) -> Verdict:
    """Return how the replayed log differs from the tables: not at all, unless something was damaged. Grows with the log; reads one moment of it."""
    db.execute("BEGIN")
    try:
        missing = count_missing(db)
        rows, differences = 0, [f"{missing:,} operations are missing from the log: its numbers have gaps."] if missing else []
        for thing in replay_all(db):
            rows += len(thing.kept)
            differences += _differences(thing)
        return Verdict(count_operations(db), rows, tuple(differences))
    finally:
        db.execute("ROLLBACK")


def replay_all(db: sqlite_utils.Database) -> Iterator[Beside]:
    """Yield each thing that the log or the tables hold; the work item by item, the rest in the memory that it takes."""
    for candidate_id, annotator, round_ in list_work_keys(db):
        logged = next(iter(replay_work(list_work_operations(db, candidate_id, annotator, round_)).values()), None)
        yield Beside(_work_rows(logged), _work_rows(work_of(db, candidate_id, annotator, round_)))
    rulings = {ruling.decision.id: ruling for ruling in list_rulings(db).values()}
    yield from _paired(_ruling_rows, replay_rulings(list_operations(db, ["decide"])), rulings)
    yield from _paired(_rows, replay_issues(list_operations(db, ["ask", "settle"])), {issue.id: issue for issue in list_issues(db)})
    yield from _paired(_rows, replay_comparisons(list_operations(db, ["compare"])), {one.id: one for one in list_comparisons(db)})


def _paired(rows: Any, logged: Mapping[str, Any], kept: Mapping[str, Any]) -> Iterator[Beside]:
    for name in sorted({*logged, *kept}):
        yield Beside(rows(logged.get(name)), rows(kept.get(name)))


def _work_rows(work: Work | None) -> Rows:
    return _rows(work.annotation, *work.flags, *work.ticks) if work else {}


def _ruling_rows(ruling: Ruling | None) -> Rows:
    return _rows(ruling.decision, *ruling.flags) if ruling else {}


def _rows(*records: Any) -> Rows:
    found = ((table_of(type(record)), as_row(record)) for record in records if record is not None)
    return {(table, "/".join(str(row[part]) for part in KEYS.get(table, ("id",)))): row for table, row in found}


def _differences(thing: Beside) -> Iterable[str]:
    """Yield a sentence for each row that is on one side only, or not the same, or in another place among its like."""
    for key in dict.fromkeys([*thing.logged, *thing.kept]):
        logged, kept, name = thing.logged.get(key), thing.kept.get(key), " ".join(key)
        if logged is None:
            yield f"{name} is in the table, but no operation made it."
        elif kept is None:
            yield f"{name} is made by the log, but is not in the table."
        else:
            yield from (f"{name} has {column} {kept[column]!r}, and {logged[column]!r} by the log." for column in logged if logged[column] != kept[column])
    if list(thing.logged) != list(thing.kept) and thing.logged.keys() == thing.kept.keys():
        yield f"{' '.join(next(iter(thing.kept)))} has its rows in another order than by the log."
