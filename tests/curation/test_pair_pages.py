"""The Pairs and Agreement pages over HTTP: their handlers act under the name that signed in, and for adjudicators only."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import gradio as gr
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.middleware.sessions import SessionMiddleware

from curation.export import freeze_set
from curation.ui import agreement, pairs
from curation.ui.access import ADJUDICATOR, make_access
from curation.ui.download_routes import build_download_router
from curation.ui.session_routes import build_session_router
from store.accounts import add_account
from store.context import Context
from store.database import open_store
from store.pairs import list_pairs
from tests.curation.annotating import annotate
from tests.curation.choosing import choose_side
from tests.seeds import Seeded, seed_project

PASSWORD = "long enough"


@pytest.fixture
def seeded(tmp_path: Path) -> Seeded:
    with open_store(tmp_path) as db:
        seeded = seed_project(db)
        annotate(db, seeded.rationale, "ann", "reject", ["temporal_error"], edited="He runs after <b>the ball</b>.")
        for name, role in (("lea", "adjudicator"), ("ann", "annotator")):
            add_account(db, name, PASSWORD, role)
    return seeded


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    access = make_access(tmp_path)
    context = Context(tmp_path, partial(access.handler, least=ADJUDICATOR), lambda kind, name: freeze_set(tmp_path, kind, name))
    with gr.Blocks(analytics_enabled=False) as page:
        pairs.build(context)
        agreement.build(context)
    api = FastAPI()
    api.include_router(build_session_router(access))
    api.include_router(build_download_router(access))
    api = gr.mount_gradio_app(api, page, path="/", auth_dependency=access.user)
    api.add_middleware(SessionMiddleware, secret_key="secret for this test")
    with TestClient(api, follow_redirects=False) as client:
        yield client


def call(client: TestClient, name: str, *data: object) -> str:
    event = client.post(f"/gradio_api/call/{name}", json={"data": list(data)}).json()["event_id"]
    return client.get(f"/gradio_api/call/{name}/{event}").text


def test_an_adjudicator_opens_the_pages_chooses_and_downloads(client: TestClient, seeded: Seeded, tmp_path: Path) -> None:
    client.post("/login", data={"name": "lea", "password": PASSWORD})
    shown = call(client, "open_page")
    assert "edited by 1 person; flagged in the original: temporal error" in shown
    assert "He runs after \\u003cb" not in shown, "escaped"
    with open_store(tmp_path) as db:
        choose_side(db, "lea", seeded.rationale.id, seeded.rival.id, "left")
        assert {(pair.origin, pair.state) for pair in list_pairs(db)} == {("edit", "proposed"), ("comparison", "accepted")}
    assert "event: complete" in call(client, "write", "accepted")
    rows = [json.loads(line) for line in client.get("/download/pairs-accepted.jsonl").text.splitlines()]
    assert len(rows) == 1
    assert rows[0]["chosen"] != rows[0]["rejected"]
    assert client.get(f"/gradio_api/file={tmp_path}/exports/pairs-accepted.jsonl").status_code == 403, "by our own route alone"
    assert "for the left text" in call(client, "show_sides")
    assert "Krippendorff" in call(client, "show_1")


def test_what_cannot_be_done_is_told_in_a_sentence(client: TestClient, seeded: Seeded) -> None:
    client.post("/login", data={"name": "lea", "password": PASSWORD})
    assert "There is nothing to write: no row is accepted" in call(client, "write", "dropped")


def test_an_adjudicator_makes_correctness_pairs_and_sees_them_as_they_are_trained_on(client: TestClient, seeded: Seeded, tmp_path: Path) -> None:
    client.post("/login", data={"name": "lea", "password": PASSWORD})
    assert "1 new correctness pair with seed 7; 1 behind an accepted rationale stand now" in call(client, "make_pairs", 7)
    assert "must be 0 or more" in call(client, "make_pairs", -1)
    shown = call(client, "narrow", None, "accepted", "correctness")
    assert all(words in shown for words in ("Final answer:", "A. to catch it", "B. for fun")), "as rows say it, what differs marked"
    assert '"correctness"' not in call(client, "narrow", None, "accepted", "edit")


def test_an_annotator_gets_nothing_from_these_pages(client: TestClient, seeded: Seeded, tmp_path: Path) -> None:
    client.post("/login", data={"name": "ann", "password": PASSWORD})
    for name, data in (("open_page", []), ("show_sides", []), ("make_pairs", [1]), ("write", ["accepted"]), ("show_1", [])):
        assert "This is for adjudicators" in call(client, name, *data)
