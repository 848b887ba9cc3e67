"""Files as rows of values with their place: text, CSV, JSON arrays and JSON lines. A broken row is told; the rows after it go on."""

import csv
import hashlib
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curation.datasets.drafts import Draft, Item, Notice, Rejection, Row
from curation.datasets.fields import BadField, Fault
from store.errors import InputError

WHOLE_ROW = "row"


@dataclass(frozen=True)
class TextFile:
    """A file read as text: name, content without a byte-order mark, and the digest of its bytes."""

    name: str
    text: str
    sha256: str

    @property
    def stem(self) -> str:
        """Return the name without its last extension."""
        return Path(self.name).stem


@dataclass(frozen=True)
class Source:
    """What an importer reads: the file, the data set's name when the person gave one, and the intervals beside it."""

    file: TextFile
    dataset: str | None = None
    intervals: TextFile | None = None


@dataclass(frozen=True)
class Raw:
    """The values of one row and the line where it begins; `item` is its number in a JSON array, from 1."""

    line: int
    values: Mapping[str, Any]
    item: int | None = None


@dataclass(frozen=True)
class Parsed:
    """What an importer makes of one row: drafts, the parts that were left out, and what deserves a look."""

    drafts: tuple[Draft, ...]
    faults: tuple[Fault, ...] = ()
    notices: tuple[Fault, ...] = ()


def read_text(path: Path) -> TextFile:
    """Return the file as text; the whole file is held in memory.

    Raises InputError when it cannot be read or is not UTF-8; the sentence gives the byte.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}. Give a file that is there and that you may read.") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # The codec counts from behind the byte-order mark.
        offset = error.start + (3 if content.startswith(b"\xef\xbb\xbf") else 0)
        line = content.count(b"\n", 0, offset) + 1
        told = f"{path.name} is not UTF-8: the byte 0x{content[offset]:02X} at offset {offset} (line {line}) fits no character"
        raise InputError(f"{told}. Save the file as UTF-8 and import it again.") from error
    return TextFile(path.name, text, hashlib.sha256(content).hexdigest())


def csv_columns(file: TextFile) -> tuple[str, ...]:
    """Return the names in the first row. Raises InputError when the file is empty."""
    for names in csv.reader(io.StringIO(file.text, newline="")):
        return tuple(name.strip() for name in names)
    raise InputError(f"{file.name} is empty; its first row must name the columns.")


def require_columns(file: TextFile, found: Sequence[str], needed: Sequence[str]) -> None:
    """Raise InputError naming the needed columns that are missing."""
    if missing := [name for name in needed if name not in found]:
        names = "".join(letter if letter.isprintable() else "?" for letter in ", ".join(found))
        shown = names if len(names) <= 200 else names[:200] + " ..."
        raise InputError(f"{file.name} lacks the columns {', '.join(missing)}. Its first row names: {shown}.")


def csv_rows(file: TextFile) -> Iterator[Raw | Rejection]:
    """Yield the rows under the first one with the line where each begins; a row of blanks only is passed over."""
    columns = csv_columns(file)
    # Strict: a quote in the wrong place is told, not guessed at.
    reader = csv.reader(io.StringIO(file.text, newline=""), strict=True)
    ended = 0
    while True:
        line = ended + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            # The quotes of the text that was swallowed cannot be told from those of the next rows.
            told = f"The quotes do not match ({error}); the row reaches to line {reader.line_num}."
            yield Rejection(file.name, line, WHOLE_ROW, told)
            ended = reader.line_num
            continue
        first, ended = ended == 0, reader.line_num
        if first or not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(columns):
            told = f"The row has {len(cells)} fields, the first row of the file {len(columns)}; look for a comma outside quotes."
            yield Rejection(file.name, line, WHOLE_ROW, told)
        else:
            yield Raw(line, dict(zip(columns, cells, strict=True)))


def json_lines(file: TextFile) -> Iterator[Raw | Rejection]:
    """Yield the object on each line; empty lines are passed over."""
    for line, text in enumerate(file.text.split("\n"), start=1):
        if not text.strip():
            continue
        try:
            yield _object(file, json.loads(text), line, None)
        except (ValueError, RecursionError) as error:
            yield Rejection(file.name, line, WHOLE_ROW, f"The line is not JSON: {error}.")


def json_items(file: TextFile) -> Iterator[Raw | Rejection]:
    """Yield the objects of a JSON array with the line where each begins.

    Raises InputError when the file holds no array. What stands behind a break in the JSON cannot be read and is told once.
    """
    text, decoder, number = file.text, json.JSONDecoder(), 0
    position = _past_blanks(text, 0)
    if text[position : position + 1] != "[":
        raise InputError(f"{file.name} must hold a JSON array of objects; it begins with {text[position : position + 1]!r}.")
    position, line, counted = _past_blanks(text, position + 1), 1, 0
    while text[position : position + 1] != "]":
        line, counted, number = line + text.count("\n", counted, position), position, number + 1
        try:
            value, end = decoder.raw_decode(text, position)
            position = _past_blanks(text, end)
            if text[position : position + 1] not in ("]", ","):
                raise ValueError("a comma or the closing bracket is missing behind it")
        except (ValueError, RecursionError) as error:
            yield Rejection(file.name, line, WHOLE_ROW, f"Item {number}: the JSON breaks here ({error}); the items from here on were not read.")
            return
        yield _object(file, value, line, number)
        if text[position] == ",":
            position = _past_blanks(text, position + 1)


def rows_of(
    file: TextFile, raws: Iterable[Raw | Rejection], build: Callable[[Raw], Parsed], kind_of: Callable[[Raw], str | None] = lambda raw: "qa"
) -> Iterator[Item]:
    """Yield what `build` makes of each row; a BadField refuses the row, a fault only its part."""
    for raw in raws:
        if isinstance(raw, Rejection):
            yield Row(raw.file, raw.line, None, rejections=(raw,))
            continue
        try:
            parsed = build(raw)
        except BadField as bad:
            parsed = Parsed((), (Fault(bad.field, bad.reason),))
        where = f"Item {raw.item}: " if raw.item is not None else ""
        rejections = tuple(Rejection(file.name, raw.line, fault.field, where + fault.reason) for fault in parsed.faults)
        notices = tuple(Notice(file.name, raw.line, fault.field, where + fault.reason) for fault in parsed.notices)
        spans_refused = sum(fault.is_span for fault in parsed.faults)
        yield Row(file.name, raw.line, kind_of(raw), parsed.drafts, rejections, notices, spans_refused)


def _object(file: TextFile, value: Any, line: int, item: int | None) -> Raw | Rejection:
    if isinstance(value, dict):
        return Raw(line, value, item)
    where = f"Item {item}" if item is not None else "The line"
    return Rejection(file.name, line, WHOLE_ROW, f"{where} holds no JSON object.")


def _past_blanks(text: str, position: int) -> int:
    while text[position : position + 1] in (" ", "\t", "\r", "\n") and position < len(text):
        position += 1
    return position
