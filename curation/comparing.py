"""Two texts beside each other, blind: which are next, on which side they stand, what was chosen, and taking it back.

A pair is shown to an annotator once, and a tenth of them a second time with the sides swapped: 20 items later or more, or when nothing else is left.
The page knows texts by ids that are made for this annotator and this round, and learns nothing of who wrote them, of the round, or of other people.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import sqlite_utils

from curation.choices import Choice
from curation.clip_view import ClipView, clip_view
from curation.pairing import refresh_comparison_pairs
from store.candidates import get_candidate
from store.comparisons import (
    candidates_about,
    count_comparisons,
    fresh_pairs,
    pairs_to_repeat,
    place_of,
    put_comparison,
    recent_choices,
    remove_comparison,
)
from store.database import transaction
from store.errors import ConflictError, InputError, NotFoundError
from store.oplog import NewOperation, append_operation, find_operation
from store.records import Candidate, Operation
from store.replay_comparisons import SKIPPED, TAKEN_BACK, comparison_id, comparison_of
from store.rows import digest_id

LEAST_BETWEEN = 20  # items between the two times that a pair is shown
WITHOUT_BETTER = ("tie", "both_bad", SKIPPED)
RECENT = 100  # operations that are looked at for what was taken back; half as many acts can be taken back in a row
MOST_COUNTED = 101  # pairs that wait, so that counting them stays cheap


@dataclass(frozen=True)
class Shown:
    """Two candidates as one annotator sees them in one round, first time (1) or again (2)."""

    annotator: str
    a_id: str
    b_id: str
    round: int

    @property
    def left_id(self) -> str:
        """The candidate on the left: drawn by annotator and pair, always the same, and the other one in round 2."""
        drawn = int(digest_id("side", self.annotator, self.a_id, self.b_id), 16) % 2
        return (self.a_id, self.b_id)[(drawn + self.round - 1) % 2]

    @property
    def right_id(self) -> str:
        """The candidate on the right."""
        return self.b_id if self.left_id == self.a_id else self.a_id

    @property
    def text_ids(self) -> tuple[str, str]:
        """The ids under which the page knows the left text and the right one."""
        left, right = (_text_id(self.annotator, self.round, one) for one in (self.left_id, self.right_id))
        return left, right


@dataclass(frozen=True)
class ShownText:
    """A text under an id that tells nothing."""

    id: str
    text: str


@dataclass(frozen=True)
class CompareItem:
    """Two texts and their clip as the page draws them."""

    item_id: str
    kind: str
    left: ShownText
    right: ShownText
    clip: ClipView


@dataclass(frozen=True)
class CompareScreen:
    """What an annotator's page needs: the pair to show and the one after it, which it loads ahead."""

    annotator: str
    next: CompareItem | None
    upcoming: CompareItem | None
    done: int  # choices of the annotator that stand
    waiting: int  # pairs that wait, counted to MOST_COUNTED


def compare_screen(db: sqlite_utils.Database, annotator: str) -> CompareScreen:
    """Return the annotator's next two pairs; the same until a choice is in.

    A few steps of indexes for each pair counted, plus a tenth of the annotator's own choices: 7 ms among 2,000 texts as among 100,000. Only when
    nothing waits from the last one chosen on are all candidates gone through, for a pair that could not be shown before: 3 s among 100,000 (both
    on a busy machine with 2 cores).
    """
    waiting = _waiting(db, annotator)
    first, second, *_ = *(item_of(db, one) for one in waiting[:2]), None, None
    return CompareScreen(annotator, first, second, count_comparisons(db, annotator), len(waiting))


def choose(db: sqlite_utils.Database, annotator: str, choice: Choice) -> Operation:
    """Keep a choice in the log and the table and bring the pair of the two texts up to date, all or nothing; a repeated id changes nothing.

    Raises NotFoundError for an item that is not there, InputError for a text that is not in it, ConflictError for an id that another operation has.
    """
    with transaction(db):
        if kept := _kept(db, annotator, choice.id):
            return kept
        shown = _find(db, annotator, choice.item_id)
        better = dict(zip(shown.text_ids, (shown.left_id, shown.right_id), strict=True)).get(choice.outcome or "")
        if better is None and choice.outcome not in WITHOUT_BETTER:
            raise InputError("The better text is not one of the two that were shown. Reload the page.")
        return _append(db, choice, shown, choice.outcome if better is None else "a" if better == shown.a_id else "b")


def take_back(db: sqlite_utils.Database, annotator: str, choice: Choice) -> Operation:
    """Take back the annotator's last act that stands, or that on `choice.item_id`: the pair waits again, first of all. A repeated id changes nothing.

    Raises ConflictError when nothing is left to take back, NotFoundError for an item that is not there.
    """
    with transaction(db):
        if kept := _kept(db, annotator, choice.id):
            return kept
        shown = _find(db, annotator, choice.item_id) if choice.item_id else _last_standing(db, annotator)
        if shown is None:
            raise ConflictError("Nothing is left to undo.")
        return _append(db, choice, shown, TAKEN_BACK)


def item_of(db: sqlite_utils.Database, shown: Shown) -> CompareItem:
    """Return the two texts with their clip, as the page draws them. Raises NotFoundError when one is gone."""
    left, right = _candidate(db, shown.left_id), _candidate(db, shown.right_id)
    left_text, right_text = shown.text_ids
    item_id = f"{left.subject_id}.{left_text}.{right_text}"
    return CompareItem(item_id, left.kind, ShownText(left_text, left.text), ShownText(right_text, right.text), clip_view(db, left))


def _waiting(db: sqlite_utils.Database, annotator: str) -> list[Shown]:
    """Return what waits in order, each once: what was taken back, repeats that are due, new pairs, the other repeats, pairs left behind."""
    recent = recent_choices(db, annotator, RECENT)
    acts = _standing(annotator, recent)
    repeats = pairs_to_repeat(db, annotator)
    due_before = acts[LEAST_BETWEEN - 1] if len(acts) >= LEAST_BETWEEN else 0
    start = place_of(db, {one for operation in recent for one in _ids(operation)})
    found = [
        *_taken_back(annotator, recent),
        *(Shown(annotator, *pair, 2) for pair, chosen in repeats if chosen < due_before),
        *(Shown(annotator, *pair, 1) for pair in fresh_pairs(db, annotator, start, MOST_COUNTED)),
        *(Shown(annotator, *pair, 2) for pair, _ in repeats),
    ]
    left_behind = [] if found else fresh_pairs(db, annotator, 0, MOST_COUNTED)
    found += [Shown(annotator, *pair, 1) for pair in left_behind]
    return list(dict.fromkeys(found))[:MOST_COUNTED]


def _taken_back(annotator: str, recent: list[Operation]) -> Iterator[Shown]:
    """Yield the pairs whose last act was taken back, the newest first."""
    seen = set()
    for operation in recent:
        shown = Shown(annotator, *_ids(operation), operation.round)
        if shown not in seen and _outcome(operation) is TAKEN_BACK:
            yield shown
        seen.add(shown)


def _standing(annotator: str, recent: list[Operation]) -> list[int]:
    """Return the numbers of the acts that stand, the newest first: what was taken back and done again counts once."""
    newest: dict[Shown, Operation] = {}
    for operation in recent:
        newest.setdefault(Shown(annotator, *_ids(operation), operation.round), operation)
    return [operation.sequence for operation in newest.values() if _outcome(operation) is not TAKEN_BACK]


def _last_standing(db: sqlite_utils.Database, annotator: str) -> Shown | None:
    recent = recent_choices(db, annotator, RECENT)
    undone = set(_taken_back(annotator, recent))
    acts = (Shown(annotator, *_ids(operation), operation.round) for operation in recent)
    return next((shown for shown in acts if shown not in undone), None)


def _append(db: sqlite_utils.Database, choice: Choice, shown: Shown, outcome: str | None) -> Operation:
    left = _candidate(db, shown.left_id)
    told = {"subject_id": left.subject_id, "kind": left.kind, "a_id": shown.a_id, "b_id": shown.b_id, "left_id": shown.left_id}
    payload = json.dumps(told | {"outcome": outcome, "seconds_spent": choice.seconds_spent})
    made = append_operation(db, NewOperation(choice.id, shown.annotator, shown.a_id, "compare", payload, shown.round, choice.client_at))
    row = comparison_of(made)
    if row is None:
        remove_comparison(db, comparison_id(made))
    else:
        put_comparison(db, row)
    refresh_comparison_pairs(db, _candidate(db, shown.a_id), _candidate(db, shown.b_id))
    return made


def _kept(db: sqlite_utils.Database, annotator: str, operation_id: str) -> Operation | None:
    kept = find_operation(db, operation_id)
    if kept is not None and (kept.annotator, kept.kind) != (annotator, "compare"):
        raise ConflictError("Another operation has this id already. Reload the page.")
    return kept


def _find(db: sqlite_utils.Database, annotator: str, item_id: str | None) -> Shown:
    """Return what an item's id names: it holds the subject and both texts' ids, so that only the texts of one subject are tried."""
    subject_id, left, right = [*(item_id or "").rsplit(".", 2), "", ""][:3]
    about = candidates_about(db, subject_id)
    texts = {_text_id(annotator, round_, candidate.id): (round_, candidate) for candidate in about for round_ in (1, 2)}
    if left not in texts or right not in texts:
        raise NotFoundError("There is no such pair of texts. Reload the page.")
    (round_, one), (other_round, other) = texts[left], texts[right]
    shown = Shown(annotator, min(one.id, other.id), max(one.id, other.id), round_)
    if round_ != other_round or one.kind != other.kind or one.id == other.id or shown.left_id != one.id:
        raise NotFoundError("There is no such pair of texts. Reload the page.")
    return shown


def _text_id(annotator: str, round_: int, candidate_id: str) -> str:
    return digest_id("shown", annotator, round_, candidate_id)


def _ids(operation: Operation) -> tuple[str, str]:
    told = json.loads(operation.payload)
    return told["a_id"], told["b_id"]


def _outcome(operation: Operation) -> str | None:
    found: str | None = json.loads(operation.payload)["outcome"]
    return found


def _candidate(db: sqlite_utils.Database, candidate_id: str) -> Candidate:
    found = get_candidate(db, candidate_id)
    if found is None:
        raise NotFoundError(f"There is no candidate {candidate_id}. Load the page again.")
    return found
