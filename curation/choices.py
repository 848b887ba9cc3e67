"""A choice between two texts as the browser sends it. Pure."""

import math
from dataclasses import dataclass

from curation.work_fields import read_id
from store.errors import InputError

LONGEST_S = 86_400.0  # a day on one pair


@dataclass(frozen=True)
class Choice:
    """An act on a pair: what was chosen, or (outcome None) that the last act is taken back."""

    id: str  # made by the browser
    item_id: str | None  # None: whatever was done last
    outcome: str | None  # the id of the better text, "tie", "both_bad" or "skip"
    seconds_spent: float | None
    client_at: str | None


def read_choice(raw: object) -> Choice:
    """Return the choice that JSON data describes. Raises InputError when it is not one."""
    told = _fields(raw, {"id", "item_id", "outcome", "seconds_spent", "client_at"})
    if not isinstance(told["item_id"], str) or not isinstance(told["outcome"], str):
        raise InputError("A choice names its item and the better text, or tie, both_bad or skip. Reload the page.")
    seconds = told["seconds_spent"]
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not math.isfinite(seconds) or not 0 <= seconds <= LONGEST_S:
        raise InputError(f"seconds_spent has to be a number from 0 to {LONGEST_S:.0f}. Reload the page.")
    return Choice(read_id(told["id"], "An operation"), told["item_id"], told["outcome"], float(seconds), _moment(told["client_at"]))


def read_undo(raw: object) -> Choice:
    """Return the taking back that JSON data describes. Raises InputError when it is not one."""
    told = _fields(raw, {"id", "item_id", "client_at"})
    if not isinstance(told["item_id"], str | None):
        raise InputError("Taking back names an item, or null for the last one. Reload the page.")
    return Choice(read_id(told["id"], "An operation"), told["item_id"], None, None, _moment(told["client_at"]))


def _fields(raw: object, wanted: set[str]) -> dict[str, object]:
    if not isinstance(raw, dict) or set(raw) != wanted:
        raise InputError(f"This act has exactly these fields: {', '.join(sorted(wanted))}. Reload the page: it may be older than the server.")
    return raw


def _moment(given: object) -> str | None:
    if not isinstance(given, str | None):
        raise InputError("client_at has to be a moment as text, or null. Reload the page.")
    return (given or "")[:40] or None
