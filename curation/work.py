"""One annotator's work on one candidate, as a frozen value: read from JSON, checked, written back. Pure."""

import dataclasses
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from store.errors import InputError

LONGEST_TEXT = 100_000  # characters; as long as the longest text that is imported, so that every text can be quoted and edited
MOST_FLAGS = 200
# A browser rounds to the microsecond; a clip's last frame may end that much later.
END_TOLERANCE_S = 0.001
VERDICTS = ("accept", "reject", "unsure", "skip")
ID_PATTERN = re.compile(r"[A-Za-z0-9_-]{8,64}")
TAXONOMY = Path(__file__).resolve().parents[1] / "assets" / "taxonomy.json"
# What these flags point at is not in the text, or not in the taxonomy: without a comment nobody can tell what is meant.
WITHOUT_WORDS = frozenset({"omission", "other"})


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


@dataclass(frozen=True)
class WorkState:
    """The whole of an annotator's work on one candidate."""

    verdict: str | None
    no_error: bool
    factual_consistency: int | None
    logical_coherence: int | None
    note: str
    edited_text: str | None
    seconds_spent: float
    watched_share: float
    flags: tuple[FlagState, ...]


NOT_BEGUN = WorkState(None, False, None, None, "", None, 0.0, 0.0, ())
# How each field but the flags is read.
READERS: Mapping[str, Callable[[Any], Any]] = {
    "verdict": lambda value: None if value is None else _choice(value, VERDICTS, "verdict"),
    "no_error": lambda value: _truth(value, "no_error"),
    "factual_consistency": lambda value: _rating(value, "factual consistency"),
    "logical_coherence": lambda value: _rating(value, "logical coherence"),
    "note": lambda value: _text(value, "note"),
    "edited_text": lambda value: None if value is None else _text(value, "edited text"),
    "seconds_spent": lambda value: _number(value, "time spent in seconds", 1e7),
    "watched_share": lambda value: _number(value, "share of the clip watched", 1.0),
}


def read_work(raw: object, text: str, length_s: float | None) -> WorkState:
    """Return the work that JSON data describes, checked against the candidate's text and the clip's length in seconds (None: unknown).

    Raises InputError for a field that is missing, unknown or out of its range, and for a quote that is not the text at its offsets.
    """
    given = _fields(raw, WorkState, "The work")
    flags = _read_flags(given["flags"], text, length_s)
    return WorkState(**{name: read(given[name]) for name, read in READERS.items()}, flags=flags)


def read_sound_work(raw: object, text: str, length_s: float | None) -> WorkState:
    """Return what is sound in work that JSON data describes: a field or a flag that `read_work` would refuse is left out."""
    given: dict[Any, Any] = raw if isinstance(raw, dict) else {}
    fields = {name: _sound(read, given.get(name), getattr(NOT_BEGUN, name)) for name, read in READERS.items()}
    flags = given["flags"] if isinstance(given.get("flags"), list) else []
    read = [_sound(lambda one: _read_flag(one, text, length_s), flag, None) for flag in flags[:MOST_FLAGS]]
    # Of two flags with the same id the first one stays.
    kept = {flag.id: flag for flag in reversed(read) if flag is not None}
    return WorkState(**fields, flags=tuple(reversed(kept.values())))


def check_submitted(work: WorkState) -> None:
    """Raise InputError when the work cannot be final: no verdict, a verdict without its ground, a flag that says too little."""
    if work.verdict not in ("accept", "reject", "unsure"):
        raise InputError("There is no verdict yet. Choose accept (A), reject (X) or unsure (U); or skip the item (S).")
    if work.no_error and work.flags:
        raise InputError('The work says "no error found" and has flags. Delete the flags, or choose the verdict again.')
    if work.verdict == "accept" and not work.flags and not work.no_error:
        raise InputError('Accepting a text without flags says "no error found". Press A to say so, or set a flag.')
    if work.verdict == "reject" and not work.flags and not work.note.strip():
        raise InputError("A rejection needs a reason. Set a flag, or write in the note why the text is not fit.")
    if work.edited_text is not None and not work.edited_text.strip():
        raise InputError("The edited text is empty. Write the text as it should be, or drop the edit.")
    for flag in work.flags:
        if (flag.text_start is None or flag.kind == "other") and not flag.comment.strip():
            raise InputError(f"The flag {_name(flag.kind)!r} needs a comment: say what is missing or wrong (C).")


def work_to_json(work: WorkState) -> str:
    """Return the work as one line of JSON, the same for the same work."""
    return json.dumps(dataclasses.asdict(work), ensure_ascii=False, allow_nan=False, sort_keys=True)


def work_from_json(payload: str) -> WorkState:
    """Return the work that `work_to_json` wrote; it was checked before it was kept."""
    given: dict[str, Any] = json.loads(payload)
    return WorkState(**{**given, "flags": tuple(FlagState(**flag) for flag in given["flags"])})


@cache
def flag_names() -> Mapping[str, str]:
    """Return the name of each kind of flag in the taxonomy."""
    return {flag["kind"]: flag["name"] for flag in json.loads(TAXONOMY.read_text(encoding="utf-8"))["flags"]}


def _read_flags(raw: object, text: str, length_s: float | None) -> tuple[FlagState, ...]:
    if not isinstance(raw, list) or len(raw) > MOST_FLAGS:
        raise InputError(f"The flags have to be a list of at most {MOST_FLAGS}. Reload the page.")
    read = tuple(_read_flag(flag, text, length_s) for flag in raw)
    if len({flag.id for flag in read}) < len(read):
        raise InputError("Two flags have the same id. Reload the page and set the last flag again.")
    return read


def _sound(read: Callable[[object], Any], value: object, otherwise: object) -> Any:
    try:
        return read(value)
    except InputError:
        return otherwise


def _read_flag(raw: object, text: str, length_s: float | None) -> FlagState:
    given = _fields(raw, FlagState, "A flag")
    if not isinstance(given["id"], str) or not ID_PATTERN.fullmatch(given["id"]):
        raise InputError("A flag's id has to be 8 to 64 letters, digits, - or _. Reload the page.")
    kind = _choice(given["kind"], tuple(flag_names()), "kind of flag")
    severity = _whole(given["severity"], f"severity of {_name(kind)!r}", 0, 3)
    words = _read_words(given, kind, text)
    moment = _read_moment(given, kind, length_s)
    return FlagState(given["id"], kind, *words, *moment, severity, _text(given["comment"], "comment"))


def _read_words(given: Mapping[str, object], kind: str, text: str) -> tuple[int | None, int | None, str]:
    start, end, quote = given["text_start"], given["text_end"], given["quote"]
    if start is None and end is None:
        if kind not in WITHOUT_WORDS:
            raise InputError(f"The flag {_name(kind)!r} points at no words. Select the words that are not so, then press its key.")
        if quote != "":
            raise InputError("A flag without words has no quote either. Reload the page.")
        return None, None, ""
    first = _whole(start, "first word of the flag", 0, len(text))
    last = _whole(end, "end of the flag's words", 0, len(text))
    if last <= first:
        raise InputError(f"The flag's words end at {last} and start at {first}. Select the words again.")
    if not isinstance(quote, str) or quote != text[first:last]:
        raise InputError(f"The flag quotes {repr(quote)[:60]}, but the text says {repr(text[first:last])[:60]} there. Select the words again.")
    # SQLite measures a text up to its first NUL, so that such a quote could not be held to its offsets.
    return first, last, _keepable(quote, "quote")


def _read_moment(given: Mapping[str, object], kind: str, length_s: float | None) -> tuple[float | None, float | None]:
    if given["start_s"] is None and given["end_s"] is None:
        return None, None
    start = _number(given["start_s"], f"start of {_name(kind)!r} in seconds", 1e6)
    end = _number(given["end_s"], f"end of {_name(kind)!r} in seconds", 1e6)
    if end < start:
        raise InputError(f"The moment of {_name(kind)!r} ends at {end:g} s, before it starts at {start:g} s. Set the end after the start.")
    if length_s is not None and end > length_s + END_TOLERANCE_S:
        raise InputError(f"The moment of {_name(kind)!r} ends at {end:g} s, but the clip ends at {length_s:.3f} s. Set it inside the clip.")
    return start, end


def _fields(raw: object, kind: type[WorkState] | type[FlagState], name: str) -> dict[str, Any]:
    wanted = {field.name for field in dataclasses.fields(kind)}
    if not isinstance(raw, dict) or set(raw) != wanted:
        odd = sorted(map(ascii, set(raw) ^ wanted)) if isinstance(raw, dict) else ["everything"]
        raise InputError(f"{name} has missing or unknown fields: {', '.join(odd)[:200]}. Reload the page: it may be older than the server.")
    return raw


def _choice(value: object, known: tuple[str, ...], name: str) -> str:
    if not isinstance(value, str) or value not in known:
        raise InputError(f"The {name} {repr(value)[:40]} is not known. Use one of: {', '.join(known)}.")
    return value


def _truth(value: object, name: str) -> bool:
    if not isinstance(value, bool):
        raise InputError(f"{name} has to be true or false, not {repr(value)[:40]}.")
    return value


def _rating(value: object, name: str) -> int | None:
    return None if value is None else _whole(value, f"rating of {name}", 1, 5)


def _whole(value: object, name: str, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise InputError(f"The {name} is {repr(value)[:40]}. Use a whole number from {least} to {most}.")
    return value


def _number(value: object, name: str, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or not 0 <= value <= most:
        raise InputError(f"The {name} is {repr(value)[:40]}. Use a number from 0 to {most:g}.")
    return float(value)


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise InputError(f"The {name} has to be text.")
    if len(value) > LONGEST_TEXT:
        raise InputError(f"The {name} has {len(value):,} characters. Shorten it to {LONGEST_TEXT:,}.")
    return _keepable(value, name)


def _keepable(value: str, name: str) -> str:
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise InputError(f"The {name} has a character that cannot be kept (a NUL, or half of an emoji). Delete it.")
    return value


def _name(kind: str) -> str:
    return flag_names()[kind]
