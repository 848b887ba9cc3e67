"""Texts written elsewhere come in as a table or as records, through the same checks; what is no answer does not."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from curation.datasets import FORMATS, jsonl, read_texts
from curation.datasets.drafts import CandidateDraft, Item, Notice, Row
from curation.datasets.sources import Source, TextFile
from curation.import_records import clip_id, qa_id
from curation.import_summary import Summary
from curation.importing import ImportRequest, run_import
from store.candidates import generator_of, list_candidates, list_generators
from store.clips import add_clip, add_qa_pair
from store.database import open_store
from store.errors import InputError
from store.records import Clip, QAPair

TEXT = {"dataset": "d", "clip": "c", "qa": "1", "text": "He runs to catch it.", "generator": "some-model"}
# What POVQA kept as rationales, twelve times.
OUT_OF_MEMORY = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 23.65 GiB of which 1.2 GiB is free."


def table(*rows: dict[str, Any]) -> str:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, dict.fromkeys(name for row in rows for name in row), restval="")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def read(*rows: dict[str, Any], dataset: str | None = None) -> list[Item]:
    return list(FORMATS["texts"].read(Source(TextFile("texts.csv", table(*rows), ""), dataset)))


def only(row: dict[str, Any]) -> CandidateDraft:
    (item,) = read(row)
    assert isinstance(item, Row) and not item.rejections
    (draft,) = item.drafts
    assert isinstance(draft, CandidateDraft)
    return draft


def test_a_row_of_the_least_columns_is_a_rationale_and_without_a_question_a_narrative() -> None:
    draft = only(TEXT)
    assert (draft.dataset, draft.clip, draft.qa, draft.kind, draft.text) == ("d", "c", "1", "rationale", "He runs to catch it.")
    assert draft.generator == generator_of("imported", "some-model")
    assert (only(TEXT | {"qa": ""}).kind, only(TEXT | {"qa": " "}).qa) == ("narrative", None)


def test_a_row_says_who_wrote_it_how_and_with_what_in_hand() -> None:
    more = {"generator_kind": "api_model", "prompt_version": "p-3", "settings": '{"temperature": 0.2}', "answer_given": "true", "kind": "answer", "id": " t1 "}
    draft = only(TEXT | more)
    assert draft.generator == generator_of("api_model", "some-model", "p-3", '{"temperature": 0.2}', True)
    assert (draft.kind, draft.id) == ("answer", "t1")
    assert [only(TEXT | {"answer_given": told}).generator.answer_given for told in ("False", "0", "yes", "")] == [False, False, True, None]


def test_the_same_row_gets_the_same_id_and_another_one_another() -> None:
    ids = [only(TEXT | change).id for change in ({}, {}, {"text": "He waits."}, {"generator": "other"}, {"clip": "c2"}, {"prompt_version": "p"})]
    assert ids[0] == ids[1] and len(set(ids)) == 5


@pytest.mark.parametrize("missing", ["clip", "text", "generator", "dataset"])
def test_a_missing_column_is_named(missing: str) -> None:
    with pytest.raises(InputError, match=f"lacks the columns {missing}"):
        read({name: value for name, value in TEXT.items() if name != missing})


def test_the_data_set_may_be_given_beside_the_file_and_a_foreign_column_is_told_once() -> None:
    notice, *rows = read(*[{"clip": "c", "text": f"He runs {number}.", "generator": "m", "colour": "red"} for number in range(2)], dataset="mine")
    assert isinstance(notice, Notice) and (notice.line, notice.field) == (1, "colour")
    assert [draft.dataset for row in rows if isinstance(row, Row) for draft in row.drafts if isinstance(draft, CandidateDraft)] == ["mine", "mine"]


@pytest.mark.parametrize(
    ("change", "field", "told"),
    [
        ({"generator": " "}, "generator", "generator is empty"),
        ({"generator_kind": "robot"}, "generator_kind", "generator_kind is 'robot'"),
        ({"settings": "{"}, "settings", "JSON object"),
        ({"settings": "[1]"}, "settings", "settings is"),
        ({"answer_given": "perhaps"}, "answer_given", "true, false or empty"),
        ({"kind": "narrative"}, "qa", "must not name a question"),
        ({"kind": "poem"}, "kind", "'poem'"),
        ({"text": ""}, "text", "empty"),
        ({"clip": ""}, "clip", "empty"),
        ({"text": OUT_OF_MEMORY}, "text", "out of memory"),
        ({"text": "I'm sorry, but I can't help with that."}, "text", "does not want to answer"),
        ({"text": "He runs.<|im_end|>"}, "text", "<|im_end|>"),
        ({"text": "..."}, "text", "no words"),
    ],
)
def test_a_row_that_is_wrong_is_refused_by_column_with_a_sentence(change: dict[str, str], field: str, told: str) -> None:
    first, second = read(TEXT | change, TEXT | dict.fromkeys(change, "") | {name: TEXT[name] for name in change if name in TEXT})
    assert isinstance(first, Row) and not first.drafts and isinstance(second, Row) and second.drafts, "and the next one goes in"
    (rejection,) = first.rejections
    assert (rejection.line, rejection.field) == (2, field) and told in rejection.reason


@pytest.mark.parametrize("words", [OUT_OF_MEMORY, "He runs."])
def test_a_record_passes_the_same_checks_as_a_row(words: str) -> None:
    values = {"record": "candidate", "dataset": "d", "id": "t", "kind": "narrative", "clip": "c", "text": words}
    line = json.dumps(values | {"generator": {"kind": "imported", "name": "m"}})
    (row,) = (item for item in jsonl.read(Source(TextFile("x.jsonl", line, ""))) if isinstance(item, Row))
    assert bool(row.drafts) == (words == "He runs.") and [one.field for one in row.rejections] == ([] if row.drafts else ["text"])


def test_a_file_beside_another_format_is_a_table_by_its_name_or_else_records() -> None:
    (row,) = read_texts(Source(TextFile("TEXTS.CSV", table(TEXT), "")))
    assert isinstance(row, Row) and row.drafts
    (row,) = read_texts(Source(TextFile("texts.jsonl", table(TEXT).splitlines()[0], "")))
    assert isinstance(row, Row) and not row.drafts, "the control: a table is no record"


def imported(tmp_path: Path, *rows: dict[str, Any], **more: Any) -> Summary:
    path = tmp_path / "texts.csv"
    path.write_text(table(*rows), encoding="utf-8")
    return run_import(ImportRequest("texts", path, tmp_path / "data", **more))


def test_a_table_about_what_is_here_goes_in_once_and_waits_for_annotators(tmp_path: Path) -> None:
    with open_store(tmp_path / "data") as db:
        add_clip(db, Clip(clip_id("d", "c"), "d", "c", "c.mp4", None, 0.0, None, "c", "train"))
        add_qa_pair(db, QAPair(qa_id("d", "c", "1"), clip_id("d", "c"), "1", "why", "so", (), None, None, None, None, None))
    rows = [TEXT, TEXT | {"qa": "", "text": "A man runs."}, TEXT | {"text": OUT_OF_MEMORY}, TEXT | {"clip": "elsewhere"}, TEXT]
    summary = imported(tmp_path, *rows)
    assert [(one.line, one.field) for one in summary.rejections] == [(4, "text"), (5, "clip"), (6, "id")]
    assert imported(tmp_path, *rows[:2]).rows.unchanged == 2
    with open_store(tmp_path / "data") as db:
        assert sorted((text.kind, text.text) for text in list_candidates(db)) == [("narrative", "A man runs."), ("rationale", "He runs to catch it.")]
        assert [writer.name for writer in list_generators(db)] == ["some-model"]
        assert db.table("queue_entry").count == 2
