"""The rows of an import into the tables, and a ledger of what became of each. One transaction, held by the caller."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from curation.datasets.drafts import CandidateDraft, ClipDraft, Draft, Item, Notice, QADraft, Rejection, Row, SubtitleDraft
from curation.datasets.fields import BadField
from curation.import_records import ADDED, REJECTED, UNCHANGED, Shelf, Stored, store_drafts

# How often the progress is told, in drafts.
STEP = 200
KINDS: dict[type, str] = {ClipDraft: "clip", QADraft: "qa", SubtitleDraft: "subtitle", CandidateDraft: "candidate"}


@dataclass(frozen=True)
class Entry:
    """A draft with the row that it came from; `number` counts the rows of the whole import."""

    number: int
    row: Row
    draft: Draft


@dataclass
class Ledger:
    """What became of every row and record of one import; filled while the rows go in."""

    rows_read: int = 0
    records: Counter[tuple[str, str]] = field(default_factory=Counter)  # (kind, fate) -> records; spans under "evidence", hints under their kind
    row_fates: dict[int, set[str]] = field(default_factory=dict)
    queued: int = 0
    rejections: list[Rejection] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)

    def rows(self, fate: str) -> int:
        """Return how many rows met this fate: refused when any of its records was, else added when anything of it is new."""
        return sum(fate == next(told for told in (REJECTED, ADDED, UNCHANGED) if told in fates) for fates in self.row_fates.values())

    def open_row(self, row: Row) -> int:
        """Note what is known of a row before it is stored; return its number."""
        number = self.rows_read
        self.rows_read += 1
        self.rejections += row.rejections
        self.notices += row.notices
        self.records["evidence", REJECTED] += row.spans_refused
        self.row_fates[number] = set() if row.drafts else {REJECTED}
        if not row.drafts and row.kind:
            self.records[row.kind, REJECTED] += 1
        return number

    def settle(self, entries: Sequence[Entry], stored: Stored) -> None:
        """Note what became of one record, which several rows may bring, or of the lines of a clip."""
        first, counted = entries[0], _counted(entries)
        self.records[KINDS[type(first.draft)], stored.fate] += counted
        for place, entry in enumerate(entries):
            self.row_fates[entry.number].add(stored.fate if place < counted else UNCHANGED)
        self.queued += stored.queued
        self.records["evidence", ADDED] += stored.spans_added
        self.records["evidence", UNCHANGED] += stored.spans_unchanged
        self.records["evidence", REJECTED] += len(stored.faults)
        for hints in stored.hints:
            self.records[hints.kind, ADDED] += hints.added
            self.records[hints.kind, UNCHANGED] += hints.unchanged
            self.row_fates[first.number] |= {ADDED} if hints.added else set()
        row = first.row
        self.rejections += [Rejection(row.file, row.line, fault.field, fault.reason) for fault in stored.faults]
        self.notices += [Notice(row.file, row.line, notice.field, notice.reason) for notice in stored.notices]

    def refuse(self, entries: Sequence[Entry], bad: BadField) -> None:
        """Note that a record, or the lines of a clip, was refused: every row that brought it is told."""
        self.records[KINDS[type(entries[0].draft)], REJECTED] += _counted(entries)
        for entry in entries:
            self.row_fates[entry.number].add(REJECTED)
            self.rejections.append(Rejection(entry.row.file, entry.row.line, bad.field, bad.reason))


def store_rows(shelf: Shelf, items: Iterable[Item], progress: Callable[[float], None] = lambda share: None) -> Ledger:
    """Put the drafts of all rows into the tables and return what became of them. Call inside a transaction.

    About 0.1 ms a draft, during which nobody else can write.
    """
    ledger = Ledger()
    entries = list(_opened(items, ledger))
    done = 0
    for together in _in_order(entries):
        try:
            stored = store_drafts(shelf, [entry.draft for entry in together])
        except BadField as bad:
            ledger.refuse(together, bad)
        else:
            ledger.settle(together, stored)
        before, done = done, done + len(together)
        if done // STEP > before // STEP:
            progress(done / len(entries))
    return ledger


def _opened(items: Iterable[Item], ledger: Ledger) -> Iterator[Entry]:
    for item in items:
        if isinstance(item, Notice):
            ledger.notices.append(item)
            continue
        number = ledger.open_row(item)
        for draft in item.drafts:
            yield Entry(number, item, draft)


def _in_order(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """Yield what is stored together: a clip with all rows that bring it, then each question, the lines of each clip, each text behind its parent."""
    groups: dict[object, list[Entry]] = {}
    texts: list[tuple[CandidateDraft, Entry]] = []
    for entry in sorted(entries, key=lambda entry: list(KINDS).index(type(entry.draft))):
        match entry.draft:
            case ClipDraft() as clip:
                groups.setdefault(clip, []).append(entry)
            case QADraft():
                groups[id(entry)] = [entry]
            case SubtitleDraft() as line:
                groups.setdefault((line.dataset, line.clip), []).append(entry)
            case CandidateDraft() as text:
                texts.append((text, entry))
    yield from groups.values()
    for entry in _parents_first(texts):
        yield [entry]


def _parents_first(texts: Sequence[tuple[CandidateDraft, Entry]]) -> Iterator[Entry]:
    """Yield the candidates, each behind its parent; those that lead round in a circle come last, and find no parent."""
    waiting = {(text.dataset, text.id): (text, entry) for text, entry in texts}
    while waiting:
        ready = [key for key, (text, _) in waiting.items() if (text.dataset, text.parent) not in waiting]
        for key in ready or list(waiting):
            yield waiting.pop(key)[1]


def _counted(entries: Sequence[Entry]) -> int:
    """Return how many records the entries are: each spoken line is one, a clip that several rows bring is one."""
    return len(entries) if isinstance(entries[0].draft, SubtitleDraft) else 1
