"""Texts that were written elsewhere, as a table (CSV): one text a row about a clip or question that is here or comes with the same import.

Each row is read as a candidate record of our own format, and passes the same checks.
"""

import json
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from curation.datasets.drafts import Item, Notice
from curation.datasets.fields import BadField, id_field, optional_text, shown, text_field
from curation.datasets.jsonl import read_candidate
from curation.datasets.sources import Parsed, Raw, Source, csv_columns, csv_rows, require_columns, rows_of
from store.rows import digest_id

NEEDED = ("clip", "text", "generator")
OPTIONAL = ("dataset", "id", "qa", "kind", "generator_kind", "prompt_version", "settings", "answer_given")
# How the columns call what a record has inside its generator.
COLUMNS = {
    "generator.name": "generator",
    "generator.kind": "generator_kind",
    "generator.prompt_version": "prompt_version",
    "generator.settings": "settings",
    "generator.answer_given": "answer_given",
}
_TRUTHS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def read(source: Source) -> Iterator[Item]:
    """Yield the texts of the table. Raises InputError when a column is missing; `dataset` may be given instead of its column."""
    needed = NEEDED if source.dataset else ("dataset", *NEEDED)
    columns = csv_columns(source.file)
    require_columns(source.file, columns, needed)
    foreign = (name for name in columns if name not in (*NEEDED, *OPTIONAL))
    notices = (Notice(source.file.name, 1, name, f"{shown(name)} is no column of this format and was left out.") for name in foreign)
    return chain(notices, rows_of(source.file, csv_rows(source.file), lambda raw: _parse(raw, source.dataset), lambda raw: "candidate"))


def _parse(raw: Raw, dataset: str | None) -> Parsed:
    try:
        draft, faults = read_candidate(_record(raw.values), dataset or id_field(raw.values, "dataset"))
    except BadField as bad:
        column = COLUMNS.get(bad.field, bad.field)
        raise BadField(column, bad.reason.replace(bad.field, column)) from bad
    return Parsed((draft,), faults)


def _record(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row as a candidate record. Without an id it gets one of its content, so that the same file twice adds nothing."""
    qa = optional_text(values, "qa")
    writer: dict[str, Any] = {"kind": optional_text(values, "generator_kind") or "imported", "name": text_field(values, "generator")}
    writer |= {"prompt_version": optional_text(values, "prompt_version"), "settings": _settings(values), "answer_given": _truth(values)}
    kind = optional_text(values, "kind") or ("rationale" if qa else "narrative")
    record = {"kind": kind, "clip": values["clip"], "qa": qa, "text": values["text"], "generator": writer}
    return record | {"id": optional_text(values, "id") or digest_id("text", record)}


def _settings(values: Mapping[str, Any]) -> Any:
    told = optional_text(values, "settings")
    try:
        return None if told is None else json.loads(told)
    except (ValueError, RecursionError) as error:
        raise BadField("settings", f'settings is {shown(told)}; it must be a JSON object, as in {{}} or {{"temperature": 0.2}}.') from error


def _truth(values: Mapping[str, Any]) -> bool | None:
    told = optional_text(values, "answer_given")
    if told is not None and told.strip().lower() not in _TRUTHS:
        raise BadField("answer_given", f"answer_given is {shown(told)}; it must be true, false or empty.")
    return None if told is None else _TRUTHS[told.strip().lower()]
