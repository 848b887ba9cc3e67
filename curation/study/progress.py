"""How far a batch is and how its people work: time, care, gold and self-agreement, one row an annotator. Everything with its n."""

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

import sqlite_utils

from curation.study.rates import Middle, Rate, middle_of, rate_of
from store.batches import BatchCounts, counts_of, get_batch, seats_of
from store.finished import Finished, finished_of
from store.queue import MOST_COUNTED, open_to
from store.records import Batch

TOP_SPEED = 2.0  # the fastest that the desk plays
EVERYBODY = "Everybody"


@dataclass(frozen=True)
class Suggested:
    """What it costs and yields when the flags that came with a text are shown, or kept back (among texts that came with some)."""

    seconds: Middle
    flags_per_item: float | None


@dataclass(frozen=True)
class Work:
    """How one person, or everybody, worked on a batch."""

    annotator: str
    done: int | None  # final or skipped, gold and repeats included; None for everybody
    open: int | None  # main items that wait for the person, counted to 501; None for everybody
    seconds: Middle  # active seconds an answer
    watched_share: Middle
    hasty: Rate  # answers sooner than the clip can be watched at double speed
    gold: Rate  # verdicts that are the known ones
    self_agreement: Rate  # verdicts given again when asked again
    with_suggestions: Suggested
    without_suggestions: Suggested


@dataclass(frozen=True)
class BatchProgress:
    """A batch, how far it is, and a row for everybody and for each annotator."""

    batch: Batch
    counts: BatchCounts
    rows: tuple[Work, ...]


def batch_progress(db: sqlite_utils.Database, batch_id: str) -> BatchProgress:
    """Return the progress of the batch. Raises NotFoundError. Cost grows with its answers: 30 us each."""
    answers: dict[str, list[Finished]] = defaultdict(list)
    for one in finished_of(db, batch_id):
        answers[one.annotator].append(one)
    everybody = work_row(EVERYBODY, [one for own in answers.values() for one in own])
    people = [work_row(seat.annotator, answers[seat.annotator], seat.done, open_to(db, batch_id, seat.annotator)) for seat in seats_of(db, batch_id)]
    return BatchProgress(get_batch(db, batch_id), counts_of(db, batch_id), (everybody, *people))


def work_row(annotator: str, answers: Sequence[Finished], done: int | None = None, still_open: int | None = None) -> Work:
    """Return the row over these answers. Pure."""
    nothing = "Nothing is answered yet."
    timed = [one for one in answers if one.length_s is not None]
    gold = [one for one in answers if one.gold_verdict is not None and one.part == "gold" and one.round == 1]
    return Work(
        annotator=annotator,
        done=done,
        open=still_open,
        seconds=middle_of([one.seconds_spent for one in answers], nothing),
        watched_share=middle_of([one.watched_share for one in answers], nothing),
        hasty=rate_of(sum(map(is_hasty, timed)), len(timed), "No answer is about a clip of known length."),
        gold=rate_of(sum(one.verdict == one.gold_verdict for one in gold), len(gold), "No gold item is answered."),
        self_agreement=_self_agreement(answers),
        with_suggestions=_suggested(answers, scratch=False),
        without_suggestions=_suggested(answers, scratch=True),
    )


def is_hasty(one: Finished) -> bool:
    """Return whether the answer came sooner than the clip can be watched."""
    return one.length_s is not None and one.seconds_spent < one.length_s / TOP_SPEED


def progress_csv(progress: Iterable[BatchProgress]) -> str:
    """Return the rows as CSV, a line a batch and annotator; unknown is an empty field."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in progress:
        writer.writerows([_safe(one.batch.name), one.batch.state, *_fields(row)] for row in one.rows)
    return out.getvalue()


def shown_open(count: int) -> str:
    """Return the count for a person: from 501 on it is not counted further."""
    return f"{MOST_COUNTED - 1}+" if count >= MOST_COUNTED else str(count)


def _self_agreement(answers: Sequence[Finished]) -> Rate:
    first = {(one.annotator, one.candidate_id): one.verdict for one in answers if one.round == 1}
    again = [(first[key], one.verdict) for one in answers if one.round == 2 and (key := (one.annotator, one.candidate_id)) in first]
    return rate_of(sum(before == after for before, after in again), len(again), "No item was answered a second time.")


def _suggested(answers: Sequence[Finished], scratch: bool) -> Suggested:
    these = [one for one in answers if one.has_suggestions and one.scratch == scratch]
    reason = "No answered text came with flags that were kept back." if scratch else "No answered text came with flags that were shown."
    return Suggested(middle_of([one.seconds_spent for one in these], reason), fmean(one.flags for one in these) if these else None)


COLUMNS = (
    *("batch", "state", "annotator", "done", "open", "seconds_median", "seconds_p90", "seconds_n", "watched_share_median", "watched_share_n"),
    *(f"{name}_{part}" for name in ("hasty", "gold_right", "self_agreement") for part in ("share", "low_95", "high_95", "n")),
    *(f"{name}_{part}" for name in ("with_suggestions", "without_suggestions") for part in ("seconds_median", "flags_per_item", "n")),
)


def _fields(row: Work) -> list[object]:
    seconds, watched = row.seconds, row.watched_share
    still_open = "" if row.open is None else shown_open(row.open)
    fields: list[object] = [_safe(row.annotator), row.done, still_open, seconds.median, seconds.p90, seconds.n, watched.median, watched.n]
    for rate in (row.hasty, row.gold, row.self_agreement):
        fields += [rate.share, rate.low, rate.high, rate.n]
    for part in (row.with_suggestions, row.without_suggestions):
        fields += [part.seconds.median, part.flags_per_item, part.seconds.n]
    return fields


def _safe(name: str) -> str:
    """Return the name so that no spreadsheet takes it for a formula."""
    return "'" + name if name[:1] in "=+-@" else name
