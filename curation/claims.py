"""The claims of a text: where each begins and ends. Without better knowledge, its sentences. Pure."""

import re
from dataclasses import dataclass

# What ends a sentence, with the quotes and brackets that close after it.
_END = re.compile(r"(?:(?<![.!?…])[.!?…]+|[。！？]+)[\"'”’»)\]]*(?=\s|$)|[。！？]+|\n+")
# A full stop after these ends no sentence; nor does one after a single capital letter.
_SHORT = re.compile(r"(?:^|[\s(\"'“])(?:[A-Z]|Mr|Mrs|Ms|Dr|Prof|St|Jr|Sr|vs|etc|e\.g|i\.e|approx|Fig)\.$")
_SHORT_LENGTH = 9  # characters, with the one before it, are enough to tell; a search of the whole sentence would grow with its square


@dataclass(frozen=True)
class ClaimSpan:
    """A stretch of the text in code points."""

    start: int
    end: int


def sentence_claims(text: str) -> tuple[ClaimSpan, ...]:
    """Return the sentences of a text in order, without the spaces around them; together they hold every character that is not a space."""
    found, start = [], 0
    for end in _END.finditer(text):
        if _SHORT.search(text[max(start, end.end() - _SHORT_LENGTH) : end.end()]) and end.end() < len(text):
            continue
        found.append((start, end.end()))
        start = end.end()
    found.append((start, len(text)))
    return tuple(span for begin, end in found if (span := _trimmed(text, begin, end)) is not None)


def _trimmed(text: str, start: int, end: int) -> ClaimSpan | None:
    words = text[start:end]
    begin = start + len(words) - len(words.lstrip())
    return ClaimSpan(begin, begin + len(words.strip())) if words.strip() else None
