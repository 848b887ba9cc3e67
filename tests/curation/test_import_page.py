"""The Import page translates: the form into a request, a summary into tables; what a file says is shown, never run."""

import json
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from curation.import_summary import Summary
from curation.importing import ImportRequest, run_import
from curation.ui.import_views import FOLDED, history_html, summary_html, waiting_html
from curation.ui.importing import build, needed_path, request_of
from store.clips import list_imports, waiting_clips
from store.context import Context
from store.database import open_store
from store.errors import InputError
from tests.curation.test_importing import CLIP, QA, write

EMPTY: dict[str, Any] = {"format": "jsonl", "path": "", "videos": "", "overlap": 2} | dict.fromkeys(("file", "subtitles", "candidates", "intervals", "dataset"))


@pytest.fixture
def summary(tmp_path: Path) -> Summary:
    evil = {**CLIP, "id": "<script>x</script>", "video": "<i>&.mp4"}
    refused = ({**QA, "id": str(number), "question": ""} for number in range(FOLDED + 1))
    source = write(tmp_path / "<img src=x>.jsonl", CLIP, evil, *refused)
    return run_import(ImportRequest("jsonl", source, tmp_path / "data"))


@pytest.mark.parametrize("given", [{"path": " /a/b.jsonl "}, {"file": "/a/b.jsonl"}])
def test_the_form_becomes_a_request(given: dict[str, Any]) -> None:
    assert request_of(Path("/d"), EMPTY | given | {"videos": "/v"}) == ImportRequest("jsonl", Path("/a/b.jsonl"), Path("/d"), videos=Path("/v"))


@pytest.mark.parametrize("given", [{}, {"path": "  "}, {"path": "/a", "file": "/b"}])
def test_a_form_without_one_annotation_file_is_a_sentence(given: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"The annotation file is (missing|both uploaded and given as a path)"):
        request_of(Path("/d"), EMPTY | given)


def test_an_empty_folder_is_not_taken_for_the_present_one() -> None:
    assert needed_path(" /v ") == Path("/v")
    with pytest.raises(InputError, match="No folder was given"):
        needed_path(" ")


def test_what_a_file_says_is_shown_as_text(summary: Summary, tmp_path: Path) -> None:
    with open_store(tmp_path / "data") as db:
        pages = [summary_html(summary.as_json()), waiting_html(waiting_clips(db)), history_html(list_imports(db))]
    assert all("&lt;" in page for page in pages)
    assert not any(evil in page for page in pages for evil in ("<script", "<img", "<i>&"))


def test_the_tables_hold_the_counts_and_a_long_list_is_folded(summary: Summary) -> None:
    page = summary_html(json.loads(json.dumps(summary.as_json())))
    assert f"Refused: {FOLDED + 1}" in page
    assert "Videos: 0 found, 2 missing" in page
    assert page.count("<details>") == 1
    assert page.count("<details open>") == 1


def test_an_empty_store_has_sentences_in_place_of_tables() -> None:
    assert "<table" not in waiting_html([]) + history_html([])


def test_the_page_can_be_built_and_its_parts_be_found(tmp_path: Path) -> None:
    with gr.Blocks() as page:
        build(Context(tmp_path, lambda fn: fn, lambda kind, name: pytest.fail("not called")))
    found = {block.elem_id for block in page.blocks.values() if getattr(block, "elem_id", None)}
    parts = ("format", "file", "path", "videos", "overlap", "start", "result", "waiting", "look", "look-folder", "history")
    assert found >= {f"import-{part}" for part in parts}
