"""Reading single values of an annotator's work from JSON: each is checked, and refused with a sentence that names it. Pure."""

import math
import re

from store.errors import InputError

LONGEST_TEXT = 100_000  # characters; as long as the longest text that is imported, so that every text can be quoted and edited

_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")


def read_id(value: object, whose: str) -> str:
    """Return an id that a browser made. Raises InputError, with the name of what it belongs to."""
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise InputError(f"{whose}'s id has to be 8 to 64 letters, digits, - or _. Reload the page.")
    return value


def read_choice(value: object, known: tuple[str, ...], name: str) -> str:
    """Return one of the known words. Raises InputError, with the name of what was read."""
    if not isinstance(value, str) or value not in known:
        raise InputError(f"The {name} {repr(value)[:40]} is not known. Use one of: {', '.join(known)}.")
    return value


def read_truth(value: object, name: str) -> bool:
    """Return True or False. Raises InputError, with the name of what was read."""
    if not isinstance(value, bool):
        raise InputError(f"{name} has to be true or false, not {repr(value)[:40]}.")
    return value


def read_rating(value: object, name: str) -> int | None:
    """Return a rating from 1 to 5, or None when there is none. Raises InputError, with the name of what was read."""
    return None if value is None else read_whole(value, f"rating of {name}", 1, 5)


def read_whole(value: object, name: str, least: int, most: int) -> int:
    """Return a whole number within its bounds. Raises InputError, with the name of what was read."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise InputError(f"The {name} is {repr(value)[:40]}. Use a whole number from {least} to {most}.")
    return value


def read_number(value: object, name: str, most: float) -> float:
    """Return a finite number from 0 to `most`. Raises InputError, with the name of what was read."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or not 0 <= value <= most:
        raise InputError(f"The {name} is {repr(value)[:40]}. Use a number from 0 to {most:g}.")
    return float(value)


def read_text(value: object, name: str) -> str:
    """Return a text that is not too long and can be kept. Raises InputError, with the name of what was read."""
    if not isinstance(value, str):
        raise InputError(f"The {name} has to be text.")
    if len(value) > LONGEST_TEXT:
        raise InputError(f"The {name} has {len(value):,} characters. Shorten it to {LONGEST_TEXT:,}.")
    return read_keepable(value, name)


def read_keepable(value: str, name: str) -> str:
    """Return a text that SQLite and JSON can hold as it is. Raises InputError, with the name of what was read."""
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise InputError(f"The {name} has a character that cannot be kept (a NUL, or half of an emoji). Delete it.")
    return value
