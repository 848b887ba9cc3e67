"""What went wrong at a provider, said in one way: what may pass, what lasts, and what would stop every question."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx

from curation.synthesis.writers.keys import Secret, redact
from curation.synthesis.writing import LastingError, PassingError, Picture, StoppingError, WriterError
from store.errors import InputError

LONGEST_REASON = 300
WAYS_OUT: Mapping[str, str] = {
    "key": "Check the key.",
    "quota": "Wait or pay, and resume the run.",
    "model": "Check the name of the model and the address.",
    "address": "Check the address.",
    "settings": "Change the settings of the run.",
}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def failure_of(status: int, sentence: str, after_s: float | None = None) -> WriterError:
    """Return what an HTTP status means for the question: 429, 408 and 5xx pass, 401 to 405 and redirections stop the run, what else is refused lasts."""
    if status == 429:
        return PassingError(sentence, "rate", after_s)
    if status == 408:
        return PassingError(sentence, "timeout", after_s)
    if status >= 500 or status in (409, 425):
        return PassingError(sentence, "server", after_s)
    if status < 400 or status == 405:
        return stopping(sentence, "address")
    codes = {401: "key", 402: "quota", 403: "key", 404: "model"}
    return stopping(sentence, codes[status]) if status in codes else LastingError(sentence, "refused")


def stopping(sentence: str, code: str) -> StoppingError:
    """Return an error that every question would meet, with the way out."""
    return StoppingError(f"{sentence} {WAYS_OUT[code]}", code)


@contextmanager
def network_failures(who: str, answer_s: float, secret: Secret) -> Iterator[None]:
    """Say as PassingError that no answer came in time or that the connection broke. The cause is left out: its words may hold a key."""
    try:
        yield
    except (TimeoutError, httpx.TimeoutException):
        raise PassingError(f"{who} did not answer within {answer_s:g} s.", "timeout") from None
    except httpx.RequestError as error:
        raise PassingError(f"The connection to {who} broke: {said(error, secret)}.", "network") from None


def picture_bytes(picture: Picture) -> bytes:
    """Return the JPEG. Raises PassingError when it is gone, since newer ones took its place: the next try draws it anew."""
    try:
        return picture.path.read_bytes()
    except OSError as error:
        raise PassingError(f"The picture at {picture.time_s:.1f} s cannot be read: {error.strerror}. Ask for fewer at a time.", "showing") from error


def said(words: object, secret: Secret) -> str:
    """Return a provider's words on one line, without the key and not longer than a reason may be."""
    text = " ".join(redact(str(words), secret).split()).rstrip(".")
    return text[:LONGEST_REASON] or "it does not say why"


def checked_address(address: str) -> str:
    """Return a base URL without a slash at its end. Raises InputError when it is none, or holds what may be a secret: it is kept with the run."""
    parts = urlsplit(address.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(f"{address[:80]!r} is no address. Give one like http://localhost:8000 or https://api.openai.com/v1.")
    if parts.username or parts.password or parts.query:
        raise InputError(
            f"The address of {parts.hostname} has a name, password or query in it. Give the key by --key-variable; an address is kept with the run."
        )
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def after_of(headers: Mapping[str, str]) -> float | None:
    """Return in how many seconds the provider wants to be asked again, or None when it does not say.

    Retry-After in seconds or as a date, retry-after-ms, and x-ratelimit-reset-* of the limits of which nothing remains.
    """
    if milliseconds := _number(headers.get("retry-after-ms")):
        return milliseconds / 1000
    after = headers.get("retry-after")
    if after is not None:
        seconds = _number(after)
        return seconds if seconds is not None else _until(after)
    resets = [headers.get(f"x-ratelimit-reset-{of}") for of in ("requests", "tokens") if headers.get(f"x-ratelimit-remaining-{of}") == "0"]
    return max((seconds for reset in resets if (seconds := duration_s(reset)) is not None), default=None)


def duration_s(text: str | None) -> float | None:
    """Return the seconds of "20", "1s", "6m0s", "12ms" or "47.5s"; None of anything else."""
    if (seconds := _number(text)) is not None:
        return seconds
    found = _DURATION.findall(text or "")
    return sum(float(number) * _SECONDS[unit] for number, unit in found) if found else None


def _number(text: str | None) -> float | None:
    return float(text) if text and re.fullmatch(r"\s*\d+(\.\d+)?\s*", text) else None


def _until(date: str) -> float | None:
    try:
        when = parsedate_to_datetime(date)
    except ValueError:
        return None
    return max(0.0, ((when if when.tzinfo else when.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds())


def at(value: Any, *path: str | int) -> Any:
    """Return what lies at this path of keys and places in JSON that a stranger wrote, or None."""
    for step in path:
        if isinstance(step, str):
            value = value.get(step) if isinstance(value, Mapping) else None
        else:
            value = value[step] if isinstance(value, list) and len(value) > step else None
    return value
