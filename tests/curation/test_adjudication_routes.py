"""The routes of the page Adjudicate and of the guidelines, as a browser meets them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.middleware.sessions import SessionMiddleware

from curation.ui.access import make_access
from curation.ui.adjudication_routes import build_adjudication_router
from curation.ui.guideline_routes import build_guideline_router
from curation.ui.session_routes import build_session_router
from store.accounts import add_account
from store.database import open_store
from store.queue import claim_next
from tests.curation.deciding import decision_json, dispute
from tests.seeds import Seeded, seed_project

PASSWORD = "long enough"
GETS = ("items", "next", "issues", "item/nothing")
POSTS = ("decide", "ask", "settle")
Visit = Callable[[str], TestClient]


@pytest.fixture
def seeded(tmp_path: Path) -> Seeded:
    """A project with a text on which ann, bo and cy differ; jo may decide."""
    with open_store(tmp_path) as db:
        for name, role in (("ann", "annotator"), ("bo", "annotator"), ("jo", "adjudicator")):
            add_account(db, name, PASSWORD, role)
        seeded = seed_project(db, wanted=4)
        dispute(db, seeded.narrative, "rra", note="what of shadows?")
        return seeded


@pytest.fixture
def visit(tmp_path: Path, seeded: Seeded) -> Iterator[Visit]:
    access = make_access(tmp_path)
    api = FastAPI()
    for build_router in (build_session_router, build_adjudication_router, build_guideline_router):
        api.include_router(build_router(access))
    api.add_middleware(SessionMiddleware, secret_key="secret")

    def signed_in(name: str) -> TestClient:
        client = TestClient(api, headers={"x-annotator": name, "origin": "http://testserver"})
        if name:
            client.post("/login", data={"name": name, "password": PASSWORD})
        return client

    yield signed_in
    access.writer.close()


def decision(tmp_path: Path, seeded: Seeded, verdict: str, **changes: Any) -> dict[str, Any]:
    with open_store(tmp_path) as db:
        return decision_json(db, seeded.narrative, verdict, **changes)


def test_an_annotator_gets_403_and_nobody_401_on_every_route(visit: Visit) -> None:
    for name, status in (("ann", 403), ("", 401)):
        client = visit(name)
        answers = [client.get(f"/api/adjudication/{path}") for path in GETS] + [client.post(f"/api/adjudication/{path}", json={}) for path in POSTS]
        assert [answer.status_code for answer in answers] == [status] * len(answers)
        assert all(answer.json()["error"].endswith(".") for answer in answers)


def test_names_are_in_no_answer_before_the_decision_and_in_the_item_after_it(visit: Visit, seeded: Seeded, tmp_path: Path) -> None:
    jo = visit("jo")
    for path in ("items", "next", f"item/{seeded.narrative.id}"):
        told = jo.get(f"/api/adjudication/{path}").text
        assert not any(f'"{name}"' in told for name in ("ann", "bo", "cy")), path
        assert "secret" not in told, path
    answer = jo.post("/api/adjudication/decide", json=decision(tmp_path, seeded, "reject", reason="so"))
    assert (answer.status_code, sorted(answer.json()["names"])) == (200, ["ann", "bo", "cy"])
    item = jo.get(f"/api/adjudication/item/{seeded.narrative.id}").json()["next"]
    assert [voice["name"] for voice in item["voices"]] == answer.json()["names"]
    assert jo.get("/api/adjudication/next").json()["next"] is None


def test_the_worst_comes_with_the_next_one_and_those_put_off_come_last(visit: Visit, seeded: Seeded, tmp_path: Path) -> None:
    with open_store(tmp_path) as db:
        dispute(db, seeded.rival, "aru")
    worst, mild = seeded.rival.id, seeded.narrative.id
    jo = visit("jo")
    for besides, order in (([], [worst, mild]), ([worst], [mild, worst]), ([worst, mild], [worst, mild]), (["gone"], [worst, mild])):
        told = jo.get("/api/adjudication/next", params={"besides": besides}).json()
        assert [told["next"]["candidate_id"], told["upcoming"]["candidate_id"], told["count"]] == [*order, 2]


def test_refusals_are_sentences_with_their_status(visit: Visit, seeded: Seeded, tmp_path: Path) -> None:
    jo = visit("jo")
    given = decision(tmp_path, seeded, "accept")
    unreasoned = jo.post("/api/adjudication/decide", json=given)
    assert (unreasoned.status_code, "2 of 3 annotators" in unreasoned.json()["error"]) == (400, True)
    assert jo.post("/api/adjudication/decide", json=given | {"reason": "so", "base_sequence": 0}).status_code == 409
    assert jo.post("/api/adjudication/decide", json=given | {"reason": "so", "candidate_id": seeded.rival.id}).status_code == 404
    assert jo.get("/api/adjudication/item/nothing").status_code == 404
    assert jo.post("/api/adjudication/decide", json=[]).status_code == 400
    assert jo.post("/api/adjudication/decide", json=given | {"reason": "so"}).status_code == 200, "the control"


def test_another_site_or_another_person_cannot_decide(visit: Visit, seeded: Seeded, tmp_path: Path) -> None:
    jo = visit("jo")
    given = decision(tmp_path, seeded, "reject", reason="so")
    assert jo.post("/api/adjudication/decide", json=given, headers={"origin": "https://elsewhere.example"}).status_code == 403
    assert jo.post("/api/adjudication/decide", content="{}", headers={"content-type": "text/plain"}).status_code in (400, 403)
    assert jo.post("/api/adjudication/decide", json=given, headers={"x-annotator": "somebody"}).status_code == 401
    with open_store(tmp_path) as db:
        assert db.table("decision").count == 0


def test_a_question_goes_from_the_desk_to_the_adjudicator_and_its_answer_to_everybody(visit: Visit, tmp_path: Path) -> None:
    with open_store(tmp_path) as db:
        lease = claim_next(db, "ann")
    assert lease is not None
    ann, bo, jo = visit("ann"), visit("bo"), visit("jo")
    given = {"id": "question-1", "question": "What of shadows?", "assignment_id": lease.id}
    assert ann.post("/api/desk/guidelines/ask", json=given).json() == {"question": "What of shadows?", "answer": None}
    assert bo.post("/api/desk/guidelines/ask", json=given | {"id": "question-2"}).status_code == 404, "not bo's item"
    assert (len(ann.get("/api/desk/guidelines").json()["issues"]), bo.get("/api/desk/guidelines").json()["issues"]) == (1, [])
    (issue,) = jo.get("/api/adjudication/issues").json()["issues"]
    assert "ann" not in issue.values()
    settled = jo.post("/api/adjudication/settle", json={"id": "answer-01", "issue_id": issue["id"], "answer": "Leave them."})
    assert settled.status_code == 200
    told = bo.get("/api/desk/guidelines")
    assert told.json()["issues"] == [{"question": "What of shadows?", "answer": "Leave them."}]
    assert told.json()["markdown"].startswith("# ")
    assert not any(f'"{name}"' in told.text for name in ("ann", "jo"))
