"""Records to rows and back, and the clock and identifiers that rows carry. Pure; no SQL."""

import dataclasses
import hashlib
import json
import types
from collections.abc import Callable, Hashable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

Record = TypeVar("Record")


def as_record(kind: type[Record], row: Mapping[str, Any]) -> Record:
    """Return `row` as a record of `kind`; JSON text becomes a tuple, 0 and 1 become False and True."""
    names, special = _columns(cast(Hashable, kind))
    values = {name: row[name] for name in names}
    for name, convert in special:
        if values[name] is not None:
            values[name] = convert(values[name])
    return kind(**values)


def as_row(record: Any) -> dict[str, Any]:
    """Return a record's fields as column values; tuples become JSON text, truth values 0 and 1."""
    return {field.name: _to_column(getattr(record, field.name)) for field in dataclasses.fields(record)}


def utc_now() -> str:
    """Return the present moment as ISO 8601 in UTC with milliseconds; sorts as text."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def digest_id(*parts: object) -> str:
    """Return 20 hex digits made from the parts: the same parts give the same id on every machine."""
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode("utf-8")).hexdigest()[:20]


@cache
def _columns(kind: Hashable) -> tuple[tuple[str, ...], tuple[tuple[str, Callable[[Any], Any]], ...]]:
    """Return the names of a record's columns, and how those are read that are not kept as they are."""
    hints = get_type_hints(cast(type, kind))
    return tuple(hints), tuple((name, convert) for name, hint in hints.items() if (convert := _from_column(hint)))


def _from_column(hint: Any) -> Callable[[Any], Any] | None:
    if get_origin(hint) is tuple:
        return lambda value: tuple(json.loads(value))
    is_truth = hint is bool or (get_origin(hint) is types.UnionType and bool in get_args(hint))
    return bool if is_truth else None


def _to_column(value: Any) -> Any:
    if isinstance(value, tuple):
        return json.dumps(value, ensure_ascii=False)
    return int(value) if isinstance(value, bool) else value
