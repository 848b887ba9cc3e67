"""The flags and claim ticks of an annotator's work: read from JSON and checked against text and clip. Pure."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from curation.work_fields import read_choice, read_id, read_keepable, read_number, read_text, read_whole
from store.errors import InputError

MOST_FLAGS = 200
MOST_TICKS = 2000
# A browser rounds to the microsecond; a clip's last frame may end that much later.
END_TOLERANCE_S = 0.001
TAXONOMY = Path(__file__).resolve().parents[1] / "assets" / "taxonomy.json"
# What these flags point at is not in the text, or not in the taxonomy: without a comment nobody can tell what is meant.
WITHOUT_WORDS = frozenset({"omission", "other"})
CLAIMED_ORDERS = ("before", "after", "same")
TRUE_ORDERS = (*CLAIMED_ORDERS, "absent")
SUPPORTS = ("supported", "contradicted", "not_visible", "cannot_tell")
# The second stretch of words and of time is for a second mention or a second event.
WITH_OTHER = frozenset({"entity_drift", "temporal_error"})


@dataclass(frozen=True)
class FlagState:
    """A flag as the desk holds it: offsets in code points, times in seconds on the clip's clock."""

    id: str
    kind: str
    text_start: int | None
    text_end: int | None
    quote: str
    start_s: float | None
    end_s: float | None
    severity: int
    comment: str
    other_start: int | None = None  # entity drift: the other mention; temporal error: the other event
    other_end: int | None = None
    other_quote: str = ""
    other_start_s: float | None = None
    other_end_s: float | None = None
    claimed_order: str | None = None
    true_order: str | None = None
    props_up: str = ""


@dataclass(frozen=True)
class TickState:
    """What the annotator says of one claim, by its offsets in code points."""

    text_start: int
    text_end: int
    support: str


@cache
def flag_names() -> Mapping[str, str]:
    """Return the name of each kind of flag in the taxonomy."""
    return {flag["kind"]: flag["name"] for flag in json.loads(TAXONOMY.read_text(encoding="utf-8"))["flags"]}


def flag_name(kind: str) -> str:
    """Return the name of a kind of flag."""
    return flag_names()[kind]


def read_flags(raw: object, text: str, length_s: float | None) -> tuple[FlagState, ...]:
    """Return the flags that JSON data describes. Raises InputError for one that is not sound, too many, or two with one id."""
    if not isinstance(raw, list) or len(raw) > MOST_FLAGS:
        raise InputError(f"The flags have to be a list of at most {MOST_FLAGS}. Reload the page.")
    read = tuple(read_flag(flag, text, length_s) for flag in raw)
    if len({flag.id for flag in read}) < len(read):
        raise InputError("Two flags have the same id. Reload the page and set the last flag again.")
    return read


def read_flag(raw: object, text: str, length_s: float | None) -> FlagState:
    """Return the flag that JSON data describes. Raises InputError when a field is missing or unknown, or says what cannot be."""
    given = read_fields(raw, FlagState, "A flag")
    flag_id = read_id(given["id"], "A flag")
    kind = read_choice(given["kind"], tuple(flag_names()), "kind of flag")
    severity = read_whole(given["severity"], f"severity of {flag_name(kind)!r}", 0, 3)
    words = _read_words(given["text_start"], given["text_end"], given["quote"], kind in WITHOUT_WORDS, kind, text)
    moment = _read_moment(given["start_s"], given["end_s"], kind, length_s)
    return FlagState(flag_id, kind, *words, *moment, severity, read_text(given["comment"], "comment"), **_read_more(given, kind, text, length_s))


def read_ticks(raw: object, text: str) -> tuple[TickState, ...]:
    """Return the claim ticks that JSON data describes. Raises InputError for one that is not sound, too many, or two on one claim."""
    if not isinstance(raw, list) or len(raw) > MOST_TICKS:
        raise InputError(f"The claim ticks have to be a list of at most {MOST_TICKS}. Reload the page.")
    read = tuple(read_tick(tick, text) for tick in raw)
    if len({(tick.text_start, tick.text_end) for tick in read}) < len(read):
        raise InputError("A claim is ticked twice. Reload the page and tick it again.")
    return read


def read_fields(raw: object, kind: type, name: str) -> dict[str, Any]:
    """Return JSON data that has exactly the fields of `kind`. Raises InputError otherwise."""
    wanted = {field.name for field in dataclasses.fields(kind)}
    if not isinstance(raw, dict) or set(raw) != wanted:
        odd = sorted(map(ascii, set(raw) ^ wanted)) if isinstance(raw, dict) else ["everything"]
        raise InputError(f"{name} has missing or unknown fields: {', '.join(odd)[:200]}. Reload the page: it may be older than the server.")
    return raw


def _read_more(given: Mapping[str, Any], kind: str, text: str, length_s: float | None) -> dict[str, Any]:
    """Return what only some kinds of flags say: the other mention or event, the two orders, the claim that is propped up."""
    start, end, quote = _read_words(given["other_start"], given["other_end"], given["other_quote"], True, kind, text)
    start_s, end_s = _read_moment(given["other_start_s"], given["other_end_s"], kind, length_s)
    claimed, true = given["claimed_order"], given["true_order"]
    more = {
        "other_start": start,
        "other_end": end,
        "other_quote": quote,
        "other_start_s": start_s,
        "other_end_s": end_s,
        "claimed_order": None if claimed is None else read_choice(claimed, CLAIMED_ORDERS, "claimed order"),
        "true_order": None if true is None else read_choice(true, TRUE_ORDERS, "true order"),
        "props_up": read_text(given["props_up"], "claim that is propped up"),
    }
    if kind not in WITH_OTHER and (start is not None or start_s is not None):
        raise InputError(f"The flag {flag_name(kind)!r} has one stretch of words and one moment. Delete the second one.")
    if kind != "temporal_error" and (more["claimed_order"] or more["true_order"]):
        raise InputError(f"The flag {flag_name(kind)!r} says nothing of an order. Use {flag_name('temporal_error')!r} for that.")
    if kind != "justified_fabrication" and more["props_up"]:
        raise InputError(f"The flag {flag_name(kind)!r} props nothing up. Use {flag_name('justified_fabrication')!r} for that.")
    return more


def read_tick(raw: object, text: str) -> TickState:
    """Return the tick that JSON data describes. Raises InputError when it is not sound."""
    given = read_fields(raw, TickState, "A claim tick")
    start = read_whole(given["text_start"], "start of the claim", 0, len(text))
    end = read_whole(given["text_end"], "end of the claim", 0, len(text))
    if end <= start:
        raise InputError(f"The claim ends at {end} and starts at {start}. Reload the page.")
    return TickState(start, end, read_choice(given["support"], SUPPORTS, "word on the claim"))


def _read_words(start: object, end: object, quote: object, may_lack: bool, kind: str, text: str) -> tuple[int | None, int | None, str]:
    if start is None and end is None:
        if not may_lack:
            raise InputError(f"The flag {flag_name(kind)!r} points at no words. Select the words that are not so, then press its key.")
        if quote != "":
            raise InputError("A flag without words has no quote either. Reload the page.")
        return None, None, ""
    first = read_whole(start, "first word of the flag", 0, len(text))
    last = read_whole(end, "end of the flag's words", 0, len(text))
    if last <= first:
        raise InputError(f"The flag's words end at {last} and start at {first}. Select the words again.")
    if not isinstance(quote, str) or quote != text[first:last]:
        raise InputError(f"The flag quotes {repr(quote)[:60]}, but the text says {repr(text[first:last])[:60]} there. Select the words again.")
    # SQLite measures a text up to its first NUL, so that such a quote could not be held to its offsets.
    return first, last, read_keepable(quote, "quote")


def _read_moment(start_s: object, end_s: object, kind: str, length_s: float | None) -> tuple[float | None, float | None]:
    if start_s is None and end_s is None:
        return None, None
    start = read_number(start_s, f"start of {flag_name(kind)!r} in seconds", 1e6)
    end = read_number(end_s, f"end of {flag_name(kind)!r} in seconds", 1e6)
    if end < start:
        raise InputError(f"The moment of {flag_name(kind)!r} ends at {end:g} s, before it starts at {start:g} s. Set the end after the start.")
    if length_s is not None and end > length_s + END_TOLERANCE_S:
        raise InputError(f"The moment of {flag_name(kind)!r} ends at {end:g} s, but the clip ends at {length_s:.3f} s. Set it inside the clip.")
    return start, end
