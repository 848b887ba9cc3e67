"""Records to rows and back, and the clock and identifiers that rows carry. Pure; no SQL."""

import dataclasses
import hashlib
import json
import types
from collections.abc import Hashable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

Record = TypeVar("Record")


def as_record(kind: type[Record], row: Mapping[str, Any]) -> Record:
    """Return `row` as a record of `kind`; JSON text becomes a tuple, 0 and 1 become False and True."""
    return kind(**{name: _from_column(hint, row[name]) for name, hint in _hints(cast(Hashable, kind)).items()})


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
def _hints(kind: Hashable) -> dict[str, Any]:
    return get_type_hints(cast(type, kind))


def _from_column(hint: Any, value: Any) -> Any:
    if value is None:
        return None
    if get_origin(hint) is tuple:
        return tuple(json.loads(value))
    if hint is bool or (get_origin(hint) is types.UnionType and bool in get_args(hint)):
        return bool(value)
    return value


def _to_column(value: Any) -> Any:
    if isinstance(value, tuple):
        return json.dumps(value, ensure_ascii=False)
    return int(value) if isinstance(value, bool) else value
