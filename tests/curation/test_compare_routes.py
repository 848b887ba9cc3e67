"""The routes of the page Compare, as a browser meets them: for the person who signed in, from our own page, and blind."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.middleware.sessions import SessionMiddleware

from curation.ui.access import make_access
from curation.ui.compare_routes import build_compare_router
from curation.ui.session_routes import build_session_router
from store.comparisons import list_comparisons
from store.database import open_store
from store.oplog import list_operations
from tests.curation.annotating import annotate
from tests.curation.choosing import add_texts
from tests.seeds import OTHER_WRITER, WRITER, Seeded, seed_project

Visit = Callable[[str], TestClient]


@pytest.fixture
def seeded(tmp_path: Path) -> Seeded:
    with open_store(tmp_path) as db:
        seeded = seed_project(db)
        list(add_texts(db, seeded, 2))
        annotate(db, seeded.rival, "bo", "reject", ["other"], edited="In one he runs to the net.")
    return seeded


@pytest.fixture
def visit(tmp_path: Path, seeded: Seeded) -> Iterator[Visit]:
    """Return a function: name -> a browser in which that person is signed in; an empty name is nobody."""
    access = make_access(tmp_path)
    api = FastAPI()
    for router in (build_session_router(access), build_compare_router(access)):
        api.include_router(router)
    api.add_middleware(SessionMiddleware, secret_key="secret")

    def signed_in(name: str) -> TestClient:
        client = TestClient(api, headers={"x-annotator": name})
        if name:
            client.post("/login", data={"name": name})
        return client

    yield signed_in
    access.writer.close()


def item_of(client: TestClient) -> dict[str, Any]:
    found = client.get("/api/compare/next").json()["next"]
    assert found is not None
    return dict(found)


def body(item: dict[str, Any], side: str, operation_id: str = "operation-1") -> dict[str, Any]:
    outcome = item[side]["id"] if side in ("left", "right") else side
    return {"id": operation_id, "item_id": item["item_id"], "outcome": outcome, "seconds_spent": 3.5, "client_at": "2026-01-01T00:00:00Z"}


def test_a_choice_is_kept_with_its_side_and_seconds_and_answered_with_what_comes_next(visit: Visit, seeded: Seeded, tmp_path: Path) -> None:
    ann = visit("ann")
    screen = ann.get("/api/compare/next").json()
    answer = ann.post("/api/compare/choose", json=body(screen["next"], "right")).json()
    assert (answer["annotator"], answer["done"], answer["waiting"]) == ("ann", 1, screen["waiting"] - 1)
    assert answer["next"] == screen["upcoming"]
    with open_store(tmp_path) as db:
        (kept,), (*_, operation) = list_comparisons(db), list_operations(db)
        texts = {row["id"]: row["text"] for row in db.query("SELECT id, text FROM candidate")}
    assert texts[kept.left_id] == screen["next"]["left"]["text"]
    assert {"a": texts[kept.a_id], "b": texts[kept.b_id]}[kept.outcome] == screen["next"]["right"]["text"]
    assert (kept.round, kept.seconds_spent, kept.created_at) == (1, 3.5, operation.server_at) == (1, 3.5, answer["saved_at"])
    assert (operation.kind, operation.sequence, operation.client_at) == ("compare", answer["sequence"], "2026-01-01T00:00:00Z")
    assert json.loads(operation.payload)["left_id"] == kept.left_id


def test_no_answer_names_a_writer_a_candidate_a_round_or_another_persons_choice(visit: Visit, seeded: Seeded, tmp_path: Path) -> None:
    ann, bo = visit("ann"), visit("bo")
    bo.post("/api/compare/choose", json=body(item_of(bo), "left", "bos-operation"))
    told = ann.get("/api/compare/next").text
    for number in range(4):
        told += ann.post("/api/compare/choose", json=body(item_of(ann), "tie", f"operation-{number}")).text
    told += ann.post("/api/compare/undo", json={"id": "an-undo-of-ann", "item_id": None, "client_at": None}).text
    with open_store(tmp_path) as db:
        ids = [row["id"] for row in db.query("SELECT id FROM candidate UNION SELECT id FROM generator UNION SELECT id FROM comparison")]
    assert [word for word in (WRITER.name, OTHER_WRITER.name, "generator", "round", '"bo"', "outcome", *ids) if word in told] == []


def test_an_undo_takes_the_row_away_and_brings_the_pair_back(visit: Visit, seeded: Seeded, tmp_path: Path) -> None:
    ann = visit("ann")
    item = item_of(ann)
    ann.post("/api/compare/choose", json=body(item, "left"))
    undone = {"id": "undo-operation", "item_id": None, "client_at": None}
    answer = ann.post("/api/compare/undo", json=undone)
    assert (answer.status_code, answer.json()["next"]) == (200, item)
    assert ann.post("/api/compare/undo", json=undone).json()["sequence"] == answer.json()["sequence"], "arriving twice it is one"
    with open_store(tmp_path) as db:
        assert list_comparisons(db) == []
    refused = ann.post("/api/compare/undo", json=undone | {"id": "another-undo"})
    assert (refused.status_code, refused.json()) == (409, {"error": "Nothing is left to undo."})


def test_nobody_gets_in_without_signing_in_or_for_somebody_else(visit: Visit, seeded: Seeded, tmp_path: Path) -> None:
    ann = visit("ann")
    choice = body(item_of(ann), "left")
    nobody = visit("")
    assert nobody.get("/api/compare/next").status_code == 401
    assert nobody.post("/api/compare/choose", json=choice).status_code == 401
    assert ann.post("/api/compare/choose", json=choice, headers={"x-annotator": "bo"}).status_code == 401
    assert visit("bo").post("/api/compare/choose", json=choice).status_code == 404, "an item is one person's own"
    with open_store(tmp_path) as db:
        assert list_comparisons(db) == []


@pytest.mark.parametrize("act", ["choose", "undo"])
def test_what_a_foreign_page_sends_is_refused(visit: Visit, seeded: Seeded, act: str) -> None:
    ann = visit("ann")
    choice = body(item_of(ann), "left")
    for headers in ({"origin": "https://elsewhere.example"}, {"content-type": "text/plain"}):
        answer = ann.post(f"/api/compare/{act}", content=json.dumps(choice), headers={"content-type": "application/json"} | headers)
        assert answer.status_code == 403
        assert answer.json()["error"].endswith(".")


@pytest.mark.parametrize(
    "change, status", [({"item_id": "no.such.item"}, 404), ({"outcome": "up"}, 400), ({"id": "x"}, 400), ({"extra": 1}, 400), ({"seconds_spent": -1}, 400)]
)
def test_what_is_not_a_choice_is_refused_in_a_sentence(visit: Visit, seeded: Seeded, change: dict[str, Any], status: int) -> None:
    ann = visit("ann")
    answer = ann.post("/api/compare/choose", json=body(item_of(ann), "left") | change)
    assert (answer.status_code, answer.json()["error"][-1]) == (status, ".")
