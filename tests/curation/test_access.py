"""Who may come in, and who may go where."""

import json
from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.middleware.sessions import SessionMiddleware

from curation.ui.access import Access, session_secret
from curation.ui.download_routes import build_download_router
from curation.ui.gate import Gate
from curation.ui.session_routes import build_session_router
from store.accounts import add_account
from store.database import open_store
from store.errors import InputError

HTML = {"accept": "text/html"}
PASSWORD = "long enough"


def greet(name: str, request: gr.Request) -> str:
    return f"{request.username} greets {name}"


def refuse(name: str) -> str:
    raise InputError(f"The name {name} <b> is not usable.")


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    access = Access(tmp_path)
    with gr.Blocks(analytics_enabled=False) as pages:
        text = gr.Textbox()
        for function in (greet, refuse):
            gr.Button().click(access.handler(function), text, text, api_name=function.__name__)
    api = FastAPI()
    api.include_router(build_session_router(access))
    api.include_router(build_download_router(access))
    api = gr.mount_gradio_app(api, pages, path="/", auth_dependency=access.user)
    api.add_middleware(Gate, access=access, lead_pages=frozenset({"pairs"}))
    api.add_middleware(SessionMiddleware, secret_key=session_secret(tmp_path))
    with TestClient(api, follow_redirects=False) as client:
        yield client


def call(client: TestClient, name: str) -> str:
    event = client.post(f"/gradio_api/call/{name}", json={"data": ["bo"]}).json()["event_id"]
    return client.get(f"/gradio_api/call/{name}/{event}").text


def test_nobody_sees_a_page_before_signing_in_and_is_led_to_the_door(client: TestClient) -> None:
    assert client.get("/pairs", headers=HTML).headers["location"] == "/login?next=/pairs"
    assert client.get("/api/me").status_code == 401
    assert client.post("/gradio_api/call/greet", json={"data": ["bo"]}).status_code == 401
    client.post("/login", data={"name": "ann", "next": "/"})
    assert client.get("/api/me").json() == {"name": "ann", "role": "lead"}
    assert client.get("/", headers=HTML).status_code == 200
    client.post("/logout")
    assert client.get("/api/me").status_code == 401


def test_a_handler_knows_who_asks_and_shows_a_user_error_as_it_is(client: TestClient) -> None:
    client.post("/login", data={"name": "ann"})
    assert "ann greets bo" in call(client, "greet")
    assert json.loads(call(client, "refuse").split("data: ")[1])["error"] == "The name bo &lt;b&gt; is not usable."


def test_with_accounts_only_the_right_password_opens_and_an_annotator_has_the_desk_alone(client: TestClient, tmp_path: Path) -> None:
    with open_store(tmp_path) as db:
        add_account(db, "ann", PASSWORD, "annotator")
        add_account(db, "lea", PASSWORD, "lead")
    assert "error=" in client.post("/login", data={"name": "ann", "password": "wrong"}).headers["location"]
    assert client.get("/api/me").status_code == 401
    client.post("/login", data={"name": "ann", "password": PASSWORD})
    assert client.get("/", headers=HTML).status_code == 200
    assert client.get("/pairs", headers=HTML).headers["location"] == "/"
    assert "for leads" in call(client, "greet")
    client.post("/login", data={"name": "lea", "password": PASSWORD})
    assert "lea greets bo" in call(client, "greet"), "the control: a lead gets through"


def test_a_name_that_signed_in_before_there_were_accounts_is_out_when_there_are(client: TestClient, tmp_path: Path) -> None:
    client.post("/login", data={"name": "ann"})
    assert client.get("/api/me").status_code == 200
    with open_store(tmp_path) as db:
        add_account(db, "lea", PASSWORD, "lead")
    assert client.get("/api/me").status_code == 401


def test_a_session_ends_with_the_password_that_opened_it(client: TestClient, tmp_path: Path) -> None:
    client.post("/login", data={"name": "lea"})
    with open_store(tmp_path) as db:
        add_account(db, "lea", PASSWORD, "lead")
    assert client.get("/api/me").status_code == 401, "opened by a name alone, before the name had a password"
    client.post("/login", data={"name": "lea", "password": PASSWORD})
    assert client.get("/api/me").status_code == 200
    with open_store(tmp_path) as db:
        add_account(db, "lea", PASSWORD + "er", "lead", change=True)
    assert client.get("/api/me").status_code == 401


def test_downloads_are_for_leads(client: TestClient, tmp_path: Path) -> None:
    with open_store(tmp_path) as db:
        add_account(db, "ann", PASSWORD, "annotator")
        add_account(db, "lea", PASSWORD, "lead")
    assert client.get("/download/agreement.csv").status_code == 401
    client.post("/login", data={"name": "ann", "password": PASSWORD})
    for path in ("agreement.csv", "pairs-accepted.jsonl"):
        assert client.get(f"/download/{path}").status_code == 403
    client.post("/login", data={"name": "lea", "password": PASSWORD})
    assert "alpha" in client.get("/download/agreement.csv").text
    assert client.get("/download/pairs-accepted.jsonl").json()["error"].startswith("There"), "nothing is accepted yet"


def test_the_door_leads_nowhere_else_and_echoes_no_markup(client: TestClient) -> None:
    for elsewhere in ("https://example.org", "//example.org", "/\\example.org"):
        assert client.post("/login", data={"name": "ann", "next": elsewhere}).headers["location"] == "/"
    assert client.post("/login", data={"name": "ann", "next": "/train"}).headers["location"] == "/train"
    page = client.get("/login", params={"error": "<script>alert(1)</script>", "next": '"><b>', "name": "$next ${x}"}).text
    assert "<script>" not in page
    assert '"><b>' not in page


def test_the_session_key_is_made_once_and_is_for_the_owner_alone(tmp_path: Path) -> None:
    assert session_secret(tmp_path) == session_secret(tmp_path)
    assert (tmp_path / "session.key").stat().st_mode & 0o077 == 0
