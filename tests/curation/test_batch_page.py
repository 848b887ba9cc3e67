"""The Batches page translates; its downloads are for admins; what a person typed is shown, never run."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.middleware.sessions import SessionMiddleware

from curation.batching import BatchRequest, make_batch, order_again
from curation.study.progress import batch_progress
from curation.ui.access import make_access
from curation.ui.batch_views import batches_html, ordered_sentence, progress_html, state_sentence
from curation.ui.batches import build, request_of, whole
from curation.ui.download_routes import build_download_router
from curation.ui.session_routes import build_session_router
from store.accounts import add_account
from store.batches import counts_of, get_batch, list_batches
from store.context import Context
from store.database import open_store
from store.errors import InputError
from tests.curation.annotating import annotate
from tests.seeds import seed_project

FORM: dict[str, Any] = {"name": "b", "wanted": 3, "dataset": "", "kind": "", "at_most": None, "ordering": "given", "signal": None, "seed": 0}
FORM |= {"scratch_share": 0, "gold_share": 10, "repeat_share": 5, "blind_first": True, "people": "ann, ben"}


def test_the_form_becomes_a_request() -> None:
    assert request_of(FORM) == BatchRequest("b", 3, gold_share=0.1, repeat_share=0.05, blind_first=True, people=("ann", "ben"))
    chosen = request_of(FORM | {"dataset": "demo", "kind": "rationale", "at_most": 50, "ordering": "signal", "signal": "doubt", "people": ""})
    assert (chosen.dataset, chosen.kind, chosen.at_most, chosen.signal, chosen.people) == ("demo", "rationale", 50, "doubt", ())


@pytest.mark.parametrize(("change", "told"), [({"wanted": None}, "missing"), ({"seed": 1.5}, "whole number"), ({"gold_share": None}, "per cent")])
def test_a_number_that_is_none_is_a_sentence(change: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        request_of(FORM | change)
    assert whole(3.0, "x") == 3


def test_tables_give_every_figure_with_its_n_and_run_nothing(tmp_path: Path) -> None:
    with open_store(tmp_path) as db:
        seeded = seed_project(db, wanted=1)
        db.execute("INSERT INTO assignment VALUES ('x', ?, '<i>ann', 1, 'final', '2026-01-01', '2026-01-01')", [seeded.narrative.id])
        annotate(db, seeded.narrative, "<i>ann", "accept")
        made = make_batch(db, BatchRequest("<script>b", gold_share=0.1), "lea")
        listed = batches_html([(batch, counts_of(db, batch.id)) for batch in list_batches(db)])
        shown = progress_html(batch_progress(db, "default"))
    assert "There is no gold for its gold share" in made.sentence
    assert "&lt;script&gt;b" in listed and "<script>" not in listed
    assert "&lt;i&gt;ann" in shown and "<i>" not in shown
    assert "<td>1.0 <small>90 % under 1.0, n = 1</small></td>" in shown
    assert 'title="No gold item is answered."' in shown and "n = 0" in shown
    assert "100% <small>21%–100%, n = 1</small>" in shown  # one hasty answer of one


def test_the_list_shows_what_the_entries_want(tmp_path: Path) -> None:
    with open_store(tmp_path) as db:
        seed_project(db, wanted=2)
        assert "<td>2</td><td>as imported</td>" in batches_html([(get_batch(db, "default"), counts_of(db, "default"))])
        seed_project(db, "clip 1", wanted=4)
        assert "<td>2–4</td>" in batches_html([(get_batch(db, "default"), counts_of(db, "default"))])


def test_an_answer_says_what_changed_and_what_it_was(tmp_path: Path) -> None:
    with open_store(tmp_path) as db:
        seed_project(db)
        before = get_batch(db, "default")
        count = order_again(db, "default", "random", None, 7)
        after = get_batch(db, "default")
    assert "is ordered random (seed 7) now, not as imported: 3 items" in ordered_sentence(before, after, count)
    assert "is ordered random (seed 7) as before" in ordered_sentence(after, after, count)
    assert "is open" in state_sentence(after) and "is closed" in state_sentence(replace(after, state="closed"))


def test_the_page_can_be_built(tmp_path: Path) -> None:
    with open_store(tmp_path) as db:
        seed_project(db)
    with gr.Blocks() as page:
        build(Context(tmp_path, lambda fn: fn, lambda kind, name: None))  # type: ignore[arg-type, return-value]
    ids = {component.get("props", {}).get("elem_id") for component in page.config["components"]}
    assert {"batches-list", "batches-progress", "batches-make", "batches-again", "batches-csv", "batches-annotations"} <= ids


def test_progress_and_annotations_are_downloads_for_admins(tmp_path: Path) -> None:
    with open_store(tmp_path) as db:
        seeded = seed_project(db)
        annotate(db, seeded.narrative, "ann", "accept")
        for name, role in (("ada", "adjudicator"), ("adm", "admin"), ("ann", "annotator")):
            add_account(db, name, "long enough", role)
    access = make_access(tmp_path)
    api = FastAPI()
    api.include_router(build_session_router(access))
    api.include_router(build_download_router(access))
    api.add_middleware(SessionMiddleware, secret_key="k" * 32)
    answers = {}
    for name in ("ann", "ada", "adm"):
        client = TestClient(api)
        assert client.post("/login", data={"name": name, "password": "long enough"}, follow_redirects=False).status_code < 400
        answers[name] = [client.get(f"/download/{file}") for file in ("progress.csv", "annotations.jsonl")]
    assert [answer.status_code for answer in answers["ann"]] == [answer.status_code for answer in answers["ada"]] == [403, 403]
    assert all("This is for admins." in answer.json()["error"] for name in ("ann", "ada") for answer in answers[name])
    progress, annotations = answers["adm"]
    assert progress.text.startswith("batch,state,annotator,done,open,") and "attachment" in progress.headers["Content-Disposition"]
    (line,) = annotations.text.splitlines()
    assert json.loads(line)["annotator"] == "ann" and annotations.headers["Cache-Control"] == "private, no-store"
