"""docs/formats.md, its JSON Schema, the importer and the demo project say the same."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings

from curation.datasets import FORMATS, jsonl
from curation.datasets.drafts import Row
from curation.datasets.sources import Source, TextFile, read_text
from tests.curation.test_datasets_jsonl import CLIP, QA, RATIONALE, SUBTITLE, drafts

ROOT = Path(__file__).resolve().parents[1]
DOCS = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
SCHEMA = json.loads((ROOT / "docs" / "canonical.schema.json").read_text(encoding="utf-8"))
DEMO = ROOT / "assets" / "demo" / "demo.jsonl"
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def shown_lines() -> list[str]:
    """Return the records that the page shows."""
    return [line for block in re.findall(r"```jsonl\n(.*?)```", DOCS, re.S) for line in block.splitlines()]


def is_taken(values: dict[str, Any]) -> bool:
    """Return whether the importer takes the record whole."""
    (row,) = jsonl.read(Source(TextFile("x.jsonl", json.dumps(values), "")))
    return isinstance(row, Row) and bool(row.drafts) and not row.rejections


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_what_the_page_shows_is_valid_and_is_taken() -> None:
    lines = shown_lines()
    assert {json.loads(line)["record"] for line in lines} == set(jsonl.FIELDS)
    for line in lines:
        VALIDATOR.validate(json.loads(line))
        assert is_taken(json.loads(line)), line


def test_the_demo_project_is_valid_and_is_taken() -> None:
    rows = [item for item in FORMATS["jsonl"].read(Source(read_text(DEMO))) if isinstance(item, Row)]
    assert rows
    assert not [rejection for row in rows for rejection in row.rejections]
    for line in DEMO.read_text(encoding="utf-8").splitlines():
        VALIDATOR.validate(json.loads(line))


@settings(max_examples=150, deadline=None)
@given(drafts)
def test_what_the_importer_writes_is_valid(draft: Any) -> None:
    VALIDATOR.validate(json.loads(jsonl.line_of(draft)))


SOUND = {"clip": CLIP, "qa": QA, "subtitle": SUBTITLE, "candidate": RATIONALE}
# What a JSON Schema cannot say: that one field bounds another.
BOUND = [("clip", "end_s", 0), ("subtitle", "end_s", 0), *(("qa", "options", value) for value in (None, [], ["x"]))]


@pytest.mark.parametrize("value", [None, "", " ", 0, -1, True, [], {}, [1, 2], "b", ["x"]], ids=repr)
def test_schema_and_importer_refuse_the_same_values(value: Any) -> None:
    for record, fields in jsonl.FIELDS.items():
        for field in fields:
            values = SOUND[record] | {field: value}
            is_bound = (record, field, value) in BOUND
            assert VALIDATOR.is_valid(values) == (is_taken(values) or is_bound), (record, field, value)


def test_the_page_describes_every_format_and_every_field() -> None:
    for name in FORMATS:
        assert re.search(rf"^## .*\b{name}\b", DOCS, re.M), name
    told = "\n".join(shown_lines())
    for fields in jsonl.FIELDS.values():
        assert all(f'"{field}"' in told for field in fields)
