"""Text files in the encodings that people have: which one a file is in, and its words."""

from collections.abc import Sequence
from pathlib import Path

from store.errors import InputError
from store.media_files import open_source

GUESSED = ("cp1252", "latin-1")  # taken where nothing in the file tells
_MOST_BYTES = 256 << 20
_NUL_SHARE = 0.05
_BOMS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


def read_text(path: Path) -> tuple[str, str]:
    """Return a file as text and the encoding that it was read in; the whole file is held in memory.

    Raises NotFoundError when there is no file, InputError when it cannot be read, is too large or is no text.
    """
    with open_source(path) as source:
        content = source.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise InputError(f"{path.name} is larger than {_MOST_BYTES >> 20} MiB, which no text of subtitles or annotations is: give the right file, or split it.")
    for encoding in _encodings(content):
        try:
            return content.decode(encoding), encoding
        except UnicodeDecodeError:
            continue
    raise InputError(f"{path.name} is no text that can be read, in UTF-8 or UTF-16: save it as UTF-8.")


def _encodings(content: bytes) -> Sequence[str]:
    """Return the encodings to try, in this order: the one that a byte-order mark names, UTF-16 where many bytes are NUL, UTF-8, the old ones.

    UTF-16 writes digits, points and line ends with a NUL, whatever the language. Of the old ones, which no NUL is a letter of,
    Windows-1252 is taken, which holds the letters of Latin-1 where Latin-1 has them; among the code pages of other scripts a guess on
    a short text is a coin thrown.
    """
    for mark, encoding in _BOMS:
        if content.startswith(mark):
            return (encoding,)
    if content.count(0) > len(content) * _NUL_SHARE:
        return ("utf-16-be",) if content[::2].count(0) > content[1::2].count(0) else ("utf-16-le",)
    return ("utf-8",) if 0 in content else ("utf-8", *GUESSED)
