"""Words that come from people, files and errors, made safe to stand inside Markdown."""

import re

# What Markdown, HTML or a bare address could begin with; a dot counts only inside a word, where it makes an address.
_SPECIAL = re.compile(r"[\\`*_{}\[\]<>&#!|~$:@\"^]|(?<=\w)\.(?=\w)")
# What makes a list, a rule or a heading at the start of a text only.
_OPENING = re.compile(r"^(?:[-+=]|\d+[.)])")


def plain(text: str) -> str:
    """Return Markdown that shows `text` as it is, on one line or with breaks where it has them: no markup, no link, no picture."""
    lines = [" ".join(line.split()) for line in text.strip().split("\n")]
    safe = "<br>".join(_SPECIAL.sub(_entity, line) for line in lines)
    return _OPENING.sub(lambda found: found.group()[:-1] + f"&#{ord(found.group()[-1])};", safe)


def plain_cell(text: str, limit: int = 200) -> str:
    """Return the first `limit` characters of `text`, on one line, for a cell of a Markdown table."""
    return plain(" ".join(text[:limit].split()))


def _entity(found: re.Match[str]) -> str:
    return f"&#{ord(found.group())};"
