"""Fields of a row as checked values. Pure; a field that cannot be used raises BadField with its name and the reason."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from curation.datasets.drafts import Span

CLOCK = re.compile(r"(?:(\d{1,4}):)?([0-5]?\d):([0-5]?\d(?:[.,]\d+)?)")


class BadField(Exception):
    """A field cannot be used. Never reaches the person: it becomes a Rejection of the row."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)
        self.field = field
        self.reason = reason


@dataclass(frozen=True)
class Fault:
    """A part of a row that is left out, or that deserves a look; the rest of the row stands."""

    field: str
    reason: str
    is_span: bool = False  # an evidence span that was left out


LONGEST_TEXT = 100_000  # characters; the same as in curation/work.py, where texts are edited


def text_field(values: Mapping[str, Any], field: str) -> str:
    """Return the field as it stands.

    Raises BadField when it is missing, empty, not text, or holds what cannot be stored as UTF-8 text.
    """
    value = values.get(field)
    if value is None or (isinstance(value, str) and not value.strip()):
        raise BadField(field, f"{field} is empty; it needs a text.")
    if not isinstance(value, str):
        raise BadField(field, f"{field} is {shown(value)}, which is not a text.")
    if len(value) > LONGEST_TEXT:
        raise BadField(field, f"{field} has {len(value):,} characters; {LONGEST_TEXT:,} is the most that the desk takes.")
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise BadField(field, f"{field} holds a NUL or half of a surrogate pair, which no UTF-8 text may hold.")
    return value


def optional_text(values: Mapping[str, Any], field: str) -> str | None:
    """Return the field, or None when it is missing or blank. Raises BadField like `text_field`."""
    value = values.get(field)
    return None if value is None or (isinstance(value, str) and not value.strip()) else text_field(values, field)


def id_field(values: Mapping[str, Any], field: str) -> str:
    """Return an identifier without the blanks around it; a whole number is taken as its digits. Raises BadField like `text_field`."""
    value = values.get(field)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return text_field(values, field).strip()


def index_field(values: Mapping[str, Any], field: str, options: Sequence[str]) -> int:
    """Return the field as an index into `options`; digits in a text will do.

    Raises BadField when it is no whole number or points past the options.
    """
    value = values.get(field)
    digits = str(value).strip() if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if not re.fullmatch(r"-?[0-9]{1,9}(\.0)?", digits):
        raise BadField(field, f"{field} is {shown(value)}; it must be the number of an option, 0 to {len(options) - 1}.")
    index = int(digits.removesuffix(".0"))
    if not 0 <= index < len(options):
        raise BadField(field, f"{field} is {index}, but the options are numbered 0 to {len(options) - 1}.")
    return index


def options_of(values: Mapping[str, Any], fields: Iterable[str]) -> tuple[str, ...]:
    """Return one option a field. Raises BadField like `text_field`."""
    return tuple(text_field(values, field) for field in fields)


def seconds(field: str, value: Any) -> float:
    """Return `value`, a number or digits in a text, as seconds from 0. Raises BadField when it is not finite or negative."""
    try:
        found = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise BadField(field, f"{field} has the time {shown(value)}, which is not a number of seconds.")
    if found < 0:
        raise BadField(field, f"{field} has the time {shown(value)}; a time cannot be negative.")
    return found


def clock(field: str, value: Any) -> float:
    """Return "HH:MM:SS" or "MM:SS", fractions allowed, as seconds. Raises BadField when it is not one."""
    match = CLOCK.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise BadField(field, f"{field} is {shown(value)}; it must be a time as HH:MM:SS.")
    hours, minutes, rest = match.groups()
    return int(hours or 0) * 3600 + int(minutes) * 60 + float(rest.replace(",", "."))


def span(field: str, start: Any, end: Any) -> Span:
    """Return a span in seconds. Raises BadField when a time is none, or the end is not behind the start."""
    start_s, end_s = seconds(field, start), seconds(field, end)
    if end_s <= start_s:
        raise BadField(field, f"{field} has a span from {start_s:g} s to {end_s:g} s; the end must come after the start.")
    return start_s, end_s


def pair(field: str, value: Any) -> tuple[Any, Any]:
    """Return the two items of a list of two. Raises BadField for anything else."""
    if not isinstance(value, list) or len(value) != 2:
        raise BadField(field, f"{field} holds {shown(value)}; a span is [start, end] in seconds.")
    return value[0], value[1]


def sound_spans(field: str, value: Any) -> tuple[tuple[Span, ...], tuple[Fault, ...]]:
    """Return the usable spans of a list of [start, end], and a fault for each that is not. Raises BadField when it is no list."""
    if not isinstance(value, list):
        raise BadField(field, f"{field} is {shown(value)}; it must be a list of [start, end] in seconds.")
    spans: list[Span] = []
    faults: list[Fault] = []
    for item in value:
        try:
            spans.append(span(field, *pair(field, item)))
        except BadField as bad:
            faults.append(Fault(bad.field, f"Evidence left out: {bad.reason}", is_span=True))
    return tuple(spans), tuple(faults)


def cut(spans: Iterable[Span], end_s: float, field: str) -> tuple[tuple[Span, ...], tuple[Fault, ...], tuple[Fault, ...]]:
    """Return the spans cut at `end_s`, a fault for each that starts behind it, and a notice for each that was cut."""
    kept: list[Span] = []
    faults: list[Fault] = []
    notices: list[Fault] = []
    for start, end in spans:
        told = f"The span from {start:g} s to {end:g} s"
        if start >= end_s:
            faults.append(Fault(field, f"Evidence left out: {told.lower()} starts behind the end of the clip at {end_s:g} s.", is_span=True))
            continue
        if end > end_s:
            notices.append(Fault(field, f"{told} was cut at the end of the clip, {end_s:g} s."))
        kept.append((start, min(end, end_s)))
    return tuple(kept), tuple(faults), tuple(notices)


def shown(value: Any) -> str:
    """Return `value` as a short quotation for a sentence."""
    told = repr(value)
    return told if len(told) <= 60 else told[:57] + "..."
