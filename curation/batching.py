"""Batches: made from a filter, ordered, closed and opened. Rules that hold before a row is written."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite

import sqlite_utils

from store.accounts import check_name, list_accounts
from store.batches import (
    BatchCounts,
    Rewanted,
    add_batch,
    count_left,
    counts_of,
    fill_batch,
    fill_gold,
    get_batch,
    list_batches,
    rank_entries,
    set_batch_state,
    set_ordering,
    set_wanted,
)
from store.database import transaction
from store.errors import ConflictError, InputError
from store.records import Batch
from store.rows import digest_id, utc_now
from store.signals import signal_names

ORDERINGS = ("given", "random", "disagreement", "signal")
MOST_WANTED, MOST_ITEMS, LARGEST_SEED = 100, 10_000_000, 2**53
LARGEST_SHARE = 0.5  # of hidden items: more of them than of others would show
LONGEST_NAME = 60
EVERYTHING = -1  # as a limit of SQLite: none


@dataclass(frozen=True)
class BatchRequest:
    """What an admin asks for."""

    name: str
    wanted: int = 3  # final annotations an item
    dataset: str | None = None  # None: of every data set
    kind: str | None = None  # None: of every kind
    at_most: int | None = None  # None: all
    ordering: str = "given"
    signal: str | None = None
    seed: int = 0
    scratch_share: float = 0.0
    gold_share: float = 0.0
    repeat_share: float = 0.0
    blind_first: bool = False
    people: tuple[str, ...] = ()  # none: open to all


@dataclass(frozen=True)
class Made:
    """What became of a request: main items and gold that are in the batch, and what the filter names and stays where it is."""

    batch: Batch
    moved: int
    gold: int
    left_begun: int
    left_elsewhere: int

    @property
    def sentence(self) -> str:
        """Return it for the person who asked."""
        gold = f" and {self.gold:,} gold items" if self.gold else ""
        missing = " There is no gold for its gold share: import texts with `gold`, or set the share to 0." if self.batch.gold_share and not self.gold else ""
        left = f" Left where they are: {self.left_begun:,} that somebody has begun, {self.left_elsewhere:,} in other batches."
        return f"Batch {self.batch.name!r} has {self.moved:,} items{gold}.{left}{missing}"


@dataclass(frozen=True)
class Asked:
    """What became of asking for a number of annotations of each item."""

    batch: Batch
    before: BatchCounts
    wanted: int
    done: Rewanted

    @property
    def sentence(self) -> str:
        """Return it for the person who asked."""
        if self.before.each == self.wanted:
            return f"Annotations of each item of {self.batch.name!r}: {self.wanted} already. Nothing has changed."
        told = [f"Annotations of each item of {self.batch.name!r}: {self.wanted} now, not {each_of(self.before)}."]
        told += [f"That closes {_items(self.done.closed)}."] if self.done.closed else []
        told += [f"That opens {_items(self.done.opened)} again."] if self.done.opened else []
        told += [f"Of {_items(self.done.above)} more are taken already; they stay."] if self.done.above else []
        return " ".join(told)


def each_of(counts: BatchCounts) -> str:
    """Return how many annotations the main items of a batch want: one number, or "1–3"; "–" without items."""
    if counts.least is None:
        return "–"
    return f"{counts.least}" if counts.least == counts.most else f"{counts.least}–{counts.most}"


def make_batch(db: sqlite_utils.Database, request: BatchRequest, made_by: str) -> Made:
    """Make a batch of what the filter names and nobody has begun, in order; one transaction.

    Raises InputError for a setting that cannot be, for a person without an account where there are accounts, or when nothing is there to
    annotate; ConflictError when the name is taken.
    """
    batch = _batch_of(request, made_by)
    with transaction(db):
        if any(one.name == batch.name for one in list_batches(db)):
            raise ConflictError(f"There is a batch {batch.name!r} already. Choose another name.")
        _refuse_unknown_signal(db, batch.signal)
        _refuse_unknown_people(db, request.people)
        begun, elsewhere = count_left(db, request.dataset, request.kind)
        add_batch(db, batch, request.people)
        moved = fill_batch(db, batch, request.dataset, request.kind, EVERYTHING if request.at_most is None else request.at_most)
        if not moved:
            raise InputError(
                f"Nothing is left for this batch: {begun:,} texts that the filter names were begun by somebody, {elsewhere:,} are in other batches. "
                "Widen the filter, or import more."
            )
        gold = fill_gold(db, batch, request.dataset, request.kind) if batch.gold_share else 0
        rank_entries(db, batch)
    return Made(batch, moved, gold, begun, elsewhere)


def order_again(db: sqlite_utils.Database, batch_id: str, ordering: str, signal: str | None, seed: int) -> int:
    """Order the batch anew where nobody has begun (by disagreement: where an answer still lacks); return how many items got another rank.

    Raises InputError for an ordering that cannot be, NotFoundError.
    """
    chosen = signal if ordering == "signal" else None
    _check_order(ordering, chosen, seed)
    with transaction(db):
        _refuse_unknown_signal(db, chosen)
        set_ordering(db, batch_id, ordering, chosen, seed)
        return rank_entries(db, get_batch(db, batch_id))


def ask_more(db: sqlite_utils.Database, batch_id: str, wanted: int) -> Asked:
    """Ask for this many annotations of each item of the batch; what is taken already stays. Raises InputError, NotFoundError."""
    _check_whole("number of annotations of each item", wanted, 1, MOST_WANTED)
    with transaction(db):
        batch, before = get_batch(db, batch_id), counts_of(db, batch_id)
        return Asked(batch, before, wanted, set_wanted(db, batch_id, wanted))


def open_or_close(db: sqlite_utils.Database, batch_id: str, state: str) -> Batch:
    """Make the batch "open" or "closed" and return it; one that is so already stays so. Raises NotFoundError."""
    with transaction(db):
        changed = replace(get_batch(db, batch_id), state=state)
        set_batch_state(db, batch_id, state)
    return changed


def read_people(text: str) -> tuple[str, ...]:
    """Return the names of a text, one a line or between commas, each once. Raises InputError for one that no account can have."""
    return tuple(dict.fromkeys(check_name(part) for part in text.replace(",", "\n").splitlines() if part.strip()))


def _batch_of(request: BatchRequest, made_by: str) -> Batch:
    name, chosen = request.name.strip(), request.signal if request.ordering == "signal" else None
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise InputError(f"The name {request.name[:LONGEST_NAME]!r} is not usable. Use 1 to {LONGEST_NAME} printable characters.")
    _check_whole("number of annotations of each item", request.wanted, 1, MOST_WANTED)
    if request.at_most is not None:
        _check_whole("number of items", request.at_most, 1, MOST_ITEMS)
    _check_order(request.ordering, chosen, request.seed)
    _check_share("share of items from scratch", request.scratch_share, 1.0)
    _check_share("share of gold items", request.gold_share, LARGEST_SHARE)
    _check_share("share of items asked again", request.repeat_share, LARGEST_SHARE)
    _check_share("share of gold items and of items asked again together", request.gold_share + request.repeat_share, LARGEST_SHARE)
    made_at = utc_now()
    return Batch(
        id=digest_id("batch", name, made_at),
        name=name,
        wanted=request.wanted,
        ordering=request.ordering,
        signal=chosen,
        seed=request.seed,
        scratch_share=request.scratch_share,
        gold_share=request.gold_share,
        repeat_share=request.repeat_share,
        blind_first=request.blind_first,
        open_to_all=not request.people,
        state="open",
        created_by=made_by,
        created_at=made_at,
    )


def _check_order(ordering: str, signal: str | None, seed: int) -> None:
    if ordering not in ORDERINGS:
        raise InputError(f"The order {ordering!r} is not known. Use one of: {', '.join(ORDERINGS)}.")
    if ordering == "signal" and not signal:
        raise InputError("Say by which signal the batch is to be ordered. Signals come with an import (docs/formats.md).")
    _check_whole("seed", seed, 0, LARGEST_SEED)


def _refuse_unknown_signal(db: sqlite_utils.Database, signal: str | None) -> None:
    known: Sequence[str] = signal_names(db) if signal else ()
    if signal and signal not in known:
        there = f"There are: {', '.join(known)}." if known else "No text here has one; signals come with an import (docs/formats.md)."
        raise InputError(f"No text has a signal {signal!r}. {there}")


def _refuse_unknown_people(db: sqlite_utils.Database, people: Sequence[str]) -> None:
    known = {account.name for account in list_accounts(db)}
    missing = [name for name in people if name not in known]
    if known and missing:
        raise InputError(
            f"These names have no account: {', '.join(missing)}. Write each as it stands on the People page (capitals count), invite them there first, "
            "or leave them out."
        )


def _items(count: int) -> str:
    return "1 item" if count == 1 else f"{count:,} items"


def _check_whole(what: str, value: int, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise InputError(f"The {what} is {value!r}; it has to be a whole number from {least:,} to {most:,}.")


def _check_share(what: str, value: float, most: float) -> None:
    if not isfinite(value) or not 0 <= value <= most:
        raise InputError(f"The {what} is {value:g}; it has to be from 0 to {most:g}.")
