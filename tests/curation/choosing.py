"""Choices side by side put into a store without a page."""

import itertools
from collections.abc import Iterator

import sqlite_utils

from curation.choices import Choice
from curation.comparing import CompareItem, Shown, choose, item_of, take_back
from store.candidates import add_candidate, candidate_of
from store.records import Candidate, Operation
from tests.seeds import OTHER_WRITER, Seeded

_numbers = itertools.count()


def choice(item: CompareItem | None, side: str | None, operation_id: str | None = None, seconds: float | None = 2.0) -> Choice:
    """Return an act: "left", "right", "tie", "both_bad" or "skip" on an item; None takes back, without an item whatever was last."""
    outcome = {"left": item.left.id, "right": item.right.id}.get(side or "", side) if item else None
    return Choice(operation_id or f"choice-{next(_numbers):06}", item.item_id if item else None, outcome, seconds if item else None, None)


def choose_side(db: sqlite_utils.Database, annotator: str, a_id: str, b_id: str, side: str, round_: int = 1) -> Operation:
    """Choose between two candidates, whichever way round they are named."""
    return choose(db, annotator, choice(item_of(db, shown_of(annotator, a_id, b_id, round_)), side))


def choose_text(db: sqlite_utils.Database, annotator: str, better_id: str, worse_id: str, round_: int = 1) -> Operation:
    """Choose the first of two candidates, wherever it stands."""
    return choose_side(db, annotator, better_id, worse_id, "left" if shown_of(annotator, better_id, worse_id, round_).left_id == better_id else "right", round_)


def undo(db: sqlite_utils.Database, annotator: str, item: CompareItem | None = None) -> Operation:
    """Take back the last act, or that on an item."""
    return take_back(db, annotator, choice(item, None))


def shown_of(annotator: str, a_id: str, b_id: str, round_: int = 1) -> Shown:
    return Shown(annotator, min(a_id, b_id), max(a_id, b_id), round_)


def add_texts(db: sqlite_utils.Database, seeded: Seeded, count: int) -> Iterator[Candidate]:
    """Add rationales to the one question of a project; yields them."""
    for number in range(count):
        text = candidate_of("rationale", seeded.clip.id, seeded.qa.id, OTHER_WRITER, f"Telling {number}: he runs.")
        add_candidate(db, text, OTHER_WRITER)
        yield text
