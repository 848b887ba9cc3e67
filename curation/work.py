"""One annotator's work on one candidate, as a frozen value: read from JSON, checked, written back. Pure."""

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from curation.work_fields import read_choice, read_number, read_rating, read_text, read_truth
from curation.work_flags import MOST_FLAGS, MOST_TICKS, FlagState, TickState, flag_name, read_fields, read_flag, read_flags, read_tick, read_ticks
from store.errors import InputError

OMISSIONS = ("none", "minor", "major")
VERDICTS = ("accept", "reject", "unsure", "skip")


@dataclass(frozen=True)
class WorkState:
    """The whole of an annotator's work on one candidate."""

    verdict: str | None
    no_error: bool
    omission: str | None
    factual_consistency: int | None
    logical_coherence: int | None
    note: str
    edited_text: str | None
    skip_reason: str | None
    seconds_spent: float
    watched_share: float
    flags: tuple[FlagState, ...]
    ticks: tuple[TickState, ...] = ()


NOT_BEGUN = WorkState(None, False, None, None, None, "", None, None, 0.0, 0.0, ())
# How each field but the flags and the ticks is read.
READERS: Mapping[str, Callable[[Any], Any]] = {
    "verdict": lambda value: None if value is None else read_choice(value, VERDICTS, "verdict"),
    "no_error": lambda value: read_truth(value, "no_error"),
    "omission": lambda value: None if value is None else read_choice(value, OMISSIONS, "word on what is left out"),
    "factual_consistency": lambda value: read_rating(value, "factual consistency"),
    "logical_coherence": lambda value: read_rating(value, "logical coherence"),
    "note": lambda value: read_text(value, "note"),
    "edited_text": lambda value: None if value is None else read_text(value, "edited text"),
    "skip_reason": lambda value: None if value is None else read_text(value, "reason to skip"),
    "seconds_spent": lambda value: read_number(value, "time spent in seconds", 1e7),
    "watched_share": lambda value: read_number(value, "share of the clip watched", 1.0),
}


def read_work(raw: object, text: str, length_s: float | None) -> WorkState:
    """Return the work that JSON data describes, checked against the candidate's text and the clip's length in seconds (None: unknown).

    Raises InputError for a field that is missing, unknown or out of its range, and for a quote that is not the text at its offsets.
    """
    given = read_fields(raw, WorkState, "The work")
    flags = read_flags(given["flags"], text, length_s)
    return WorkState(**{name: read(given[name]) for name, read in READERS.items()}, flags=flags, ticks=read_ticks(given["ticks"], text))


def read_sound_work(raw: object, text: str, length_s: float | None) -> WorkState:
    """Return what is sound in work that JSON data describes: a field or a flag that `read_work` would refuse is left out."""
    given: dict[Any, Any] = raw if isinstance(raw, dict) else {}
    fields = {name: _sound(read, given.get(name), getattr(NOT_BEGUN, name)) for name, read in READERS.items()}
    flags = [_sound(lambda one: read_flag(one, text, length_s), flag, None) for flag in _listed(given, "flags", MOST_FLAGS)]
    ticks = [_sound(lambda one: read_tick(one, text), tick, None) for tick in _listed(given, "ticks", MOST_TICKS)]
    # Of two flags with the same id, and two ticks of a claim, the first one stays.
    kept_flags = {flag.id: flag for flag in reversed(flags) if flag is not None}
    kept_ticks = {(tick.text_start, tick.text_end): tick for tick in reversed(ticks) if tick is not None}
    return WorkState(**fields, flags=tuple(reversed(kept_flags.values())), ticks=tuple(reversed(kept_ticks.values())))


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
    check_flags(work.flags)


def check_flags(flags: Iterable[FlagState]) -> None:
    """Raise InputError for a flag that says too little to be final: it has no words, or no kind of the taxonomy, and no comment either."""
    for flag in flags:
        if (flag.text_start is None or flag.kind == "other") and not flag.comment.strip():
            raise InputError(f"The flag {flag_name(flag.kind)!r} needs a comment: say what is missing or wrong (C).")


def work_to_json(work: WorkState) -> str:
    """Return the work as one line of JSON, the same for the same work."""
    return json.dumps(work, default=vars, ensure_ascii=False, allow_nan=False, sort_keys=True)


def work_from_json(payload: str) -> WorkState:
    """Return the work that `work_to_json` wrote; it was checked before it was kept. What an older version did not know is not begun."""
    given: dict[str, Any] = json.loads(payload)
    parts = {"flags": tuple(FlagState(**flag) for flag in given["flags"]), "ticks": tuple(TickState(**tick) for tick in given.get("ticks", ()))}
    return dataclasses.replace(NOT_BEGUN, **{**given, **parts})


def _listed(given: Mapping[Any, Any], name: str, most: int) -> list[Any]:
    return given[name][:most] if isinstance(given.get(name), list) else []


def _sound(read: Callable[[object], Any], value: object, otherwise: object) -> Any:
    try:
        return read(value)
    except InputError:
        return otherwise
